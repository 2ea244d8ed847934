"""A class at several degrees of parallelism: grades a second, and the processor time of a grade by who took it."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from grader.bench.machine import busy_seconds, children_seconds, engine_seconds, own_seconds
from grader.bench.ours import Bench, MeasuredSandbox, open_bench
from grader.bench.plain import in_plain_docker, on_the_host
from grader.bench.run import Figure, Part, Series, Tick
from grader.classes import Handed, find_submissions, grade_class
from grader.exercise import Exercise, load_exercise
from grader.report import Report
from grader.sandbox.docker import Engine
from grader.sandbox.image import image_tag
from grader.settings import Settings
from grader.store import open_store

AGAIN, SINGLE, PLAIN, HOST = "containers used again", "single-use containers", "plain docker run, no checks", "host process, no checks"
SOLVED = "used again, solutions only"
OURS = (SOLVED, AGAIN, SINGLE)
RATE, TOTAL, SPENT, PEAK = "grades a second", "one grade", "processor time of a grade", "memory of a container"
LEARNER, SUPERVISOR, SUITE, GRADER, ENGINE, REST = (
    "learner's program",
    "supervisor",
    "suite",
    "grader",
    "dockerd, containerd",
    "all the rest: shims, runc, kernel, others",
)
PARTS = (LEARNER, SUPERVISOR, SUITE, GRADER, ENGINE, REST)
SLOW_SHARE = 3
"""The two ways that make a container for each submission get a third of the class, or they would take all the time."""
GOAL = "at least 10 a second"
LOCALHOST = re.compile(rb"fastify|listen\([^)]*(?:127\.|localhost|::1)")
"""Servers that only this machine's loopback reaches: through a published port of a container they cannot be asked."""


@dataclass
class Ran:
    """One way at one degree of parallelism."""

    took: float
    totals: list[float]
    """Seconds of each submission."""
    parts: dict[str, float]
    """Processor seconds in all, by who took them."""
    peaks: list[int]
    reports: list[Report] = field(default_factory=list)


def class_throughput(settings: Settings, count: int, parallels: Sequence[int], tick: Tick) -> Part:
    """The same submissions, right and wrong, in four ways; the two without checks are the baselines of the two that grade.

    A fifth grades the solution alone: what wrong servers take, such as one that fills its memory, says little about us.
    """
    exercise = load_exercise(settings.exercises, "json-echo")
    ran: dict[tuple[str, int], Ran] = {}
    with tempfile.TemporaryDirectory() as temp, open_bench(settings) as bench:
        handed = hand_in(Path(temp), exercise, count)
        solved = [Handed(f"solver-{number:03}", exercise, handed[0].path) for number in range(count)]
        some = handed[::SLOW_SHARE]
        engine, image = Engine(), image_tag(settings)
        for parallel in parallels:
            ran[SOLVED, parallel] = _graded(bench, solved, parallel, settings.container_uses, tick, SOLVED)
            ran[AGAIN, parallel] = _graded(bench, handed, parallel, settings.container_uses, tick, AGAIN)
            ran[SINGLE, parallel] = _graded(bench, some, parallel, 1, tick, SINGLE)
            ran[PLAIN, parallel] = _plain_docker(engine, image, some, parallel, tick)
            ran[HOST, parallel] = _host(settings, handed, parallel, tick)
        split = bench.group is not None
    return Part(list(_figures(ran)), list(_series(ran, split)), list(_notes(ran, split)), differences(ran))


def hand_in(folder: Path, exercise: Exercise, count: int) -> list[Handed]:
    kinds = [exercise.folder / "solution", *sorted((exercise.folder / "right").glob("*/")), *sorted((exercise.folder / "wrong").glob("*/"))]
    sources = [path for path in kinds if not any(LOCALHOST.search(file.read_bytes()) for file in path.rglob("*") if file.is_file())]
    for number in range(count):
        shutil.copytree(sources[number % len(sources)], folder / "class" / f"learner-{number:03}" / exercise.slug)
    return find_submissions(folder / "class", [exercise])[0]


def _graded(bench: Bench, handed: list[Handed], parallel: int, uses: int, tick: Tick, way: str) -> Ran:
    with bench.sandbox(uses=uses) as sandbox, tempfile.TemporaryDirectory() as temp:
        grader = bench.grader(sandbox)
        with open_store(f"sqlite:///{temp}/warm.db") as store:  # containers and the collected suite are there, as in a long run
            warm = [Handed(f"warm-{number}", handed[0].exercise, handed[0].path) for number in range(parallel)]
            list(grade_class(grader, warm, store, parallel=parallel, seed=1))
        sandbox.spread_ages()
        with open_store(f"sqlite:///{temp}/class.db") as store, _clocks(bench, sandbox) as clocks:
            reports = []
            for report, _ in grade_class(grader, handed, store, parallel=parallel, seed=1):
                reports.append(report)
                tick(f"{parallel} in parallel, {way}")
    peaks = [used.peak_bytes for used in sandbox.used.values()]
    return Ran(clocks["took"], [r.timings.total for r in reports], _parts(clocks), peaks, reports)


def _plain_docker(engine: Engine, image: str, handed: list[Handed], parallel: int, tick: Tick) -> Ran:
    def one(item: Handed) -> tuple[float, int]:
        used = in_plain_docker(engine, image, item.exercise, item.read())
        return used.learner_seconds, used.peak_bytes

    return _without_checks(handed, parallel, one, PLAIN, tick)


