"""looplab nbgrader: a course for nbgrader, and its submissions graded in containers."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader.errors import SandboxFault, SettingsError
from grader.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from grader.grade import Grader
    from grader.notebooks.nbgrader_autograde import Row
    from grader.report import Report

PathOption = click.Path(path_type=Path)
SHOWN_DIFFERENCES = 8


@click.group()
def nbgrader() -> None:
    """Exercises as assignments of nbgrader. What learners hand in is graded in containers; nothing of it runs on this machine."""


@nbgrader.command()
@click.argument("folder", metavar="DIR", type=PathOption)
@click.option(
    "--exercise", "-e", "slugs", multiple=True, help="Only this exercise; may be given several times. Default: all that are ready."
)
@click.option("--course-id", help="What nbgrader calls the course. Default: looplab.")
@click.option("--exchange", type=PathOption, help="The folder in which assignments are released and handed in. Default: nbgrader's own.")
def init(folder: Path, slugs: tuple[str, ...], course_id: str | None, exchange: Path | None) -> int:
    """Makes an nbgrader course in DIR: its configuration and a source notebook for each exercise.

    Nothing that is there is ever changed. Run it again to add exercises, or to see what differs from what it would make now.
    """
    from grader.exercise import load_exercise, load_exercises
    from grader.notebooks.nbgrader_course import init_course

    settings = read_settings()
    exercises = [load_exercise(settings.exercises, slug) for slug in dict.fromkeys(slugs)] or [
        exercise for exercise in load_exercises(settings.exercises) if exercise.manifest.status == "ready"
    ]
    for exercise in exercises:
        if exercise.manifest.status != "ready":
            raise SettingsError(f'{exercise.slug} is not for learners yet: its status is "{exercise.manifest.status}".')
    if course_id is not None and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", course_id):
        raise SettingsError(f'--course-id "{course_id}": use letters, digits, ".", "_" and "-".')
    made = init_course(folder, exercises, course_id, exchange.resolve() if exchange else None)
    for file in made:
        name = file.path.relative_to(folder)
        if file.state == "differs":
            click.echo(f"{name}: kept; it differs from what Looplab would make:")
            for line in file.differences[:SHOWN_DIFFERENCES]:
                click.echo(f"    {line}")
            if len(file.differences) > SHOWN_DIFFERENCES:
                click.echo(f"    and {len(file.differences) - SHOWN_DIFFERENCES} more")
        else:
            click.echo(f"{name}: {file.state}")
    if any(file.state == "differs" for file in made):
        click.echo("To get the new one of a file that is kept, move yours away and run this again.")
    else:
        click.echo(f"Next: cd {folder} && nbgrader generate_assignment {exercises[0].slug}. {folder / 'README.md'} shows the rest.")
    return 0


@nbgrader.command()
@click.argument("assignment")
@click.option("--learner", "learners", multiple=True, help="Only this learner; may be given several times.")
@click.option("--parallel", "-p", type=click.IntRange(1, 64), help="Submissions at the same time. Default: two for each processor.")
@click.option("--course", "folder", type=PathOption, default=".", help="The folder of the course. Default: this one.")
@click.option("--again", is_flag=True, help="Grade anew what was graded before.")
@click.option("--db", "db_url", help="Another gradebook than the course's, as an SQLAlchemy URL.")
def autograde(assignment: str, learners: tuple[str, ...], parallel: int | None, folder: Path, again: bool, db_url: str | None) -> int:
    """Grades what was handed in for ASSIGNMENT in containers, and writes scores, comments and autograded notebooks.

    Only the answer cells of submitted notebooks are read. What people gave in formgrader stays. Run it again to go on after an
    interruption, or to put back what nbgrader's own autograde has overwritten.

    Exit code 0: full points for all; 1: less, or a notebook was passed over; 2: wrong command; 3: our machine failed.
    """
    # jsonschema does without this grammar for IRIs when it is not there. Building it takes more than a second, and nothing here uses it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None means: not there

    from rich.console import Console

    from grader.classes import Stopped, default_parallel
    from grader.exercise import load_exercise
    from grader.formats.text import safe
    from grader.notebooks.nbgrader_autograde import autograde as autograde_notebooks
    from grader.notebooks.nbgrader_autograde import find_handed
    from grader.notebooks.nbgrader_gradebook import NbgraderCourse
    from grader.store import open_store

    settings = read_settings()
    console = Console(stderr=True, highlight=False)
    course = NbgraderCourse(folder, db_url)
    found = find_handed(course, assignment, learners, lambda slug: load_exercise(settings.exercises, slug))
    for remark in found.passed_over + found.remarks:
        console.print(safe(remark), style="yellow", markup=False, soft_wrap=True)
    rows: list[Row] = []
    began = time.monotonic()

    def saved() -> str:
        return f"{len(rows)} of {len(found.handed)} are graded and written. Run the same command again to go on."

    open_one = partial(_grader_with_progress, settings, console)
    try:
        with open_store(settings.database_url) as store:
            workers = parallel or default_parallel()
            rows.extend(autograde_notebooks(course, assignment, found.handed, store, open_one, parallel=workers, again=again))
    except Stopped as stopped:
        raise SandboxFault(f"{stopped}\n{saved()}") from stopped
    except KeyboardInterrupt:
        console.print(f"\n{saved()}", markup=False)
        raise
    if rows:
        Console(highlight=False).print(_table(rows))
    console.print(_summary(rows, len(found.passed_over), time.monotonic() - began), style="dim", soft_wrap=True)
    if any(row.state == "not graded" for row in rows):
        return 3
    return 0 if not found.passed_over and all(row.report.verdict == "passed" for row in rows) else 1


@contextmanager
def _grader_with_progress(settings: Settings, console: "Console", total: int) -> "Iterator[tuple[Grader, Callable[[Report], None]]]":
    from grader.cli.common import open_grader
    from grader.formats.table import class_progress

    with open_grader(settings, "docker") as grader, class_progress(console, total) as step:
        yield grader, step


def _table(rows: "list[Row]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from grader.formats.table import COLOURS
    from grader.formats.terminal import VERDICTS
    from grader.formats.text import safe

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column, side in (("learner", "left"), ("notebook", "left"), ("checks", "left"), ("gradebook", "right"), ("", "left")):
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]  # left, right
    for row in sorted(rows, key=lambda row: (row.learner, row.notebook)):
        checks = VERDICTS[row.report.verdict]
        if row.report.verdict == "partial":
            checks = f"{row.report.points:g} of {row.report.max_points:g}"
        score = "–" if row.score is None else f"{row.score:g} / {row.max_score:g}"
        late = f", {row.late_penalty:g} taken for lateness" if row.late_penalty else ""
        table.add_row(
            Text(safe(row.learner)), row.notebook, Text(checks, COLOURS[row.report.verdict]), score, Text(f"{row.state}{late}", "dim")
        )
    return table


def _summary(rows: "list[Row]", passed_over: int, seconds: float) -> str:
    count = Counter(row.state for row in rows)
    parts = [f"{count['graded']} graded in {seconds:.1f} s"]
    if count["as before"]:
        parts.append(f"{count['as before']} were graded before (--again grades them anew)")
    if count["restored"]:
        parts.append(f"{count['restored']} restored, because something else had been written over them")
    if count["not graded"]:
        parts.append(f"{count['not graded']} not graded yet: run the same command again")
    if passed_over:
        parts.append(f"{passed_over} passed over: see above")
    return "; ".join(parts) + "."
