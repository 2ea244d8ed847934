"""An nbgrader course on disk: its configuration, what was handed in, and its gradebook.

Ours in the gradebook: `auto_score`, `auto_comment`, `timestamp`, and `late_submission_penalty` as the course's plugin says. A person's:
`manual_score`, `extra_credit`, `manual_comment`; they are never written.
"""

import difflib
import glob
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, SubmittedNotebook
from nbgrader.apps.baseapp import NbGrader
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config import Config

from grader.errors import SandboxFault, SettingsError
from grader.notebooks.nbgrader_released import Released

Before = Literal["nothing", "same", "other"]
"""What the gradebook held of this very submission: no score, the same as now, or something else, which was not ours."""


class NbgraderCourse:
    """A course folder as nbgrader itself would read it."""

    def __init__(self, folder: Path, db_url: str | None = None) -> None:
        """Runs the course's nbgrader_config.py, which is the instructor's own. Raises SettingsError."""
        if not (folder / "nbgrader_config.py").is_file():
            raise SettingsError(f"{folder} is no nbgrader course: it has no nbgrader_config.py. Name the course with --course DIR.")
        app = NbGrader(log_level=logging.CRITICAL, raise_config_file_errors=True)
        app.load_cwd_config = False
        try:
            app.initialize([], root=str(folder.resolve()))
        except Exception as error:  # any code may stand there
            raise SettingsError(f"{folder / 'nbgrader_config.py'} cannot be used: {type(error).__name__}: {error}") from error
        except SystemExit:
            raise SettingsError(f"nbgrader refuses {folder / 'nbgrader_config.py'}. Run `nbgrader list` there: it says why.") from None
        self.config: Config = app.config
        self.dir: CourseDirectory = app.coursedir
        if db_url:
            self.dir.db_url = db_url

    def path(self, step: str, learner: str, assignment: str) -> Path:
        """`step` is source, release, submitted or autograded; the configuration may call them otherwise."""
        return Path(self.dir.format_path(getattr(self.dir, f"{step}_directory"), learner, assignment))

    def release_of(self, assignment: str) -> Path:
        """Raises SettingsError with the nearest assignment."""
        folder = self.path("release", ".", assignment)
        if folder.is_dir() and re.fullmatch(r"[^/\\*+]+", assignment) and assignment not in (".", ".."):
            return folder
        if self.path("source", ".", assignment).is_dir():
            raise SettingsError(f"{assignment} is not released. Run: nbgrader generate_assignment {assignment}")
        known = sorted(path.name for path in self.path("release", ".", "x").parent.glob("*/"))
        near = difflib.get_close_matches(assignment, known, 1, 0.4)
        raise SettingsError(
            f'There is no assignment "{assignment}". '
            + (f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}." if known else "Nothing is released yet.")
        )

    def learners(self, assignment: str) -> dict[str, Path]:
        """Who handed it in, and where."""
        anyone = self.path("submitted", "LEARNER", assignment)
        pattern = re.compile(self.dir.format_path(self.dir.submitted_directory, "(?P<learner>.*)", re.escape(assignment), escape=True))
        found = sorted(glob.glob(glob.escape(str(anyone)).replace("LEARNER", "*")))
        return {match["learner"]: Path(path) for path in found if (match := pattern.fullmatch(path))}

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Raises SettingsError when there is none, SandboxFault when it cannot be written to."""
        url = make_url(self.dir.db_url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            raise SettingsError(f"There is no gradebook {url.database}. Run nbgrader generate_assignment for your assignments.")
        try:
            with Gradebook(self.dir.db_url, self.dir.course_id) as gradebook:
                yield gradebook
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error)
            raise SandboxFault(f"The gradebook {url!r} cannot be used: {why}. Run the same command again when it can.") from error

    def permissions(self) -> int:
        """Of autograded files, as nbgrader's own autograde sets them."""
        return 0o664 if self.dir.groupshared else 0o444


def known_to(gradebook: Gradebook, assignment: str, release: Released) -> None:
    """Raises SettingsError when the gradebook does not know the notebook with just these cells."""
    again = f"Run: nbgrader generate_assignment {assignment} --force"
    try:
        notebook = gradebook.find_notebook(release.name, assignment)
    except MissingEntry:
        raise SettingsError(f"The gradebook does not know {assignment}/{release.name}. {again}") from None
    wanted = {check.grade_id for check in release.checks} | {answer.grade_id for answer in release.answers}
    missing = wanted - {cell.name for cell in [*notebook.grade_cells, *notebook.solution_cells]}
    if missing:
        raise SettingsError(f"The gradebook does not know the cell {sorted(missing)[0]} of {assignment}/{release.name}. {again}")


