"""Grades what lies in an nbgrader course's submitted/, and writes the scores where nbgrader's other tools find them.

Every run leads to the same state, whatever was there before: what is graded is not graded again, what is missing is added, and what
something else has overwritten is put back. A fault of our machine changes nothing.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from nbgrader.api import Gradebook

from grader.classes import Handed, bad_name, grade_class, graded_before
from grader.errors import SettingsError
from grader.exercise import Exercise
from grader.grade import Grader
from grader.notebooks.files import write_whole
from grader.notebooks.nbgrader_feedback import autograded, comment, score
from grader.notebooks.nbgrader_gradebook import NbgraderCourse, known_to, parse_timestamp, save
from grader.notebooks.nbgrader_released import Released, nbgrader_of, read_released, source_of
from grader.notebooks.nbgrader_submitted import Answers, NotebookRefused, read_answers, read_small
from grader.report import Report
from grader.store import Store
from grader.submission import Submission, submission_of_cells

State = Literal["graded", "as before", "restored", "not graded"]
"""restored: the gradebook or the autograded notebook held something else, such as what nbgrader's own autograde leaves."""


@dataclass(frozen=True)
class HandedNotebook(Handed):
    """A learner's notebook that could be read. `path` is the folder that it came in."""

    release: Released
    answers: Answers
    timestamp: datetime | None
    files: dict[str, str]
    """Small files that nbgrader's later steps need: timestamp.txt, submission_secret.txt."""

    def read(self) -> Submission:
        cells = [(a.file, self.answers.sources[a.grade_id]) for a in self.release.answers if self._used(a.grade_id, a.spare, a.source)]
        return submission_of_cells(cells, self.exercise.slug, self.exercise.manifest.submit.entry)

    def _used(self, grade_id: str, spare: bool, released: str) -> bool:
        source = self.answers.sources.get(grade_id)
        return source is not None and not (spare and source.strip() in ("", released.strip()))

    @property
    def unchanged(self) -> bool:
        return all(self.answers.sources.get(a.grade_id, a.source).strip() == a.source.strip() for a in self.release.answers)


@dataclass(frozen=True)
class Row:
    """What became of one notebook. Scores are the gradebook's, with what people gave; None when nothing was graded."""

    learner: str
    notebook: str
    report: Report
    state: State
    score: float | None
    max_score: float
    late_penalty: float = 0.0


@dataclass(frozen=True)
class Found:
    """What lies in submitted/."""

    handed: list[HandedNotebook]
    passed_over: list[str]
    """A sentence for each notebook that a person has to look at."""
    remarks: list[str]


def find_handed(course: NbgraderCourse, assignment: str, learners: tuple[str, ...], load: Callable[[str], Exercise]) -> Found:
    """Reads what was handed in. Raises SettingsError when there is nothing, or when the release cannot be graded."""
    releases, others = _releases(course, assignment, load)
    siblings = (*(release.name for release, _ in releases), *(Path(name).stem for name in others))
    folders = course.learners(assignment)
    if not folders:
        raise SettingsError(f"Nobody has handed in {assignment}. Run: nbgrader collect {assignment}")
    if unknown := sorted(set(learners) - set(folders)):
        raise SettingsError(f"{unknown[0]} has not handed in {assignment}. Handed in: {', '.join(list(folders)[:12])}.")
    found = Found([], [], [f"{assignment}/{name} has no check of Looplab: it is not graded." for name in others])
    for learner, folder in folders.items():
        if learners and learner not in learners:
            continue
        if complaint := bad_name(learner):
            found.passed_over.append(complaint)
            continue
        for release, exercise in releases:
            try:
                item = _read(learner, folder, release, exercise, siblings)
            except NotebookRefused as refusal:
                found.passed_over.append(f"{learner}/{assignment} is passed over: {refusal}")
                continue
            found.handed.append(item)
            found.remarks.extend(f"{learner}/{assignment}: {remark}" for remark in item.answers.remarks)
    return found


def _releases(
    course: NbgraderCourse, assignment: str, load: Callable[[str], Exercise]
) -> tuple[list[tuple[Released, Exercise]], list[str]]:
    folder = course.release_of(assignment)
    ours, others = read_released(folder)
    if not ours:
        raise SettingsError(f"{folder} has no notebook with checks of Looplab (`%check EXERCISE --task N`). Use nbgrader autograde for it.")
    pairs = [(release, load(release.exercise)) for release in ours]
    with course.gradebook() as gradebook:
        for release, exercise in pairs:
            tasks = {task.number for task in exercise.manifest.tasks}
            for check in release.checks:
                if check.task not in tasks:
                    raise SettingsError(f"{folder / release.name}.ipynb checks task {check.task}, which {release.exercise} does not have.")
            known_to(gradebook, assignment, release)
    return pairs, others


