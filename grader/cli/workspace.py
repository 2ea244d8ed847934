"""looplab init and looplab lab: a learner's own folder, and JupyterLab in it."""

import os
import sys
from pathlib import Path

import click

import grader.notebooks
from grader.settings import Settings, read_settings


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--beside-others", is_flag=True, help="Make DIR a workspace although it holds other files. They stay as they are.")
def init(folder: Path, beside_others: bool) -> int:
    """Makes a workspace in DIR: the lessons, a folder for each exercise with its starter, contracts, and the visible checks.

    Run it again to get what is new in the course. Files that you changed are named and never touched.
    """
    _make(folder, read_settings(), beside_others)
    click.echo(f"Open it: looplab lab {folder}")
    return 0


def _make(folder: Path, settings: Settings, beside_others: bool = False) -> None:
    from grader.notebooks.workspace import is_workspace, make_workspace

    known = is_workspace(folder)
    changes = make_workspace(folder, settings, beside_others=beside_others)
    if not known:
        click.echo(f"Made a workspace in {folder.resolve()}: {len(changes.added)} files. Begin with its README.md.")
    elif not (changes.added or changes.updated):
        click.echo("Everything is up to date.")
    for what, names in (("new", changes.added if known else ()), ("updated", changes.updated), ("no longer in the course", changes.gone)):
        for name in names:
            click.echo(f"{what}: {name}")
    for name in changes.left:
        newer = " (The course has a newer one: rename yours and run this again to get it.)" if name in changes.outdated else ""
        click.echo(f"left alone, it is yours: {name}{newer}")
    if not settings.packages.is_dir():
        click.echo("The exercises' packages are not installed yet. Run `looplab setup --without-containers`.", err=True)


class _WithRest(click.Command):
    """Everything after `--` goes to JupyterLab as it is; click would take its first word for DIR."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta["rest"] = args[cut + 1 :]
        return super().parse_args(ctx, args[:cut])


@click.command(cls=_WithRest, options_metavar="[OPTIONS] [-- JUPYTERLAB OPTIONS]")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path), default=Path())
def lab(folder: Path) -> None:
    """Opens JupyterLab in the workspace DIR (default: here), and makes the workspace first when DIR is empty or not there.

    Ctrl-C ends it, its kernels and the servers that they run. What stands after `--` goes to `jupyter lab`, such as `-- --port 9000`.
    """
    from grader.notebooks.workspace import is_workspace

    settings = read_settings()
    folder = folder.resolve()
    if not is_workspace(folder):
        _make(folder, settings)
    words = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.answer_yes=True",  # Ctrl-C ends it at once, without a question
        "--ServerApp.log_level=ERROR",  # leaves the address, which is what a person needs
        "--LabApp.log_level=ERROR",
        "--MappingKernelManager.default_kernel_name=looplab-node",
        "--LabApp.news_url=None",  # asks no other machine
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if os.getuid() == 0 else []),
        *click.get_current_context().meta["rest"],
    ]
    click.echo(f"JupyterLab is starting in {folder}. Its address follows. Ctrl-C ends it.")
    sys.stdout.flush()
    # Switches off in the page: news of the Jupyter project, and nbgrader's tools for instructors.
    config = [str(Path(grader.notebooks.__file__).parent / "lab"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, config))
    os.chdir(folder)
    os.execv(sys.executable, words)  # signals reach it directly, and it ends its kernels itself
