"""What the commands that grade in containers share."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from grader.errors import SettingsError
from grader.grade import Grader
from grader.sandbox import Sandbox
from grader.sandbox.workplace import Workplace
from grader.settings import Settings
from grader.suite.host import SuiteHost


@contextmanager
def open_grader(settings: Settings, sandbox: str, *, warm: bool = True, spares: int = 0) -> Iterator[Grader]:
    """A Grader on this machine: sweeps what a killed one left, and cleans up behind itself. Never falls back to another sandbox."""
    with SuiteHost(warm=warm) as suites, Workplace(settings.run_dir) as workplace:
        workplace.sweep()
        with _sandbox(settings, sandbox, workplace, spares) as opened:
            yield Grader(opened, suites, settings.run_dir)


def _sandbox(settings: Settings, name: str, workplace: Workplace, spares: int) -> Sandbox:
    if name == "local":
        from grader.sandbox.local import LocalSandbox

        return LocalSandbox(settings.node, settings.packages, workplace, i_trust_this_code=True)
    from grader.sandbox.docker import DockerSandbox, Engine, sweep
    from grader.sandbox.image import image_base, image_tag

    engine = Engine()
    if image_base(engine, settings) is None:
        raise SettingsError("The runtime image is missing or out of date. Run `make setup` (or `looplab setup`).")
    removed = sweep(engine, workplace)
    if removed:
        click.echo(f"Removed {removed} containers that a killed grader had left.", err=True)
    return DockerSandbox(engine, image_tag(settings), workplace, uses=settings.container_uses, spares=spares)
