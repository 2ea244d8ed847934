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

from grader.errors import EngineGone, SandboxFault, SettingsError, SubmissionRejected, exhausted
from grader.exercise import Exercise
from grader.grade import Grader, grade_read
from grader.report import Report
from grader.store import Store
from grader.submission import Submission, read_submission

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".ipynb", ".mjs", ".js", ".cjs", ".ts")
NAME_MAX = 100
"""Characters of a learner's name."""
REMARKS_MAX = 10
"""About one learner's folder: who puts 10,000 files there must not fill the operator's screen."""


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
            handed, said = _of_learner(learner, by_slug)
            found += handed
            remarks += said[:REMARKS_MAX]
            if len(said) > REMARKS_MAX:
                remarks.append(f"{learner.name}: and {len(said) - REMARKS_MAX} more that are no exercise; passed over.")
    if not found:
        raise SettingsError(
            f"{folder} holds no submission. A class is DIR/<learner>/<exercise>/, with exercises as `looplab list` names them."
        )
    return found, remarks


def _of_learner(learner: Path, by_slug: dict[str, Exercise]) -> tuple[list[Handed], list[str]]:
    try:
        paths = sorted(learner.iterdir())
        slugs = ["" if path.is_symlink() else _slug(path) for path in paths]
    except OSError as error:  # one learner's closed folder must not stop the class
        return [], [f"{learner.name}: cannot be read ({error.strerror}). Allow it, then run the same command again. Passed over."]
    found: list[Handed] = []
    remarks: list[str] = []
    for path, slug in zip(paths, slugs, strict=True):
        name = f"{learner.name}/{printable(path.name)}"
        if slug in by_slug and slugs.count(slug) > 1:  # which of them counts is not ours to guess
            remarks.append(f"{name}: is one of several submissions for {slug}; keep one. Passed over.")
        elif slug in by_slug:
            found.append(Handed(learner.name, by_slug[slug], path))
        elif not path.name.startswith("."):
            remarks.append(f"{name}: is no exercise; passed over.")
    return found, remarks


def _slug(path: Path) -> str:
    return next((path.name.removesuffix(ending) for ending in ARCHIVES if path.is_file() and path.name.endswith(ending)), path.name)


def bad_name(name: str) -> str | None:
    """A sentence about a learner's name that no report may carry. `/` cannot stand in a folder's name, but in an argument."""
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in name) or len(name) > NAME_MAX:
        return f"{printable(name)}: a learner's name must be printable text of at most {NAME_MAX} characters; passed over."
    if not name.strip() or name in (".", "..") or "/" in name:
        return f'"{printable(name)}": a learner\'s name must be the name of a folder; passed over.'
    return None


def printable(name: str) -> str:
    return "".join(c if not unicodedata.category(c).startswith(("C", "Zl", "Zp")) else "�" for c in name)[:NAME_MAX]


class Stopped(EngineGone):
    """The run ended before its end. What was graded is saved."""


def grade_class(
    grader: Grader,
    handed: Sequence[Handed],
    store: Store,
    *,
    parallel: int,
    again: bool = False,
    seed: int | None = None,
    defects: list[str] | None = None,
) -> Generator[tuple[Report, bool], None, None]:
    """Grades everything handed in; yields each report as it is saved, and whether it was there already.

    Raises Stopped when nothing more can be graded or kept, since the engine, the image, the disk or the database is gone: reports
    yielded so far are saved, running ones are not. Without `seed` every grading draws its own; two runs can only be compared with
    the same one. `defects` takes what suites showed of themselves, for their authors.
    """
    stopped = threading.Event()

    def one(item: Handed) -> Report | None:
        if stopped.is_set():
            return None
        try:
            report, found = grade_read(grader, item.exercise, item.read, learner=item.learner, seed=seed)
            if defects is not None:
                defects.extend(f"{item.exercise.slug}: {defect}" for defect in found)
            if stopped.is_set() and report.verdict == "not_graded":
                return None  # it was cut off by the end of the run: not worth a row
            store.add(report)
        except (SandboxFault, SettingsError) as error:  # all the others would meet the same
            stopped.set()
            raise Stopped(str(error)) from error
        except Exception as error:
            stopped.set()
            if fault := exhausted(error):
                raise Stopped(str(fault)) from error
            raise
        return report

    waiting = []
    for item in handed:
        known = None if again else graded_before(store, item)
        if known:
            yield known, True
        else:
            waiting.append(item)
    waiting.sort(key=lambda item: item.exercise.slug)  # those who share limits can share containers
    end: Stopped | None = None
    with ThreadPoolExecutor(parallel, thread_name_prefix="grade") as pool:
        pending: set[Future[Report | None]] = set()
        try:
            pending.update(pool.submit(one, item) for item in waiting)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        report = future.result()
                    except Stopped as error:
                        end = end or error
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
    if end:
        raise end


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