def _read(learner: str, folder: Path, release: Released, exercise: Exercise, siblings: tuple[str, ...]) -> HandedNotebook:
    if folder.is_symlink() or folder.parent.is_symlink() or not folder.is_dir():
        raise NotebookRefused("it is not a folder. Put the folder itself there.")
    answers = read_answers(folder, release, siblings)
    files = {name: text for name in ("timestamp.txt", "submission_secret.txt") if (text := read_small(folder / name)) is not None}
    try:
        timestamp = parse_timestamp(files.get("timestamp.txt"))
    except ValueError:
        raise NotebookRefused("its timestamp.txt holds no time. Write the time of submission into it, or remove it.") from None
    return HandedNotebook(learner, exercise, folder, release, answers, timestamp, files)


def autograde(
    course: NbgraderCourse,
    assignment: str,
    handed: Iterable[HandedNotebook],
    store: Store,
    open_grader: Callable[[int], AbstractContextManager[tuple[Grader, Callable[[Report], None]]]],
    *,
    parallel: int,
    again: bool = False,
) -> Iterator[Row]:
    """Grades what is new (`again`: all), writes everything, and yields a row for each notebook when it is written.

    `open_grader` is only called when something has to be graded, with how many; what it yields beside the grader is told of each
    report. Raises Stopped when the container engine goes away. What was yielded is written, whatever happens.
    """
    waiting: dict[tuple[str, str], list[HandedNotebook]] = {}
    with course.gradebook() as gradebook:
        for item in handed:
            known = None if again else graded_before(store, item)
            if known:
                yield _write(course, gradebook, assignment, item, known, anew=False)
            else:
                waiting.setdefault((item.learner, item.exercise.slug), []).append(item)
        if not waiting:
            return
        items = [item for several in waiting.values() for item in several]
        with open_grader(len(items)) as (grader, tell), closing(grade_class(grader, items, store, parallel=parallel, again=True)) as graded:
            for report, _ in graded:
                tell(report)
                item = waiting[report.learner or "", report.exercise].pop()
                yield _write(course, gradebook, assignment, item, report, anew=True)


def _write(course: NbgraderCourse, gradebook: Gradebook, assignment: str, item: HandedNotebook, report: Report, *, anew: bool) -> Row:
    """The autograded notebook first, the gradebook second: formgrader shows only what is in the gradebook."""
    release = item.release
    if report.verdict == "not_graded":
        return Row(item.learner, release.name, report, "not graded", None, sum(check.points for check in release.checks))
    folder = course.path("autograded", item.learner, assignment)
    fresh = [_place(course, folder / f"{release.name}.ipynb", autograded(release, item.answers, report, item.exercise))]
    fresh += [_place(course, folder / name, text.encode()) for name, text in item.files.items()]
    entry = release.answers[0].grade_id
    before, written = save(
        course,
        gradebook,
        assignment,
        item.learner,
        release.name,
        timestamp=item.timestamp,
        scores={check.grade_id: score(report, check) for check in release.checks},
        comments={entry: comment(report, item.exercise, unchanged=item.unchanged)},
        answered=_answered(release, item.answers),
        anew=anew,
    )
    state: State = "graded" if anew or before == "nothing" else "restored" if before == "other" or any(fresh) else "as before"
    penalty = written.late_submission_penalty or 0.0
    return Row(item.learner, release.name, report, state, written.score - penalty, written.max_score, penalty)


def _place(course: NbgraderCourse, path: Path, data: bytes) -> bool:
    """False when it was there already."""
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return False
    write_whole(path, data)
    os.chmod(path, course.permissions())
    if course.dir.groupshared:
        for folder in (path.parent, path.parent.parent):
            os.chmod(folder, (folder.stat().st_mode | 0o2770) & 0o2777)
    return True


def _answered(release: Released, answers: Answers) -> dict[str, bool]:
    """Of the cells that people grade: was anything written into them?"""
    released = {nbgrader_of(cell).get("grade_id"): source_of(cell) for cell in release.content["cells"]}
    return {id: source.strip() != str(released[id]).strip() for id, source in answers.by_hand.items()}