def parse_timestamp(text: str | None) -> datetime | None:
    """As nbgrader reads timestamp.txt: in UTC, without a zone. Raises ValueError."""
    try:
        parsed: datetime | None = parse_utc(text) if text else None
    except (OverflowError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    return parsed


def save(
    course: NbgraderCourse,
    gradebook: Gradebook,
    assignment: str,
    learner: str,
    notebook: str,
    *,
    timestamp: datetime | None,
    scores: dict[str, float],
    comments: dict[str, str | None],
    answered: dict[str, bool],
    anew: bool,
) -> tuple[Before, SubmittedNotebook]:
    """Brings the gradebook to what was graded, and says what it had said before.

    `answered` tells for the solution cells that people grade whether there is more than the starter in them. `anew`: this submission
    was graded in this run, so a penalty that only an earlier submission deserved goes.
    """
    gradebook.update_or_create_student(learner)
    with gradebook.db.no_autoflush:  # it builds the rows of a new submission one by one
        submission = gradebook.update_or_create_submission(assignment, learner)
    try:
        handed = gradebook.find_submission_notebook(notebook, assignment, learner)
    except MissingEntry:  # it came into the assignment after this learner was graded
        handed = _add_notebook(gradebook, submission, gradebook.find_notebook(notebook, assignment))
    first = submission.timestamp != timestamp or all(grade.auto_score is None for grade in handed.grades if grade.name in scores)
    submission.timestamp = timestamp
    changed = [_set_grade(grade, scores.get(grade.name), answered.get(grade.name, True)) for grade in handed.grades]
    for cell in handed.comments:
        text = comments.get(cell.name, None if answered.get(cell.name, True) else "No response.")
        changed.append(cell.auto_comment != text)
        cell.auto_comment = text
    gradebook.db.commit()
    changed.append(_set_penalty(course, gradebook, submission, handed, anew=anew))
    gradebook.db.commit()
    return "nothing" if first else "other" if any(changed) else "same", handed


def _add_notebook(gradebook: Gradebook, submission: Any, notebook: Any) -> SubmittedNotebook:
    """The empty rows that nbgrader makes with a new submission."""
    handed = SubmittedNotebook(notebook_id=notebook.id, assignment_id=submission.id)
    gradebook.db.add(handed)
    gradebook.db.flush()
    gradebook.db.add_all(Grade(cell_id=cell.id, notebook_id=handed.id) for cell in [*notebook.grade_cells, *notebook.task_cells])
    gradebook.db.add_all(Comment(cell_id=cell.id, notebook_id=handed.id) for cell in [*notebook.solution_cells, *notebook.task_cells])
    gradebook.db.commit()
    return handed


def _set_grade(grade: Any, score: float | None, answered: bool) -> bool:
    """A cell that Looplab does not score is for a person, unless nothing was written into it: as nbgrader does it.

    A person who has given points is asked again only when the score below them has changed.
    """
    if score is None and not answered:
        score = 0.0
    judged = grade.manual_score is not None
    review = (grade.needs_manual_grade or grade.auto_score != score) if judged else score is None
    changed = bool(grade.auto_score != score or grade.needs_manual_grade != review)
    grade.auto_score, grade.needs_manual_grade = score, review
    return changed


def _set_penalty(course: NbgraderCourse, gradebook: Gradebook, submission: Any, handed: SubmittedNotebook, *, anew: bool) -> bool:
    """Asks the course's plugin, as nbgrader's autograde does. Where it has nothing to say, what a person has set stays."""
    before = handed.late_submission_penalty
    penalty = None
    if submission.total_seconds_late > 0:
        rule = AssignLatePenalties(config=course.config)
        rule.log.setLevel(logging.CRITICAL)
        rule.init_plugin()
        penalty = rule.plugin_inst.late_submission_penalty(submission.student.id, handed.score, submission.total_seconds_late)
        if penalty is not None:
            penalty = min(max(penalty, 0), handed.score)
    in_time = submission.timestamp is not None and submission.duedate is not None and submission.total_seconds_late == 0
    if penalty is None and not anew and not in_time:
        penalty = before
    handed.late_submission_penalty = penalty
    return bool(before != penalty)
