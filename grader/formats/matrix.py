"""The table of verify: which check rejected which solution."""

from rich.table import Table
from rich.text import Text

from grader.exercise import Exercise
from grader.verify import Seen


def matrix(exercise: Exercise, everything: list[Seen]) -> Table:
    """One row a solution, one column a check. ✗ failed as it must, x failed beside, · passed, ! flaky or against the rules."""
    table = Table(
        title=f"{exercise.slug}: {exercise.manifest.title}", title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim"
    )
    table.add_column("solution", no_wrap=True)
    for number, _ in enumerate(exercise.checks, 1):
        table.add_column(str(number), justify="center", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    for seen in everything:
        points = "/".join(sorted({_points(r.points) for r in seen.reports}))
        table.add_row(seen.specimen.label, *(_cell(check.id, seen) for check in exercise.checks), Text(points, "dim"))
    table.caption = Text("\n".join(f"{number:>3} {check.id}" for number, check in enumerate(exercise.checks, 1)), "dim")
    table.caption_justify = "left"
    return table


def _points(points: float | None) -> str:
    return "?" if points is None else f"{points:.1f}".rstrip("0").rstrip(".")


def _cell(check_id: str, seen: Seen) -> Text:
    outcomes = {c.outcome for report in seen.reports for c in report.checks if c.id == check_id}
    expected = seen.specimen.wrong is not None and check_id in seen.specimen.wrong.fails
    right = seen.specimen.kind in ("solution", "right")
    if not outcomes:
        return Text("–", "dim")
    if expected:
        return Text("✗", "bold green") if outcomes == {"failed"} else Text("!", "bold red")
    if right and outcomes != {"passed"}:
        return Text("!", "bold red")
    return Text("·", "dim") if outcomes == {"passed"} else Text("x", "dim")
