"""looplab check: a learner's own server, on this machine, with the visible checks."""

import importlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader.errors import SettingsError
from grader.settings import read_settings
from grader.warm import Started

if TYPE_CHECKING:
    from grader.exercise import Exercise

ELSEWHERE_SECONDS = 2.0


@click.command()
@click.argument("exercise")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved. End with Ctrl-C.")
@click.option("--seed", type=int, help="Send the same requests as an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
@click.option("--hints", is_flag=True, help="Show the hint of every failed check.")
@click.option("--task", type=int, help="Run only the checks of this task.")
def check(exercise: str, path: Path | None, watch: bool, seed: int | None, as_json: bool, hints: bool, task: int | None) -> int:
    """Checks your server for EXERCISE in the folder or file PATH (default: ./EXERCISE if it exists, else here).

    The program runs on this machine as you: check only code that you trust. Exit code 0: every check passed; 1: not yet.
    """
    from grader.suite.host import SuiteHost

    started = click.get_current_context().find_object(Started)
    with SuiteHost(warm=watch, started=started) as suites:
        from grader.exercise import load_exercise
        from grader.grade import Grader, grade_path
        from grader.sandbox.local import LocalSandbox
        from grader.sandbox.workplace import Workplace

        settings = read_settings()
        loaded = load_exercise(settings.exercises, exercise)
        if task is not None:
            loaded = _only_task(loaded, task)
        place = path or (Path(exercise) if Path(exercise).is_dir() else Path())
        if not place.exists():
            raise SettingsError(f"There is nothing at {place}. Name the folder or the file of your server.")
        with Workplace(settings.run_dir) as workplace:
            workplace.sweep()
            sandbox = LocalSandbox(settings.node, settings.packages, workplace, i_trust_this_code=True)
            grader = Grader(sandbox, suites, settings.run_dir, visible_only=True, elsewhere_seconds=ELSEWHERE_SECONDS)

            # While the server and the suite come up there is time to prepare for the answer.
            threading.Thread(target=importlib.import_module, args=["grader.formats.terminal"]).start()

            def once() -> int:
                report, defects = grade_path(grader, loaded, place, seed=seed)
                if as_json:
                    from grader.formats.text import safe_json

                    click.echo(safe_json(report.to_json()))
                else:
                    from grader.formats.terminal import print_report

                    print_report(report, loaded, hints=hints, command=f"looplab check {exercise} {path or ''}".strip())
                for defect in defects:
                    click.echo(f"A defect of the suite, not of your server; please report it:\n{defect}", err=True)
                return {"passed": 0, "not_graded": 3}.get(report.verdict, 1)

            code = once()
            if watch:
                from watchfiles import watch as changes

                click.echo("Watching. Save a file to check again; Ctrl-C ends.")
                for _ in changes(place, raise_interrupt=False):
                    click.clear()
                    code = once()
            return code


def _only_task(exercise: "Exercise", task: int) -> "Exercise":
    """The exercise with the checks of one task. Their points stay what they are: they depend on the task alone."""
    import msgspec

    tasks = [t.number for t in exercise.manifest.tasks]
    if task not in tasks:
        raise SettingsError(f"{exercise.slug} has no task {task}. It has {', '.join(map(str, tasks))}.")
    return msgspec.structs.replace(exercise, checks=tuple(check for check in exercise.checks if check.task == task))
