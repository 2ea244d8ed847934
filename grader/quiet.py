"""Checks that measure time or memory get a quiet machine; everything else shares it.

One readers-writer lock for all gradings of this machine, on two files (flock, so a killed process lets go). A shared holder does
ordinary work; the exclusive holder measures. The turnstile keeps newcomers from starving somebody who waits for quiet.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Quiet:
    """One holder's handle: open one per process or thread, since flock belongs to the open file."""

    def __init__(self, run_dir: Path) -> None:
        self._turnstile = _open(run_dir / "turnstile.lock")
        self._room = _open(run_dir / "quiet.lock")

    def close(self) -> None:
        os.close(self._turnstile)
        os.close(self._room)

    @contextmanager
    def hold(self, *, alone: bool) -> Iterator[None]:
        """Waits as long as it takes: holders are bounded by their own deadlines."""
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
