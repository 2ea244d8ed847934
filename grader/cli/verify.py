"""looplab verify: the author's gate."""

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from grader.exercise import Exercise, load_exercise, load_exercises
from grader.formats.matrix import matrix
from grader.grade import Grader
from grader.settings import read_settings
from grader.verify import Seen, specimens, violations
from grader.verify import verify as run


@click.command()
@click.argument("ids", nargs=-1)
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Run everything so often: flakes show. A known-wrong repeats the checks that must fail it.",
)
@click.option("--load", is_flag=True, help="Beside two processes that compute without end.")
@click.option("--parallel", "-p", type=click.IntRange(1, 64), default=2, show_default=True, help="Gradings at the same time.")
@click.option("--sandbox", type=click.Choice(["docker", "local"]), default="docker", show_default=True)
def verify(ids: tuple[str, ...], repeat: int, load: bool, parallel: int, sandbox: str) -> int:
    """Proves the suites of the exercises IDS (default: all): they accept every right solution and reject every wrong one.

    Prints a table of checks and solutions, and each violation as a sentence. Exit code 0: none; 1: some.
    """
    from grader.cli.common import open_grader

    settings = read_settings()
    chosen = [load_exercise(settings.exercises, slug) for slug in ids] or load_exercises(settings.exercises)
    console = Console(highlight=False)
    complaints = 0
    with open_grader(settings, sandbox) as grader:
        for exercise in chosen:
            everything = _with_progress(console, grader, exercise, repeat, parallel, load)
            found = violations(exercise, everything)
            complaints += len(found)
            console.print(matrix(exercise, everything))
            runs = sum(len(seen.reports) for seen in everything)
            for sentence in found:
                console.print(f"✗ {sentence}", style="red", markup=False)
            console.print(f"{exercise.slug}: {len(found) or 'no'} violations in {runs} gradings.\n", style="red" if found else "green")
    return 1 if complaints else 0


def _with_progress(console: Console, grader: Grader, exercise: Exercise, repeat: int, parallel: int, load: bool) -> list[Seen]:
    columns = (TextColumn(exercise.slug), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[last]}"))
    everything: list[Seen] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(specimens(exercise)), last="")
        for seen in run(grader, exercise, repeat=repeat, parallel=parallel, load=load):
            everything.append(seen)
            progress.update(bar, advance=1, last=seen.specimen.label)
            if not progress.console.is_terminal:  # a log shows how far it is, too
                progress.console.print(
                    f"{exercise.slug}: {seen.specimen.label}, {len(seen.reports)} gradings", markup=False, highlight=False
                )
    return everything
