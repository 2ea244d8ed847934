"""The author's gate: a suite that cannot tell right from wrong does not merge.

- solution/ and every right/ get all points; starter/ does not;
- each wrong/ fails every check that exercise.toml lists for it; each check is failed by at least one wrong/;
- impostors (servers that know nothing of the exercise) get no points at all;
- no check crashes on any of them: what a server sends must never look like a defect of the suite.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from grader.errors import ExerciseError
from grader.exercise import Exercise, Wrong
from grader.grade import Grader, grade_path
from grader.report import Report

HOG = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Computes until it is killed, or whoever started it is gone."""
Kind = Literal["solution", "right", "wrong", "starter", "impostor"]
IMPOSTORS = Path(__file__).parent / "impostors"


@dataclass(frozen=True)
class Specimen:
    """A server whose verdict is known beforehand."""

    kind: Kind
    name: str
    path: Path
    wrong: Wrong | None = None

    @property
    def label(self) -> str:
        return self.kind if self.kind in ("solution", "starter") else f"{self.kind}/{self.name}"


@dataclass
class Seen:
    """All runs of one specimen."""

    specimen: Specimen
    reports: list[Report] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    def failed(self) -> set[str]:
        """Checks that failed in at least one run."""
        return {c.id for report in self.reports for c in report.checks if c.outcome == "failed"}


def specimens(exercise: Exercise) -> list[Specimen]:
    """Everything that verify runs for an exercise. Raises ExerciseError for a folder that exercise.toml does not know."""
    folder = exercise.folder
    listed = {wrong.folder: wrong for wrong in exercise.manifest.wrong}
    for path in sorted((folder / "wrong").glob("*/")):
        if path.name not in listed:
            raise ExerciseError(f"exercises/{exercise.slug}/wrong/{path.name}: is not listed in exercise.toml. Say what it must fail.")
    return [
        Specimen("solution", "solution", folder / "solution"),
        *(Specimen("right", path.name, path) for path in sorted((folder / "right").glob("*/"))),
        Specimen("starter", "starter", folder / "starter"),
        *(Specimen("wrong", wrong.folder, folder / "wrong" / wrong.folder, wrong) for wrong in exercise.manifest.wrong),
        *(Specimen("impostor", path.stem, path) for path in sorted(IMPOSTORS.glob("*.mjs"))),
    ]


def verify(grader: Grader, exercise: Exercise, *, repeat: int = 1, parallel: int = 1, load: bool = False) -> Iterator[Seen]:
    """Runs every specimen `repeat` times, yielding each specimen's runs when they are complete.

    What is right runs with the whole suite each time. A known-wrong does so once, then only with the checks that must fail it: the
    question is whether they always do. Impostors and the starter run once: they prove nothing about flakiness.
    """
    with busy_processors() if load else contextlib.nullcontext(), ThreadPoolExecutor(parallel) as pool:
        jobs = [
            (
                specimen,
                [pool.submit(grade_path, grader, suite, specimen.path) for suite in suites_of(exercise, specimen, repeat)],
            )
            for specimen in specimens(exercise)
        ]
        try:
            for specimen, futures in jobs:
                seen = Seen(specimen)
                for future in futures:
                    report, defects = future.result()
                    seen.reports.append(report)
                    seen.defects += defects
                yield seen
        except BaseException:  # Ctrl-C: what runs is given up, so that nobody waits a minute
            grader.suites.abort()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def suites_of(exercise: Exercise, specimen: Specimen, repeat: int) -> list[Exercise]:
    """The suite of each run of a specimen."""
    if specimen.kind in ("impostor", "starter"):
        return [exercise]
    if specimen.wrong is None:
        return [exercise] * repeat
    named = tuple(check for check in exercise.checks if check.id in specimen.wrong.fails)
    return [exercise] + [msgspec.structs.replace(exercise, checks=named)] * (repeat - 1)


def violations(exercise: Exercise, everything: list[Seen]) -> list[str]:
    """What is wrong, a sentence each; empty when the suite holds."""
    found: list[str] = []
    for seen in everything:
        found += _violations_of(seen)
    killed = {check_id for seen in everything if seen.specimen.kind == "wrong" for check_id in seen.failed()}
    found += [
        f"No wrong/ solution fails {check.id}: nothing proves that it can fail." for check in exercise.checks if check.id not in killed
    ]
    return found


def _violations_of(seen: Seen) -> Iterator[str]:
    specimen, label, runs = seen.specimen, seen.specimen.label, len(seen.reports)
    for defect in dict.fromkeys(seen.defects):
        yield f"A check crashed on {label}: {defect.strip()}"
    lost = [report for report in seen.reports if report.verdict == "not_graded"]
    if lost:
        yield f"{label} was not graded in {len(lost)} of {runs} runs: {lost[0].facts.message}"
    graded = [report for report in seen.reports if report.verdict != "not_graded"]
    if specimen.kind in ("solution", "right"):
        yield from _imperfect(label, graded, runs)
    elif specimen.kind == "starter":
        if any(report.verdict == "passed" for report in graded):
            yield "starter gets all points: there is nothing to do."
        for report in (r for r in graded if r.verdict in ("did_not_start", "rejected")):
            yield f"starter does not run: {report.facts.message}"
    elif specimen.kind == "impostor":
        for report in (r for r in graded if r.points):
            gifts = ", ".join(c.id for c in report.checks if c.outcome == "passed")
            yield f"{label} gets {report.points:g} points for nothing: {gifts}."
    elif specimen.wrong:
        for check_id in specimen.wrong.fails:
            missed = [r for r in graded if check_id not in {c.id for c in r.checks if c.outcome == "failed"}]
            if missed:
                note = f" ({missed[0].facts.message})" if not missed[0].checks else ""
                yield f"{label} should fail {check_id}, but did not in {len(missed)} of {runs} runs{note} (seed {missed[0].seed})."


def _imperfect(label: str, graded: list[Report], runs: int) -> Iterator[str]:
    bad = [report for report in graded if report.verdict != "passed"]
    if bad and not bad[0].checks:
        yield f"{label} should get all points, but: {bad[0].facts.message} ({len(bad)} of {runs} runs)"
    for check_id in dict.fromkeys(c.id for report in bad for c in report.checks if c.outcome != "passed"):
        cases = [(r, c) for r in bad for c in r.checks if c.id == check_id and c.outcome != "passed"]
        yield f"{label} should pass {check_id}, but did not in {len(cases)} of {runs} runs: {cases[0][1].message} (seed {cases[0][0].seed})"


@contextlib.contextmanager
def busy_processors(count: int = 2) -> Iterator[None]:
    """Processes that compute without end while the block lasts: the neighbours of a bad day."""
    hogs = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
