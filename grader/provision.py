"""Prepares a machine: each step looks first, does nothing when its work is done, and says what it does."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from grader.errors import SettingsError
from grader.settings import Settings

Say = Callable[[str], None]
ENGINE_SECONDS = 60.0
ENGINE_PID = Path("/var/run/docker.pid")
ENGINE_LOG = Path("/var/log/looplab-dockerd.log")


def install_packages(settings: Settings, say: Say) -> bool:
    """Installs the packages that exercises offer and the one that the kernel needs, from their locks, with scripts off.

    False when they were there.
    """
    wanted = {settings.packages.parent: "the exercises' packages", settings.home / "course" / "kernel": "the kernel's package"}
    done = [_install(settings, folder, what, say) for folder, what in wanted.items()]
    return any(done)


def _install(settings: Settings, folder: Path, what: str, say: Say) -> bool:
    stamp = folder / "node_modules" / ".looplab-lock"
    lock = (folder / "package-lock.json").read_bytes()
    if stamp.is_file() and stamp.read_bytes() == lock:
        return False
    say(f"installing {what} (npm ci, scripts off)")
    npm = settings.node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run(
        [str(settings.node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        "The packages could not be installed",
        cwd=folder,
    )
    stamp.write_bytes(lock)
    return True


def engine_answers() -> bool:
    """Whether a container engine answers on the configured socket."""
    import docker
    from docker.errors import DockerException

    try:
        return bool(docker.from_env(timeout=10).ping())
    except (DockerException, OSError):
        return False


def provide_engine(say: Say) -> bool:
    """Makes a container engine answer: uses a running one, else, as root on Debian or Ubuntu, installs and starts one.

    False when one was running. Raises SettingsError with what to do where this cannot do it.
    """
    if engine_answers():
        return False
    if os.getuid() != 0:
        raise SettingsError(
            "No container engine answers. Start Docker (`sudo systemctl start docker`) and let this user use it "
            "(`sudo usermod -aG docker $USER`, then log in again), or run this as root."
        )
    if shutil.which("dockerd") is None or shutil.which("iptables") is None:
        if shutil.which("apt-get") is None:
            raise SettingsError(
                "No container engine is installed, and this is neither Debian nor Ubuntu. "
                "Install Docker Engine, start it, and run this again."
            )
        say("installing a container engine (docker.io, iptables)")
        _apt_install("docker.io", "iptables")
    if engine_answers():  # the package may have started it
        return True
    say("starting the container engine")
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=False)
    else:
        _remove_stale_pid_file()
        with ENGINE_LOG.open("ab") as log:
            subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + ENGINE_SECONDS
    while not engine_answers():
        if time.monotonic() > deadline:
            raise SettingsError(
                f"The container engine did not answer within {ENGINE_SECONDS:g} s. Its log: {ENGINE_LOG} or `journalctl -u docker`."
            )
        time.sleep(0.2)
    return True


def provide_browser(say: Say) -> bool:
    """Makes Chromium available, which the tests look at pages with. False when it is there. Raises SettingsError where it cannot."""
    if shutil.which("chromium"):
        return False
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise SettingsError("The tests look at pages in Chromium. Install it so that `chromium` is on the path, and run this again.")
    say("installing a browser for the tests (chromium)")
    _apt_install("chromium")
    return True


def _apt_install(*packages: str) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], "apt-get update failed", env=quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    run(install, f"{' and '.join(packages)} could not be installed", env=quiet)


def _remove_stale_pid_file() -> None:
    """A killed dockerd leaves its pid file, and the next one refuses to start while any process, even a zombie, has that number."""
    try:
        fields = Path(f"/proc/{int(ENGINE_PID.read_text())}/stat").read_text()
        alive = "(dockerd)" in fields and fields.rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError):
        alive = False
    if not alive:
        ENGINE_PID.unlink(missing_ok=True)


def provide_image(settings: Settings, say: Say) -> bool:
    """Builds the runtime image for this checkout. False when it exists."""
    from grader.sandbox.docker import Engine
    from grader.sandbox.image import build_image, image_base

    engine = Engine()
    if image_base(engine, settings):
        return False
    build_image(engine, settings, say)
    return True


def run(command: list[str], complaint: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Runs a command silently; raises SettingsError with its last words when it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise SettingsError(f"{complaint} (`{' '.join(command)}` ended with {done.returncode}):\n{last}")
