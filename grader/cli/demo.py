"""looplab demo: a whole class, before your eyes."""

import click
from rich.console import Console

from grader.cli.grade import grade_and_show
from grader.exercise import load_exercises
from grader.settings import read_settings


@click.command()
@click.option("--parallel", "-p", type=click.IntRange(1, 64), help="Submissions at the same time. Default: two for each processor.")
def demo(parallel: int | None) -> int:
    """Grades a bundled class of a dozen learners in containers, keeps the reports, and shows the table and one learner's feedback.

    Some of the class are right, some wrong, some crash or hang, and some attack the grader. Exit code 0: all were graded.
    """
    from grader.demo import build_class
    from grader.formats.terminal import print_report

    settings = read_settings()
    exercises = load_exercises(settings.exercises)
    folder = settings.data / "demo-class"
    count = build_class(folder, settings.home, exercises)
    console = Console(highlight=False)
    console.print(
        f"A class of {count} learners over {len(exercises)} exercises, in {folder}. mallory and eve are up to no good.\n", markup=False
    )
    reports = grade_and_show(settings, folder, "docker", parallel, again=True, as_json=False)
    by_slug = {exercise.slug: exercise for exercise in exercises}
    console.print()
    for report in reports:
        if report.learner == "barbara":
            print_report(report, by_slug[report.exercise], console=console)
            console.print()
    console.print("All reports: `looplab report --learner NAME`, `looplab report --json`. The table again: `looplab report`.", style="dim")
    return 3 if any(report.verdict == "not_graded" for report in reports) else 0
