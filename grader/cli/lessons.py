"""looplab lessons: builds and runs the notebooks of the course."""

import click

from grader.errors import LessonError
from grader.notebooks.course import load_course
from grader.settings import read_settings


@click.group()
def lessons() -> None:
    """Builds and runs the course's lessons. For authors; a lesson is one file, course/lessons/NN-name/lesson.md."""


@lessons.command()
@click.argument("names", nargs=-1, metavar="[NN…]")
def build(names: tuple[str, ...]) -> int:
    """Makes lesson.ipynb of lesson.md for the lessons NN (default: all): no outputs, stable ids, the same bytes for the same source.

    Exit code 2 when a lesson.md is wrong; the others are built nevertheless.
    """
    from grader.notebooks.lessons import build_lesson, load_lesson

    settings = read_settings()
    course = load_course(settings.home)
    complaints = []
    for slug in [course.find_lesson(name) for name in names] or course.lessons:
        try:
            lesson = load_lesson(settings.home, slug)
        except LessonError as error:
            complaints.append(str(error))
            continue
        written = build_lesson(lesson)
        click.echo(f"course/lessons/{slug}/lesson.ipynb: {'written' if written else 'unchanged'}")
    if complaints:
        raise LessonError("\n".join(complaints))
    return 0


@lessons.command()
@click.argument("names", nargs=-1, metavar="[NN…]")
@click.option(
    "--timeout", type=click.FloatRange(1), default=180.0, show_default=True, help="Seconds that a lesson may take from top to bottom."
)
def run(names: tuple[str, ...], timeout: float) -> int:
    """Runs the lessons NN (default: all) from top to bottom, each in a fresh workspace, and writes executed.ipynb.

    Exit code 1 when a cell failed, a claim did not hold or the time was over; what came out is written nevertheless.
    """
    from rich.console import Console

    from grader.notebooks.files import write_whole
    from grader.notebooks.lessons import load_lesson
    from grader.notebooks.run import run_lesson

    settings = read_settings()
    course = load_course(settings.home)
    console = Console(stderr=True, highlight=False)
    good = True
    for lesson in [load_lesson(settings.home, slug) for slug in [course.find_lesson(name) for name in names] or course.lessons]:
        with console.status(lesson.slug) as status:
            done = run_lesson(lesson, settings, timeout, lambda at, of: status.update(f"{lesson.slug}: cell {at} of {of}"))  # noqa: B023
        write_whole(lesson.folder / "executed.ipynb", done.executed)
        good = good and done.good
        held = sum(claim.held for claim in done.claims)
        click.echo(f"{done.lesson}: {done.seconds:.1f} s, {done.cells} cells, {held} of {len(done.claims)} claims held")
        for claim in done.claims:
            click.echo(f"  {claim.sentence}")
        for trouble in done.troubles:
            click.echo(f"  ✗ {trouble}")
    return 0 if good else 1
