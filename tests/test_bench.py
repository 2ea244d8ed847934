"""The benchmark: what it shows is what it measured, beside its baseline, and nothing without its data."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.bench import throughput
from grader.bench.machine import LOAD_MAX
from grader.bench.page import PAGE, RAW, TEXTS, amount, markdown, write_page
from grader.bench.plots import draw, specs
from grader.bench.run import Figure, Machine, Run, Series, alternating, compared, from_json, percentile, to_json
from grader.bench.sections import SECTIONS, Plan, not_idle
from grader.bench.throughput import LEARNER, PLAIN, REST, SUITE, Ran, differences
from grader.cli.bench import SECTIONS as NAMES
from grader.report import Report
from grader.settings import read_settings
from tests import samples

LOOPLAB = str(Path(sys.executable).with_name("looplab"))
MACHINE = Machine(
    date="2026-01-01T00:00+00:00",
    cores=2,
    cpu="A | B",
    memory_gb=8.0,
    kernel="6.1",
    cgroups="v1",
    docker="20.10",
    node="v24",
    python="3.11",
    load=0.1,
)


def a_run() -> Run:
    """A bit of every section that has a chart."""
    series = [
        *(Series("phases", phase, way, "ms", tuple(map(float, range(1, 6))), "" if way == "cold" else "cold")
          for phase in ("start", "ready", "checks", "stop", "total") for way in ("cold", "used again", "spare")),
        *(Series("first answer", "to the first answer", way, "ms", (90.0, 70.0, 80.0), base) for way, base in (("cold", ""), ("spare", "cold"))),
    ]  # fmt: skip
    for way in (throughput.AGAIN, PLAIN):
        base = PLAIN if way != PLAIN else ""
        for parallel in (1, 2):
            series += [
                Series("class", throughput.RATE, way, "a second", (4.0 * parallel,), base, parallel),
                Series("class", throughput.TOTAL, way, "ms", (200.0, 100.0, 300.0), base, parallel),
                *(Series("processor", throughput.SPENT, way, "s a grade", (0.1,), base, parallel, part) for part in (LEARNER, SUITE, REST)),
            ]
    figures = (Figure("phases", "one grade, spare", 120.0, 400.0, "cold", "ms", "less"),)
    return Run(MACHINE, 5, 3, 32, figures, tuple(series), notes=("All the same.",), seconds=12.5)


# ---- percentiles


def test_a_percentile_is_the_nearest_rank() -> None:
    assert [percentile((15.0, 20.0, 35.0, 40.0, 50.0), share) for share in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    assert percentile(range(1, 101), 99) == 99
    assert percentile((7.0,), 50) == 7.0


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="of nothing"):
        percentile((), 50)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_sample_that_enough_others_do_not_exceed(values: list[float], share: int) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) * 100 >= share * len(values)
    assert sum(value < found for value in values) * 100 < share * len(values)


# ---- figures and raw data


def test_a_run_is_read_again_as_it_was_written() -> None:
    run = a_run()

    assert from_json(to_json(run)) == run
    with pytest.raises(msgspec.ValidationError):
        from_json(to_json(run).replace(b'"figures"', b'"figurs"'))


def test_ways_take_turns_and_the_first_round_of_each_does_not_count() -> None:
    seen: list[str] = []
    times = alternating(2, lambda: seen.append("ours"), lambda: seen.append("theirs"))

    assert seen == ["ours", "theirs"] * 3
    assert [len(kept) for kept in times] == [2, 2]


def test_a_comparison_keeps_the_samples_of_both_sides() -> None:
    part = compared("commands", "grade", ([1.0, 3.0, 2.0], [4.0, 4.0, 9.0]), "docker run", "s")

    assert [(f.value, f.baseline, f.ratio) for f in part.figures] == [(2.0, 4.0, 0.5)]
    assert [(s.way, s.baseline, s.samples) for s in part.series] == [
        ("ours", "docker run", (1.0, 3.0, 2.0)),
        ("docker run", "", (4.0, 4.0, 9.0)),
    ]


def test_another_outcome_at_another_parallelism_is_named() -> None:
    right = samples.report(samples.check("test_a"), learner="ada")
    other = samples.report(samples.failed("test_a"), learner="ada")

    def ran(*runs: tuple[int, Report]) -> dict[tuple[str, int], Ran]:
        return {(throughput.AGAIN, parallel): Ran(1.0, [1.0], {}, [], [report]) for parallel, report in runs}

    assert differences(ran((1, right), (2, right))) == []
    assert differences(ran((1, right), (2, other))) == ["ada, containers used again, 2 in parallel: test_a failed"]


def test_a_machine_that_is_not_idle_is_said() -> None:
    assert not_idle(LOAD_MAX) == ""
    assert "load average 3.2" in not_idle(3.2)


# ---- the page


def test_the_page_shows_each_percentile_beside_its_baseline() -> None:
    page = markdown(a_run(), set())

    assert "| to the first answer | spare | 3 | 80.0 ms | 90.0 ms | 90.0 ms | 80.0 ms | 1.00 |" in page
    assert "| one grade, spare | 120 ms | 400 ms | 0.30 | cold | less |" in page
    assert f"| {PLAIN}, 2 in parallel | 100 | 100 | 100 | 300 |" in page
    assert "A / B" in page
    assert "- All the same." in page


def test_every_table_of_the_page_is_rectangular() -> None:
    tables = re.findall(r"(?:^\|.*\|\n)+", markdown(a_run(), set()) + "\n", re.MULTILINE)

    assert len(tables) > 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_what_was_not_measured_is_not_on_the_page() -> None:
    page = markdown(Run(MACHINE, 1, 1, 32), set())

    assert "##" not in page
    assert "![" not in page


def test_every_section_has_its_place_on_the_page_and_in_the_command() -> None:
    assert tuple(section.name for section in SECTIONS) == NAMES
    assert {section.name.replace("-", " ") for section in SECTIONS} | {"processor"} == set(TEXTS)


def test_numbers_have_three_digits_that_mean_something() -> None:
    assert [amount(value) for value in (0.0, 0.01234, 1.2345, 12.345, 123.45, 12345.6)] == ["0", "0.0123", "1.23", "12.3", "123", "12,346"]


# ---- the charts


def test_no_chart_is_drawn_without_its_data() -> None:
    run = a_run()

    assert set(specs(run)) == {"phases", "first-answer", "throughput", "processor"}
    assert specs(msgspec.structs.replace(run, series=())) == {}
    only = tuple(s for s in run.series if s.section == "phases")
    assert set(specs(msgspec.structs.replace(run, series=only))) == {"phases"}


def test_charts_name_their_units_and_every_way() -> None:
    drawn = draw(a_run())

    for name, svg in drawn.items():
        assert "milliseconds" in svg or "a second" in svg, name
    assert all(way in drawn["benchmarks-throughput.svg"] for way in (throughput.AGAIN, PLAIN))
    assert all(part in drawn["benchmarks-processor.svg"] for part in (LEARNER, SUITE, REST))
    assert all(way in drawn["benchmarks-phases.svg"] for way in ("cold", "used again", "spare"))


def test_the_page_and_all_that_it_links_are_written(tmp_path: Path) -> None:
    write_page(a_run(), tmp_path)

    assert linked(tmp_path) == {path.name for path in tmp_path.iterdir()} - {PAGE}
    assert from_json((tmp_path / RAW).read_bytes()) == a_run()


def linked(folder: Path) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", (folder / PAGE).read_text()))


def test_every_section_tells_its_steps() -> None:
    plan = Plan(read_settings(), rounds=3, count=6, parallels=(1, 2))
    assert all(section.steps(plan) > 0 for section in SECTIONS)


# ---- the whole


@pytest.mark.docker
@pytest.mark.siege
def test_a_tiny_run_writes_the_whole_page(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="looplab-bench-", dir="/tmp") as run_dir:
        os.chmod(run_dir, 0o711)
        options = ["--rounds", "1", "--count", "3", "--notebooks", "1", "-p", "1", "-p", "2", "--page", str(tmp_path), "--json"]
        done = subprocess.run(
            [LOOPLAB, "bench", *options],
            env={**os.environ, "LOOPLAB_RUN_DIR": run_dir},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr
        assert not list(Path(run_dir).glob("g*"))

    run = from_json(done.stdout.encode())
    assert from_json((tmp_path / RAW).read_bytes()) == run
    assert {s.section for s in run.series} == set(TEXTS)
    for figure in run.figures:
        assert figure.baseline_is, figure
        assert figure.baseline > 0, figure
        assert figure.value > 0, figure
    ways = {(s.section, s.name, s.parallel, s.way) for s in run.series}
    for s in run.series:
        assert not s.baseline or (s.section, s.name, s.parallel, s.baseline) in ways, s
        assert all(sample >= 0 for sample in s.samples), s
    assert linked(tmp_path) == {path.name for path in tmp_path.iterdir()} - {PAGE}
    assert all(value for fact, value in json.loads((tmp_path / RAW).read_text())["machine"].items() if fact != "load")