def _host(settings: Settings, handed: list[Handed], parallel: int, tick: Tick) -> Ran:
    def one(item: Handed) -> tuple[float, int]:
        on_the_host(settings, item.exercise, item.read())
        return 0.0, 0

    return _without_checks(handed, parallel, one, HOST, tick)


def _without_checks(handed: list[Handed], parallel: int, one: Callable[[Handed], tuple[float, int]], way: str, tick: Tick) -> Ran:
    """`one` runs a submission and tells its processor seconds and the peak of its group, or 0 where it is our child."""

    def timed(item: Handed) -> tuple[float, float, int]:
        began = time.monotonic()
        seconds, peak = one(item)
        return time.monotonic() - began, seconds, peak

    list(map(one, handed[:1]))
    with _clocks() as clocks, ThreadPoolExecutor(parallel) as pool:
        seen = []
        for result in pool.map(timed, handed):
            seen.append(result)
            tick(f"{parallel} in parallel, {way}")
    clocks["learner"] = sum(seconds for _, seconds, _ in seen) or clocks["children"]
    return Ran(clocks["took"], [took for took, _, _ in seen], _parts(clocks), [peak for _, _, peak in seen])


@contextmanager
def _clocks(bench: Bench | None = None, sandbox: MeasuredSandbox | None = None) -> Iterator[dict[str, float]]:
    """What the block took on all clocks, in seconds; it can be read after the block."""

    def now() -> dict[str, float]:
        learner, supervisor = sandbox.sums() if sandbox else (0.0, 0.0)
        return {
            "busy": busy_seconds(),
            "suite": bench.suite_seconds() if bench else 0.0,
            "learner": learner,
            "supervisor": supervisor,
            "children": children_seconds(),
            "own": own_seconds(),
            "took": time.monotonic(),
        }

    engine, before = engine_seconds(), now()
    result: dict[str, float] = {}
    yield result
    result |= {clock: value - before[clock] for clock, value in now().items()}
    # A daemon that came or went meanwhile is not the one that we work with.
    result["engine"] = sum(seconds - engine[pid] for pid, seconds in engine_seconds().items() if seconds and pid in engine)


def _parts(clocks: dict[str, float]) -> dict[str, float]:
    """The whole machine's busy time, minus nothing: what nobody is known to have taken is the rest, never below 0."""
    known = {
        LEARNER: clocks["learner"],
        SUPERVISOR: clocks["supervisor"],
        SUITE: clocks["suite"],
        GRADER: clocks["own"],
        ENGINE: clocks["engine"],
    }
    return {**known, REST: max(0.0, clocks["busy"] - sum(known.values()))}


# ---- what it comes to


def _figures(ran: dict[tuple[str, int], Ran]) -> Iterator[Figure]:
    rate = {key: len(r.totals) / r.took for key, r in ran.items()}
    spent = {key: sum(r.parts.values()) / len(r.totals) for key, r in ran.items()}
    best = max(rate[key] for key in rate if key[0] == SOLVED)
    for way, parallel in ran:
        if way in OURS:
            for plain in (PLAIN, HOST):
                name = f"{way}, {parallel} in parallel"
                goal = GOAL if way == SOLVED and plain == HOST and rate[way, parallel] == best else ""
                yield Figure("class", name, rate[way, parallel], rate[plain, parallel], plain, "a second", goal)
    for way, parallel in ran:
        if way in OURS:
            for plain in (PLAIN, HOST):
                name = f"{way}, {parallel} in parallel"
                yield Figure("processor", name, spent[way, parallel], spent[plain, parallel], plain, "s a grade")


def _series(ran: dict[tuple[str, int], Ran], split: bool) -> Iterator[Series]:
    for (way, parallel), r in ran.items():
        baseline = PLAIN if way in OURS else ""
        count = len(r.totals)
        yield Series("class", RATE, way, "a second", (round(count / r.took, 3),), baseline, parallel)
        yield Series("class", TOTAL, way, "ms", tuple(round(1000 * t, 2) for t in r.totals), baseline, parallel)
        parts = r.parts
        if way in OURS and not split:  # then it is part of the rest
            parts = {part: seconds for part, seconds in parts.items() if part != SUITE}
        for part, seconds in parts.items():
            yield Series("processor", SPENT, way, "s a grade", (round(seconds / count, 4),), baseline, parallel, part)
        if way != HOST and any(r.peaks):
            peaks = tuple(round(p / 2**20, 1) for p in r.peaks if p)
            yield Series("memory", PEAK, way, "MiB", peaks, baseline, parallel)


def _notes(ran: dict[tuple[str, int], Ran], split: bool) -> Iterator[str]:
    graded = [r for (way, _), r in ran.items() if way in OURS]
    count = len({report.learner for r in graded for report in r.reports})
    same = "the same" if not differences(ran) else "DIFFERENT"
    yield f"Verdicts and outcomes of {count} submissions in {len(graded)} runs, from 1 to {max(p for _, p in ran)} in parallel: {same}."
    if not split:
        yield "The suites' processor time cannot be told apart here (their process cannot be given a control group): it is in the rest."


def differences(ran: dict[tuple[str, int], Ran]) -> list[str]:
    """What must not depend on parallelism or on the age of a container: each learner's verdict and the outcome of every check."""
    first: dict[str | None, tuple[str, ...]] = {}
    found = []
    for (way, parallel), r in ran.items():
        for report in r.reports:
            outcome = (report.verdict, *(f"{check.id} {check.outcome}" for check in report.checks))
            expected = first.setdefault(report.learner, outcome)
            found += [f"{report.learner}, {way}, {parallel} in parallel: {line}" for line in sorted(set(outcome) - set(expected))]
    return found
