"""What the commands that grade in containers share."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import click

from grader.errors import SandboxFault, SettingsError
from grader.grade import Grader
from grader.sandbox import Sandbox
from grader.sandbox.workplace import Workplace
from grader.settings import Settings
from grader.suite.host import SuiteHost

NEEDED = {"open files (ulimit -n)": (resource.RLIMIT_NOFILE, 1024), "processes (ulimit -u)": (resource.RLIMIT_NPROC, 512)}
"""What a grader and its suites need. One that runs out of connections or threads in a check could not tell that from a deaf server."""


@contextmanager
def open_grader(settings: Settings, sandbox: str, *, warm: bool = True, spares: int = 0) -> Iterator[Grader]:
    """A Grader on this machine: sweeps what a killed one left, and cleans up behind itself. Never falls back to another sandbox."""
    _provide_limits()
    with SuiteHost(warm=warm) as suites, Workplace(settings.run_dir) as workplace:
        workplace.sweep()
        with _sandbox(settings, sandbox, workplace, spares) as opened:
            yield Grader(opened, suites, settings.run_dir)


def _provide_limits() -> None:
    """Raises this process's own limits to what is needed, as far as it may. Raises SandboxFault when it may not."""
    for name, (kind, needed) in NEEDED.items():
        soft, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SandboxFault(
                f"This process may have only {hard} {name}; gradings need {needed}. Allow it more, then run the same command again."
            )
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(kind, (needed, hard))


@contextmanager
def _sandbox(settings: Settings, name: str, workplace: Workplace, spares: int) -> Iterator[Sandbox]:
    if name == "local":
        from grader.sandbox.local import LocalSandbox

        with LocalSandbox(settings.node, settings.packages, workplace, i_trust_this_code=True) as local:
            yield local
        return
    from grader.sandbox.docker import DockerSandbox, Engine, sweep
    from grader.sandbox.image import image_base, image_tag

    engine = Engine()
    if image_base(engine, settings) is None:
        raise SettingsError("The runtime image is missing or out of date. Run `make setup` (or `looplab setup`).")
    removed = sweep(engine, workplace)
    if removed:
        click.echo(f"Removed {removed} containers that a killed grader had left.", err=True)
    with DockerSandbox(engine, image_tag(settings), workplace, uses=settings.container_uses, spares=spares) as containers:
        yield containers
    sweep(engine, workplace)  # what a killed grader had asked for in its last moment may have been made only after the first sweep
