"""looplab bench: figures beside their baselines, as a table, a page or raw data."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from grader.settings import read_settings

if TYPE_CHECKING:
    from grader.bench.run import Run, Tick
    from grader.bench.sections import Plan, Section

SECTIONS = ("commands", "phases", "first-answer", "class", "memory", "kernel", "nbgrader")
TABLE_WIDTH = 160
"""Where no terminal says how wide it is."""


@click.command()
@click.option(
    "--rounds",
    type=click.IntRange(1, 90),
    default=40,
    show_default=True,
    help="How often each thing is timed; at most 7 where one takes seconds.",
)
@click.option("--count", type=click.IntRange(1, 1000), default=36, show_default=True, help="Submissions of the class.")
@click.option(
    "--parallel",
    "-p",
    type=click.IntRange(1, 64),
    multiple=True,
    default=(1, 2, 4, 8),
    show_default=True,
    help="Submissions of the class at the same time.",
)
@click.option("--notebooks", type=click.IntRange(1, 100), default=10, show_default=True, help="Submissions of the nbgrader course.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Only this section; may be given several times.")
@click.option(
    "--page", type=click.Path(path_type=Path, file_okay=False), help="Write benchmarks.md, its charts and its raw data into this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print every sample as JSON and nothing else.")
def bench(
    rounds: int, count: int, parallel: tuple[int, ...], notebooks: int, only: tuple[str, ...], page: Path | None, as_json: bool
) -> int:
    """Measures the grader. Every figure stands beside a baseline of the same run; the ratio is what to compare between machines.

    Exit code 1 when the class is graded differently at different parallelism, or in containers of different age.
    """
    from grader.bench.page import write_page
    from grader.bench.run import to_json
    from grader.bench.sections import Plan, measure

    console = Console(stderr=True, highlight=False)
    run = measure(Plan(read_settings(), rounds, count, tuple(dict.fromkeys(parallel)), notebooks), only, _Progress(console))
    if as_json:
        click.echo(to_json(run))
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else TABLE_WIDTH).print(_table(run))
    for line in (*run.notes, *(f"differs: {line}" for line in run.differs)):
        click.echo(line, err=True)
    if page:
        for path in write_page(run, page):
            click.echo(f"wrote {path}", err=True)
    return 1 if run.differs else 0


class _Progress:
    """One bar after the other, on stderr. It is drawn twice a second: drawing is processor time, too."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, section: "Section", plan: "Plan") -> Iterator["Tick"]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, refresh_per_second=2) as progress:
            task = progress.add_task(section.doing, total=section.steps(plan))

            def tick(text: str) -> None:
                progress.update(task, advance=1, description=f"{section.doing}: {text}" if text else section.doing)

            yield tick
            progress.update(task, description=section.doing)


def _table(run: "Run") -> Table:
    from grader.bench.page import amount, ratio

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("", "what", "value", "baseline", "ratio", "baseline is", "goal"):
        table.add_column(column, justify="right" if column in ("value", "baseline", "ratio") else "left")
    for f in run.figures:
        table.add_row(f.section, f.name, f"{amount(f.value)} {f.unit}", f"{amount(f.baseline)} {f.unit}", ratio(f), f.baseline_is, f.goal)
    return table
