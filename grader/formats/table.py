"""A class for a person at a terminal: progress while it is graded, then a table of learners and exercises."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from grader.formats.text import safe
from grader.report import Report

COLOURS = {"passed": "green", "partial": "yellow", "failed": "red", "did_not_start": "red", "rejected": "red", "not_graded": "magenta"}
WORDS = {"did_not_start": "no start", "rejected": "rejected", "not_graded": "not graded"}


@contextmanager
def class_progress(console: Console, total: int) -> Iterator[Callable[[Report], None]]:
    """A progress bar; call the result with each report as it comes."""
    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("grading", total=total, last="")

        def step(report: Report) -> None:
            progress.update(bar, advance=1, last=f"{safe(report.learner or '')}/{report.exercise}")

        yield step


def print_class(reports: list[Report], console: Console | None = None) -> None:
    """One row a learner, one column an exercise, points and sum."""
    (console or Console(highlight=False)).print(class_table(reports))


def class_table(reports: list[Report]) -> Table:
    exercises = sorted({report.exercise for report in reports})
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("learner")
    for exercise in exercises:
        table.add_column(exercise.replace("-", "-\n"), justify="right", overflow="fold", vertical="bottom")
    table.add_column("sum", justify="right")
    cells = {(report.learner, report.exercise): report for report in reports}
    for learner in sorted({report.learner or "" for report in reports}):
        row = [cells.get((learner or None, exercise)) for exercise in exercises]
        graded = [report for report in row if report and report.points is not None]
        total = f"{sum(r.points or 0 for r in graded):g} / {sum(r.max_points for r in graded):g}"
        table.add_row(Text(safe(learner) or "–"), *(_cell(report) for report in row), total)
    return table


def _cell(report: Report | None) -> Text:
    if report is None:
        return Text("–", "dim")
    return Text(WORDS.get(report.verdict) or f"{report.points:g}", COLOURS[report.verdict])
