"""The page of a run: plain Markdown with its charts and the raw data beside it. Pure: it only says what the run holds."""

import math
from collections.abc import Iterator
from pathlib import Path

from grader.bench.plots import draw
from grader.bench.run import Figure, Run, Series, to_json
from grader.bench.throughput import RATE

PAGE, RAW = "benchmarks.md", "benchmarks-raw.json"
TEXTS = {
    "commands": (
        "Whole commands",
        "One command from its start to its end, as a person types it, and the plain way to do the same, in turns. The plain "
        "ways skip one check that needs a restart.",
        None,
    ),
    "phases": (
        "One grade in its phases",
        "The solution of json-echo with its whole suite, in turns: *cold* has a container made for it, *used again* gets one "
        "that others had and that was scrubbed, *spare* takes one that was waiting and is removed afterwards. `start`: until "
        "the container is there. `ready`: until the program accepts connections. `checks`: the suite. `stop`: until everything "
        "is taken away, or scrubbed.",
        "phases",
    ),
    "first answer": (
        "To the first answer",
        "For a server that a person waits for: from the moment in which the submission is there to the first byte of the answer "
        "to `GET /health`. Single use: nobody else was or will be in the container. Between two rounds the spare containers "
        "come back. The host process is the floor: it has no walls.",
        "first-answer",
    ),
    "class": (
        "A class",
        "The same submissions, right and wrong, in four ways. Ours are graded with the whole suite. The baselines run no "
        "checks: they start the server, wait for it, send ten requests and kill it. Containers and the collected suite are "
        "there at the beginning, and containers that are used again are of all ages, so as many come to their end as in a long "
        "run. Servers that listen on 127.0.0.1 only are left out: `docker run` cannot reach them.",
        "throughput",
    ),
    "processor": (
        "Processor time of a grade",
        "All that the whole machine was busy with (`/proc/stat`) in the run above, for each submission. Nothing is taken off: "
        "what else ran here is in it, and what the host of a virtual machine took. The learners' programs, the supervisors and "
        "the suites are read from their control groups, the grader and the engine's daemons from `/proc`. The rest is what is "
        "left: shims and `runc`, which are gone when one looks, the kernel's own work, and everybody else.",
        "processor",
    ),
    "memory": (
        "Memory of a grade",
        "*Memory of a container* is the peak of its control group, page cache and tmpfs included; a container that was used "
        "again has the peak of all its submissions. The pages of Node itself count in the group that read them first, so "
        "usually in none of these. *Resident* is the most that a process had resident (`VmHWM`), pages that it shares with "
        "others included: the child that runs a suite shares most of them with the process that it was forked from.",
        None,
    ),
    "kernel": (
        "The notebook kernel",
        "A flood of output in a cell, and how soon Stop ends an endless loop.",
        None,
    ),
    "nbgrader": (
        "nbgrader",
        "The same course graded by `looplab nbgrader autograde` and by nbgrader's own.",
        None,
    ),
}


def write_page(run: Run, folder: Path) -> list[Path]:
    """Writes the page, its charts and its raw data; returns what was written."""
    charts = draw(run)
    files = {PAGE: markdown(run, set(charts)).encode(), RAW: to_json(run) + b"\n", **{name: text.encode() for name, text in charts.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def markdown(run: Run, charts: set[str]) -> str:
    """`charts`: names of the SVG files that lie beside the page."""
    return "\n".join([*_head(run), *(line for section in TEXTS for line in _section(run, section, charts))])


def _head(run: Run) -> Iterator[str]:
    m = run.machine
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench`. Every figure stands beside a baseline that was measured in the same run on the same machine;"
    yield f"the ratio is what can be compared between machines. Every single sample is in [{RAW}]({RAW})."
    yield ""
    for note in run.notes:
        yield f"- {note}"
    if run.notes:
        yield ""
    yield "| this run | |"
    yield "|---|---|"
    yield f"| date | {m.date} (UTC), {run.seconds:.0f} s |"
    yield f"| machine | {m.cores} cores, {_cell(m.cpu)}, {m.memory_gb:g} GB, load average {m.load:g} at the beginning |"
    yield f"| system | Linux {_cell(m.kernel)}, control groups {m.cgroups}, Docker {_cell(m.docker)} |"
    yield f"| programs | Node {m.node}, Python {m.python} |"
    yield f"| settings | {run.rounds} rounds, class of {run.count}, {run.container_uses} submissions to a container |"
    yield ""
    yield "Percentiles are by nearest rank: each is a sample that was seen. With fewer than 100 samples the 99th is the largest."
    yield ""


def _section(run: Run, name: str, charts: set[str]) -> Iterator[str]:
    figures, series = run.of(name)
    if not figures and not series:
        return
    title, text, chart = TEXTS[name]
    yield f"## {title}"
    yield ""
    yield text
    yield ""
    if chart and (file := f"benchmarks-{chart}.svg") in charts:
        yield f"![{title}]({file})"
        yield ""
    if figures:
        yield "| what | value | baseline | ratio | baseline is | goal |"
        yield "|---|--:|--:|--:|---|---|"
        for f in figures:
            yield f"| {f.name} | {amount(f.value)} {f.unit} | {amount(f.baseline)} {f.unit} | {ratio(f)} | {f.baseline_is} | {f.goal} |"
        yield ""
    yield from _splits(series)
    yield from _percentiles(series, {f.name for f in figures})


def _percentiles(series: list[Series], named: set[str]) -> Iterator[str]:
    """Each row beside the median of its baseline. A single sample is not said again when a figure of that name has said it."""
    shown = [s for s in series if s.name != RATE and not s.part and (len(s.samples) > 1 or s.name not in named)]
    if not shown:
        return
    medians = {(s.name, s.way, s.parallel): s.percentile(50) for s in series}
    yield "| what | way | samples | p50 | p95 | p99 | baseline's p50 | ratio |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    for s in shown:
        beside = medians.get((s.name, s.baseline, s.parallel))
        way = f"{s.way}, {s.parallel} in parallel" if s.parallel else s.way
        places = " | ".join(f"{amount(s.percentile(share))} {s.unit}" for share in (50, 95, 99))
        against = f"{amount(beside)} {s.unit} | {s.percentile(50) / beside:.2f}" if beside else "is one |"
        yield f"| {s.name} | {way} | {len(s.samples)} | {places} | {against} |"
    yield ""


def _splits(series: list[Series]) -> Iterator[str]:
    """What was split into parts: one row for each way, in milliseconds."""
    parts = list(dict.fromkeys(s.part for s in series if s.part))
    if not parts:
        return
    yield f"| milliseconds a grade | {' | '.join(parts)} | sum |"
    yield f"|---|{'--:|' * (len(parts) + 1)}"
    for way, parallel in dict.fromkeys((s.way, s.parallel) for s in series if s.part):
        of = {s.part: 1000 * s.samples[0] for s in series if s.part and (s.way, s.parallel) == (way, parallel)}
        cells = " | ".join(f"{of[part]:.0f}" if part in of else "–" for part in parts)
        yield f"| {way}, {parallel} in parallel | {cells} | {sum(of.values()):.0f} |"
    yield ""


def amount(value: float) -> str:
    """Three digits that mean something."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def ratio(figure: Figure) -> str:
    return "–" if math.isnan(figure.ratio) else f"{figure.ratio:.2f}"


def _cell(text: str) -> str:
    return text.replace("|", "/")
