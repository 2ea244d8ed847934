"""looplab list: the exercises."""

import click

from grader.exercise import load_exercises
from grader.settings import read_settings


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One exercise a line, as JSON.")
def list_exercises(as_json: bool) -> int:
    """Shows the exercises in the order of the course."""
    found = load_exercises(read_settings().exercises)
    if as_json:
        import msgspec

        for exercise in found:
            entry = {
                "exercise": exercise.slug,
                "checks": len(exercise.checks),
                "points": exercise.max_points,
                **msgspec.to_builtins(exercise.manifest),
            }
            click.echo(msgspec.json.encode({key: entry[key] for key in entry if key != "wrong"}))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column, justify in (
        ("exercise", "left"),
        ("module", "left"),
        ("level", "right"),
        ("minutes", "right"),
        ("checks", "right"),
        ("what you build", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for exercise in found:
        m = exercise.manifest
        visible = sum(check.visible for check in exercise.checks)
        table.add_row(exercise.slug, m.module, str(m.difficulty), str(m.minutes), f"{visible}+{len(exercise.checks) - visible}", m.summary)
    Console(highlight=False).print(
        table, "[dim]checks: visible + hidden. Start with exercises/<exercise>/prompt.md and `looplab check <exercise> <folder>`.[/dim]"
    )
    return 0
