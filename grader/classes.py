"""A whole class: `DIR/<learner>/<exercise>/`, graded in parallel, each report saved as soon as it is there.

Stopped at any moment, by Ctrl-C, SIGKILL or an engine that went away, a run is resumed by the same command: what the same suite
already graded of the same bytes is not graded again.
"""

import os
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from grader.errors import EngineGone, SettingsError, SubmissionRejected
from grader.exercise import Exercise
from grader.grade import Grader, grade_path
from grader.report import Report
from grader.store import Store
from grader.submission import read_submission

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".ipynb", ".mjs", ".js", ".cjs", ".ts")


@dataclass(frozen=True)
class Handed:
    """One thing that a learner handed in."""

    learner: str
    exercise: Exercise
    path: Path


def find_submissions(folder: Path, exercises: list[Exercise]) -> tuple[list[Handed], list[str]]:
    """What lies in a class folder, and a sentence for everything in it that is none of ours."""
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder. A class is DIR/<learner>/<exercise>/ with one folder or file for each exercise.")
    by_slug = {exercise.slug: exercise for exercise in exercises}
    found: list[Handed] = []
    remarks: list[str] = []
    for learner in sorted(folder.iterdir()):
        if learner.name.startswith("."):
            continue
        if complaint := _bad_name(learner.name):
            remarks.append(complaint)
        elif learner.is_symlink() or not learner.is_dir():
            remarks.append(f"{learner.name}: is not a learner's folder; passed over.")
        else:
            for path in sorted(learner.iterdir()):
                slug = _slug(path)
                if slug in by_slug and not path.is_symlink():
                    found.append(Handed(learner.name, by_slug[slug], path))
                elif not path.name.startswith("."):
                    remarks.append(f"{learner.name}/{_printable(path.name)}: is no exercise; passed over.")
    if not found:
        raise SettingsError(
            f"{folder} holds no submission. A class is DIR/<learner>/<exercise>/, with exercises as `looplab list` names them."
        )
    return found, remarks


def _slug(path: Path) -> str:
    return next((path.name.removesuffix(ending) for ending in ARCHIVES if path.is_file() and path.name.endswith(ending)), path.name)


def _bad_name(name: str) -> str | None:
    if any(unicodedata.category(c).startswith("C") for c in name) or len(name) > 100:
        return f"{_printable(name)}: a learner's name must be printable text of at most 100 characters; passed over."
    return None


def _printable(name: str) -> str:
    return "".join(c if not unicodedata.category(c).startswith("C") else "�" for c in name)[:100]


class Stopped(EngineGone):
    """The run ended before its end. What was graded is saved."""


def grade_class(
    grader: Grader, handed: list[Handed], store: Store, *, parallel: int, again: bool = False, seed: int | None = None
) -> Iterator[tuple[Report, bool]]:
    """Grades everything handed in; yields each report as it is saved, and whether it was there already.

    Raises Stopped when the engine goes away: reports yielded so far are saved, running ones are not. Without `seed` every
    grading draws its own; two runs can only be compared with the same one.
    """
    stopped = threading.Event()

    def one(item: Handed) -> Report | None:
        if stopped.is_set():
            return None
        try:
            report, _ = grade_path(grader, item.exercise, item.path, learner=item.learner, seed=seed)
        except EngineGone:
            stopped.set()
            raise
        if stopped.is_set() and report.verdict == "not_graded":
            return None  # it was cut off by the end of the run: not worth a row
        store.add(report)
        return report

    waiting = []
    for item in handed:
        known = None if again else _known(store, item)
        if known:
            yield known, True
        else:
            waiting.append(item)
    gone: EngineGone | None = None
    with ThreadPoolExecutor(parallel, thread_name_prefix="grade") as pool:
        pending: set[Future[Report | None]] = {pool.submit(one, item) for item in waiting}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        report = future.result()
                    except EngineGone as error:
                        gone = error
                        continue
                    if report:
                        yield report, False
        except BaseException:  # Ctrl-C: what runs is given up, so that nobody waits half a minute
            stopped.set()
            grader.suites.abort()
            raise
        finally:
            stopped.set()
            for future in pending:
                future.cancel()
    if gone:
        raise Stopped(str(gone)) from gone


def _known(store: Store, item: Handed) -> Report | None:
    try:
        digest = read_submission(item.path, item.exercise.manifest.submit.entry).digest
    except SubmissionRejected:
        return None
    return store.graded(item.learner, item.exercise.slug, item.exercise.digest, digest)


def default_parallel() -> int:
    """Two for each processor that this process may use: half of a grading is waiting."""
    return 2 * len(os.sched_getaffinity(0))
