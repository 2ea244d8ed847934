"""The wall clock jumps by hours in the middle of a run: no verdict and no deadline rests on it."""

import ast
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest

from grader.report import from_json
from tests.faults.runs import RUN_SECONDS, SETTINGS, Outcome, Place, assert_none_wrong, assert_nothing_is_left, next_report, outcomes

STAMPS = {
    ("grader/store/__init__.py", "datetime.now"),
    ("grader/formats/ctrf.py", "time.time"),
    ("grader/bench/machine.py", "datetime.now"),
}
"""Where the wall clock is read on purpose: to be kept or shown as a time stamp."""

WALL_CLOCK = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime", "clock_gettime", "clock_gettime_ns"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}


LIAR = """
import datetime, os, time
path = os.environ.get("CLOCK_THAT_JUMPS")
honest, honest_ns = time.time, time.time_ns

def jump():
    with open(path) as file:
        return int(file.read())

class Lying(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

if path:
    time.time = lambda: honest() + jump()
    time.time_ns = lambda: honest_ns() + jump() * 10**9
    datetime.datetime = Lying
"""
"""For every Python that the run starts, the suites' too. (libfaketime 0.9.10 also breaks the sleep of Python 3.11, which is monotonic.)"""


@pytest.mark.docker
@pytest.mark.siege
def test_a_clock_that_jumps_by_hours_with_every_report_changes_no_verdict(
    place: Place, undisturbed: dict[str, Outcome], tmp_path: Path
) -> None:
    (tmp_path / "liar").mkdir()
    (tmp_path / "liar" / "sitecustomize.py").write_text(LIAR)
    clock = place.run_dir / "clock"
    clock.write_text("0")
    path = os.pathsep.join([str(tmp_path / "liar"), *filter(None, [os.environ.get("PYTHONPATH")])])
    told = []

    with replace(place, environ={"PYTHONPATH": path, "CLOCK_THAT_JUMPS": str(clock)}).running("--parallel", "2") as process:
        for hours in cycle([5, -7, 24 * 400, 0]):
            line = next_report(process)
            if not line:
                break
            told.append(line)
            (place.run_dir / "next").write_text(str(hours * 3600))
            (place.run_dir / "next").replace(clock)
        _, errors = process.communicate(timeout=RUN_SECONDS)
    stamps = graded_at(place)

    assert max(stamps) - min(stamps) > timedelta(hours=4)  # the run did see it
    assert process.returncode == 1, errors
    assert outcomes("".join(told)) == undisturbed
    assert all(0 <= from_json(line.encode()).timings.total < RUN_SECONDS for line in told)
    assert_none_wrong(place, undisturbed)
    assert len(place.rows()) == len(undisturbed)
    assert_nothing_is_left(place)


def graded_at(place: Place) -> list[datetime]:
    with closing(sqlite3.connect(place.data / "looplab.db")) as database:
        return [datetime.fromisoformat(text) for (text,) in database.execute("SELECT graded_at FROM reports")]


def wall_clock_reads(source: str) -> Iterator[str]:
    """`time.time` and its kind, as written, whether called or passed on."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            of = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in WALL_CLOCK.get(of, ()):
                yield f"{of}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{name.name}" for name in node.names if name.name in WALL_CLOCK["time"])


def test_only_time_stamps_read_the_wall_clock() -> None:
    root = SETTINGS.home / "grader"
    modules = [path for path in root.rglob("*.py") if "node_modules" not in path.parts]

    found = {(str(path.relative_to(root.parent)), read) for path in modules for read in wall_clock_reads(path.read_text())}

    assert len(modules) > 50
    assert found <= STAMPS


def test_the_supervisor_and_other_scripts_of_the_grader_do_not_read_the_wall_clock() -> None:
    scripts = [path for path in (SETTINGS.home / "grader").rglob("*.mjs") if "node_modules" not in path.parts]

    assert scripts
    assert not [path for path in scripts if "Date.now" in path.read_text() or "new Date" in path.read_text()]
