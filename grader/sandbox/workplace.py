"""Folders of running gradings, and the sweep of those whose grader died.

Each grader process has one session folder below the run directory and holds a lock in it while it lives. A folder whose lock is
free belongs to a grader that was killed: the next start sweeps it, and every container that names a session without a live lock.

Names say nothing about learners: a submission can read the host's path of its own folder in /proc/self/mountinfo.
"""

import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.errors import SettingsError
from grader.submission import Submission

SUITE_UID = 2_000_001_000
"""Uid of the suite's process when the grader is root: nobody's on the host. The sockets belong to it."""


class Workplace:
    """A session folder with its lock. Use as a context manager; leaving it removes the folder."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.session = f"g{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._lock = -1

    def __enter__(self) -> "Workplace":
        self.run_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        owner = self.run_dir.stat().st_uid
        if owner != os.getuid():
            raise SettingsError(f"LOOPLAB_RUN_DIR: {self.run_dir} belongs to somebody else (uid {owner}). Name another folder.")
        closed = next(
            (path for path in (self.run_dir, *self.run_dir.parents) if os.getuid() == 0 and not path.stat().st_mode & 0o001), None
        )
        if closed:  # suites run under a user of their own, which must reach the sockets
            raise SettingsError(f"LOOPLAB_RUN_DIR: other users cannot pass through {closed}. Allow it (chmod o+x), or name another folder.")
        with self._register():
            self.folder.mkdir(mode=0o711)
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    @property
    def folder(self) -> Path:
        return self.run_dir / self.session

    def lives(self, session: str) -> bool:
        """Whether the grader of a session of this run directory still holds its lock. It took it before its first container."""
        try:
            lock = os.open(self.run_dir / session / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def sweep(self) -> None:
        """Removes the folders of dead sessions. Their containers are found by their labels: `docker.sweep`."""
        with self._register():  # so that one without a lock is not just being made: its grader died before, or while it tidied up
            for folder in self.run_dir.glob("g*"):
                if not self.lives(folder.name):
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _register(self) -> Iterator[None]:
        """Held while a session is made and while dead ones are swept."""
        register = os.open(self.run_dir / "sessions.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(register, fcntl.LOCK_EX)
            yield
        finally:
            os.close(register)

    @contextmanager
    def box_folder(self) -> Iterator[Path]:
        """A folder for one box: `s` for its sockets, `srv` for the submission that is in it (`lay_in`)."""
        folder = self.folder / str(next(self._numbers))
        sockets, srv = folder / "s", folder / "srv"
        folder.mkdir(mode=0o711)
        try:
            srv.mkdir()
            srv.chmod(0o755)
            sockets.mkdir()
            if os.getuid() == 0:
                os.chown(sockets, SUITE_UID, 0)
            sockets.chmod(0o770)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def lay_in(folder: Path, submission: Submission, packages: tuple[str, ...], packages_at: Path) -> None:
    """Puts a submission into a box's folder, in place of the one before: `srv/app`, and `srv/node_modules` with links to its packages.

    Nobody but the grader can write there. Links are made only here and point only to `packages_at`; names of the submission
    were checked when it was read.
    """
    app, modules = folder / "srv" / "app", folder / "srv" / "node_modules"
    for path in (app, modules):
        if path.exists():
            shutil.rmtree(path)
        path.mkdir()
        path.chmod(0o755)
    for name, data in submission.files.items():
        target = app / name
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    for package in packages:
        link = modules / package
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(packages_at / package)
