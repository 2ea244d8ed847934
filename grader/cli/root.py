"""The list of commands, and what each kind of error becomes."""

import difflib
import importlib
import io
import signal
import sys

import click

from grader.errors import ExerciseError, LessonError, SandboxFault, SettingsError, exhausted
from grader.warm import Started

COMMANDS = {
    "init": ("grader.cli.workspace", "Make your workspace: lessons, starters, contracts, visible checks."),
    "lab": ("grader.cli.workspace", "Open JupyterLab in your workspace."),
    "check": ("grader.cli.check", "Check your own server: visible checks, in a second."),
    "grade": ("grader.cli.grade", "Grade one submission, or a whole class, in containers."),
    "verify": ("grader.cli.verify", "Prove that a suite accepts what is right and rejects what is wrong."),
    "list": ("grader.cli.exercises", "Show the exercises."),
    "report": ("grader.cli.report", "Show a stored report, or the table of a class."),
    "doctor": ("grader.cli.doctor", "Say what works on this machine and what to do about what does not."),
    "setup": ("grader.cli.doctor", "Prepare this machine: packages, container engine, runtime image."),
    "nbgrader": ("grader.cli.nbgrader", "Make an nbgrader course, and grade what learners hand in there in containers."),
    "demo": ("grader.cli.demo", "Grade a bundled class of strange and honest learners."),
    "lessons": ("grader.cli.lessons", "Build and run the notebooks of the course."),
    "bench": ("grader.cli.bench", "Measure the grader beside its baselines."),
}


class _Lazy(click.Group):
    """Imports a command's module when it is called: `looplab check` must not wait for SQLAlchemy and Docker."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name][0]), name.replace("list", "list_exercises"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            raise click.UsageError(f'There is no command "{args[0]}".' + (f" Did you mean {near[0]}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="looplab", prog_name="looplab")
def root() -> None:
    """Looplab grades real Node.js servers with hidden suites, each alone in a container without a network."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a service manager or `docker stop` sends it: everything is put away as after Ctrl-C."""


def _terminated(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def run(started: Started | None) -> int:
    """Runs the command. Every error that Looplab knows ends as one sentence and its exit code; others are bugs and show a traceback."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = root.main(standalone_mode=False, obj=started)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(file=words)
        print(_safe(words.getvalue()), end="", file=sys.stderr)
        return 2
    except (SettingsError, ExerciseError, LessonError) as error:
        print(f"looplab: {_safe(str(error))}", file=sys.stderr)
        return 2
    except SandboxFault as error:
        print(f"looplab: {_safe(str(error))}", file=sys.stderr)
        return 3
    except (KeyboardInterrupt, click.Abort) as end:  # click makes an Abort of every KeyboardInterrupt
        terminated = isinstance(end.__cause__ or end, Terminated)
        print(f"\n{'Terminated' if terminated else 'Interrupted'}. Nothing is left running.", file=sys.stderr)
        return 143 if terminated else 130
    except BrokenPipeError:
        return 1
    except (OSError, RuntimeError, MemoryError) as error:
        if fault := exhausted(error):
            print(f"looplab: {_safe(str(fault))}", file=sys.stderr)
            return 3
        raise
    return code if isinstance(code, int) else 0


def _safe(text: str) -> str:
    """A message may name a file or an argument, and these are called as their maker liked."""
    from grader.formats.text import safe

    return safe(text)
