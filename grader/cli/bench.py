"""looplab bench: figures beside their baselines."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from grader.bench import Figure, as_json, class_throughput, verdicts, whole_command
from grader.bench_kernel import kernel_flood
from grader.bench_nbgrader import nbgrader_ten
from grader.settings import read_settings

SECTIONS = ("commands", "class", "kernel", "nbgrader")


@click.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=7, show_default=True, help="How often each whole command is timed.")
@click.option("--count", type=click.IntRange(1, 1000), default=40, show_default=True, help="Submissions of the class.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Only this section; may be given several times.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def bench(rounds: int, count: int, only: tuple[str, ...], json_file: Path | None) -> int:
    """Measures the grader. Every figure stands beside a baseline of the same run; the ratio is what to compare between machines.

    Exit code 1 when the class is graded differently at different parallelism.
    """
    from grader.cli.common import open_grader
    from grader.sandbox.image import image_tag

    settings = read_settings()
    console = Console(stderr=True, highlight=False)
    figures: list[Figure] = []
    runs = []
    sections = only or SECTIONS
    if "commands" in sections:
        with console.status("timing whole commands"):
            figures += whole_command(settings, image_tag(settings), rounds)
    if "class" in sections:
        with console.status(f"grading a class of {count}"), open_grader(settings, "docker") as grader:
            for figure, reports in class_throughput(grader, settings, count, (1, 2, 4)):
                figures.append(figure)
                if reports:
                    runs.append(verdicts(reports))
    if "kernel" in sections:
        with console.status("flooding a notebook"):
            figures += kernel_flood(settings, rounds)
    if "nbgrader" in sections:
        with console.status("grading ten notebooks, our way and nbgrader's own"):
            figures += nbgrader_ten(settings)
    Console(highlight=False).print(_table(figures))
    same = all(run == runs[0] for run in runs)
    if runs:
        word = "the same" if same else "DIFFERENT"
        click.echo(f"Verdicts and outcomes of all {count} submissions at {len(runs)} degrees of parallelism: {word}.")
    for other in runs[1:]:
        for one, another in zip(runs[0], other, strict=True):
            for line in sorted(set(one[2]) ^ set(another[2])):
                click.echo(f"  differs: {one[0]} {one[1]} / {another[1]}: {line}")
    if json_file:
        json_file.write_text(as_json(figures))
    return 0 if same else 1


def _table(figures: list[Figure]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("what", "value", "baseline", "ratio", "baseline is", "goal"):
        table.add_column(column, justify="right" if column in ("value", "baseline", "ratio") else "left")
    for f in figures:
        table.add_row(f.name, f"{f.value:.2f} {f.unit}", f"{f.baseline:.2f} {f.unit}", f"{f.ratio:.2f}", f.baseline_is, f.goal)
    return table
