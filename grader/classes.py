"""A whole class: `DIR/<learner>/<exercise>/`, graded in parallel, each report saved as soon as it is there.

Stopped at any moment, by Ctrl-C, SIGKILL or an engine that went away, a run is resumed by the same command: what the same suite
already graded of the same bytes is not graded again.
"""

import os
import threading
import unicodedata
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from grader.errors import EngineGone, SettingsError, SubmissionRejected
from grader.exercise import Exercise
from grader.grade import Grader, grade_read
from grader.report import Report
from grader.store import Store
from grader.submission import Submission, read_submission

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".ipynb", ".mjs", ".js", ".cjs", ".ts")


@dataclass(frozen=True)
class Handed:
    """One thing that a learner handed in."""

    learner: str
    exercise: Exercise
    path: Path

    def read(self) -> Submission:
        """Raises SubmissionRejected."""
        return read_submission(self.path, self.exercise.manifest.submit.entry, self.exercise.slug)


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
        if complaint := bad_name(learner.name):
            remarks.append(complaint)
        elif learner.is_symlink() or not learner.is_dir():
            remarks.append(f"{learner.name}: is not a learner's folder; passed over.")
        else:
            paths = sorted(learner.iterdir())
            slugs = ["" if path.is_symlink() else _slug(path) for path in paths]
            for path, slug in zip(paths, slugs, strict=True):
                if slug in by_slug and slugs.count(slug) > 1:  # which of them counts is not ours to guess
                    name = f"{learner.name}/{printable(path.name)}"
                    remarks.append(f"{name}: is one of several submissions for {slug}; keep one. Passed over.")
                elif slug in by_slug:
                    found.append(Handed(learner.name, by_slug[slug], path))
                elif not path.name.startswith("."):
                    remarks.append(f"{learner.name}/{printable(path.name)}: is no exercise; passed over.")
    if not found:
        raise SettingsError(
            f"{folder} holds no submission. A class is DIR/<learner>/<exercise>/, with exercises as `looplab list` names them."
        )
    return found, remarks


def _slug(path: Path) -> str:
    return next((path.name.removesuffix(ending) for ending in ARCHIVES if path.is_file() and path.name.endswith(ending)), path.name)


def bad_name(name: str) -> str | None:
    if any(unicodedata.category(c).startswith("C") for c in name) or len(name) > 100:
        return f"{printable(name)}: a learner's name must be printable text of at most 100 characters; passed over."
    return None


def printable(name: str) -> str:
    return "".join(c if not unicodedata.category(c).startswith("C") else "�" for c in name)[:100]


class Stopped(EngineGone):
    """The run ended before its end. What was graded is saved."""


def grade_class(
    grader: Grader, handed: Sequence[Handed], store: Store, *, parallel: int, again: bool = False, seed: int | None = None
) -> Generator[tuple[Report, bool], None, None]:
    """Grades everything handed in; yields each report as it is saved, and whether it was there already.

    Raises Stopped when the engine goes away: reports yielded so far are saved, running ones are not. Without `seed` every
    grading draws its own; two runs can only be compared with the same one.
    """
    stopped = threading.Event()

    def one(item: Handed) -> Report | None:
        if stopped.is_set():
            return None
        try:
            report, _ = grade_read(grader, item.exercise, item.read, learner=item.learner, seed=seed)
        except EngineGone:
            stopped.set()
            raise
        if stopped.is_set() and report.verdict == "not_graded":
            return None  # it was cut off by the end of the run: not worth a row
        store.add(report)
        return report

    waiting = []
    for item in handed:
        known = None if again else graded_before(store, item)
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


def graded_before(store: Store, item: Handed) -> Report | None:
    """What the same suite has said of the same bytes of the same learner."""
    try:
        return store.graded(item.learner, item.exercise.slug, item.exercise.digest, item.read().digest)
    except SubmissionRejected as refusal:
        report = store.graded(item.learner, item.exercise.slug, item.exercise.digest, "")
        return report if report and report.facts.message == str(refusal) else None


def default_parallel() -> int:
    """Two for each processor that this process may use: half of a grading is waiting."""
    return 2 * len(os.sched_getaffinity(0))
