"""The table of verify: which check rejected which solution."""

from rich.table import Table
from rich.text import Text

from grader.exercise import Exercise
from grader.verify import Seen


def matrix(exercise: Exercise, everything: list[Seen]) -> Table:
    """One row a check, one column a solution. ✗ failed as it must, x failed beside, · passed, ! flaky or against the rules."""
    table = Table(
        title=f"{exercise.slug}: {exercise.manifest.title}", title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim"
    )
    table.add_column("check")
    for number, _ in enumerate(everything, 1):
        table.add_column(str(number), justify="center")
    for check in exercise.checks:
        table.add_row(check.id.removeprefix("test_"), *(_cell(check.id, seen) for seen in everything))
    table.add_section()
    table.add_row("points", *(Text("/".join(sorted({_points(r.points) for r in seen.reports})), "dim") for seen in everything))
    legend = Text("\n".join(f"{number:>3} {seen.specimen.label}" for number, seen in enumerate(everything, 1)), "dim")
    table.caption = legend
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
