"""looplab grade: one submission or a class, in containers."""

import sys
import time
from collections.abc import Sized
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader.errors import EngineGone, SandboxFault, SettingsError
from grader.exercise import Exercise, load_exercise, load_exercises
from grader.report import Report
from grader.settings import Settings, read_settings

if TYPE_CHECKING:
    from grader.store import Store

PathOption = click.Path(path_type=Path)
DEFECTS_MAX = 3
"""Of suites, that the operator of a class is shown."""


@click.command()
@click.argument("path", required=False, type=PathOption)
@click.option("--exercise", "-e", help="Which exercise PATH is for. Default: the name of the folder or file.")
@click.option("--class", "class_dir", type=PathOption, help="Grade a class instead: DIR/<learner>/<exercise>/.")
@click.option(
    "--sandbox",
    type=click.Choice(["docker", "local"]),
    default="docker",
    show_default=True,
    help="local has no walls: only for your own code.",
)
@click.option("--learner", help="Whose submission it is.")
@click.option("--seed", type=int, help="Send the same requests as an earlier grading.")
@click.option(
    "--parallel", "-p", type=click.IntRange(1, 64), help="Submissions of a class at the same time. Default: two for each processor."
)
@click.option("--again", is_flag=True, help="Grade a class anew instead of resuming.")
@click.option("--json", "as_json", is_flag=True, help="Print one report (of a class: one a line) as JSON and nothing else.")
@click.option("--junit", type=PathOption, help="Write JUnit XML to this file, too.")
@click.option("--ctrf", type=PathOption, help="Write CTRF JSON to this file, too.")
@click.option("--no-store", is_flag=True, help="Do not keep the report of a single submission.")
def grade(
    path: Path | None,
    exercise: str | None,
    class_dir: Path | None,
    sandbox: str,
    learner: str | None,
    seed: int | None,
    parallel: int | None,
    again: bool,
    as_json: bool,
    junit: Path | None,
    ctrf: Path | None,
    no_store: bool,
) -> int:
    """Grades PATH (a folder, a JavaScript file, a zip, a tar.gz or a notebook) with the whole hidden suite, in a container.

    Exit code 0: full points; 1: less; 2: wrong command or exercise; 3: our machine failed, nothing was graded.
    """
    if (path is None) == (class_dir is None):
        raise click.UsageError("Give either PATH or --class DIR.")
    if learner is not None:
        from grader.classes import bad_name

        if complaint := bad_name(learner):
            raise SettingsError(f"--learner {complaint.removesuffix('; passed over.')}.")
    settings = read_settings()
    if class_dir is not None:
        reports = grade_and_show(settings, class_dir, sandbox, parallel, again, as_json, seed)
        loaded = load_exercises(settings.exercises)
    else:
        assert path is not None
        chosen = load_exercise(settings.exercises, exercise or path.resolve().name.split(".")[0])
        reports = [_grade_one(settings, chosen, path, sandbox, learner, seed, as_json, no_store)]
        loaded = [chosen]
    _write_files(reports, loaded, junit, ctrf)
    if any(report.verdict == "not_graded" for report in reports):
        return 3
    return 0 if all(report.verdict == "passed" for report in reports) else 1


def _grade_one(
    settings: Settings, exercise: Exercise, path: Path, sandbox: str, learner: str | None, seed: int | None, as_json: bool, no_store: bool
) -> Report:
    from grader.cli.common import open_grader
    from grader.grade import grade_path

    if not path.exists():
        raise SettingsError(f"There is nothing at {path}. Name the folder or file of a submission.")
    with ExitStack() as stack:
        store: Store | None = None
        if not no_store:
            from grader.store import open_store

            store = stack.enter_context(open_store(settings.database_url))  # before the work, which would be for nothing without it
        grader = stack.enter_context(open_grader(settings, sandbox, warm=False))
        report, defects = grade_path(grader, exercise, path, learner=learner, seed=seed)
        if store:
            store.add(report)
    for defect in defects:
        click.echo(f"A defect of the suite, for its author:\n{defect}", err=True)
    if as_json:
        from grader.formats.text import safe_json

        click.echo(safe_json(report.to_json()))
    else:
        from grader.formats.terminal import print_report

        print_report(report, exercise)
    return report


def grade_and_show(
    settings: Settings, folder: Path, sandbox: str, parallel: int | None, again: bool, as_json: bool, seed: int | None = None
) -> list[Report]:
    from rich.console import Console

    from grader.classes import default_parallel, find_submissions, grade_class
    from grader.cli.common import open_grader
    from grader.formats.table import class_progress, print_class
    from grader.formats.text import safe, safe_json
    from grader.store import open_store

    handed, remarks = find_submissions(folder, load_exercises(settings.exercises))
    console = Console(stderr=True, highlight=False)
    for remark in remarks:
        console.print(safe(remark), style="yellow", markup=False, soft_wrap=True)
    reports: list[Report] = []
    defects: list[str] = []
    kept = 0
    began = time.monotonic()
    try:
        with (
            open_grader(settings, sandbox) as grader,
            open_store(settings.database_url) as store,
            class_progress(console, len(handed)) as step,
        ):
            parallel = parallel or default_parallel()
            for report, known in grade_class(grader, handed, store, parallel=parallel, again=again, seed=seed, defects=defects):
                reports.append(report)
                kept += known
                step(report)
                if as_json:
                    sys.stdout.buffer.write(safe_json(report.to_json()) + b"\n")
                    sys.stdout.buffer.flush()
    except EngineGone as gone:  # in the middle (Stopped), or while its containers were being put away
        raise SandboxFault(f"{gone}\n{_saved(reports, handed)}") from gone
    except KeyboardInterrupt:
        console.print(f"\n{_saved(reports, handed)}", markup=False)
        raise
    if not as_json:
        print_class(reports)
    for defect in list(dict.fromkeys(defects))[:DEFECTS_MAX]:
        console.print(f"A defect of the suite, for its author:\n{safe(defect)}", style="yellow", markup=False, soft_wrap=True)
    took = time.monotonic() - began
    lost = [report for report in reports if report.verdict == "not_graded"]
    if lost:
        why = f"{len(lost)} of {len(reports)} are not graded: {safe(lost[0].facts.message)} Run the same command again to grade them."
        console.print(why, style="yellow", markup=False, soft_wrap=True)
    new = len(reports) - kept - len(lost)
    console.print(
        f"{new} graded in {took:.1f} s" + (f", {kept} were graded before (--again grades them anew)" if kept else "") + ".", style="dim"
    )
    return reports


def _saved(reports: list[Report], handed: Sized) -> str:
    graded = sum(report.verdict != "not_graded" for report in reports)
    return f"{graded} of {len(handed)} are graded and saved. Run the same command again to go on."


def _write_files(reports: list[Report], exercises: list[Exercise], junit: Path | None, ctrf: Path | None) -> None:
    from grader.formats.ctrf import ctrf_json
    from grader.formats.junit import junit_xml

    for path, render in ((junit, junit_xml), (ctrf, ctrf_json)):
        if path is not None:
            try:
                path.write_bytes(render(reports, exercises))
            except OSError as error:
                raise SettingsError(f"{path} cannot be written: {error.strerror}.") from error
