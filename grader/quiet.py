"""Checks that measure time or memory get a quiet machine; everything else shares it.

One readers-writer lock for all gradings of this machine, on two files (flock, so a killed process lets go). A shared holder does
ordinary work; the exclusive holder measures. The turnstile keeps newcomers from starving somebody who waits for quiet.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
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


class Noise:
    """How much of the machine others took while something was measured: what a lock among gradings cannot keep away."""

    def __init__(self, ours: Callable[[], float]) -> None:
        """`ours` tells the processor time so far, in seconds, of all that belongs to the measurement."""
        self._ours = ours
        self._began = time.monotonic()
        self._before = _machine_seconds() - ours()

    def share(self) -> float:
        """Processor time of everybody else since the beginning, as a share of what all processors had: 0 is quiet, 1 is none left."""
        took = time.monotonic() - self._began
        others = _machine_seconds() - self._ours() - self._before
        return max(0.0, others - 2 / TICKS) / (took * (os.cpu_count() or 1))  # each side is counted in whole ticks


TICKS = os.sysconf("SC_CLK_TCK")


def _machine_seconds() -> float:
    """Time that all processors together were busy or taken by the host of a virtual machine (steal); proc(5), /proc/stat."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal, *_ = (int(field) for field in file.readline().split()[1:])
    except (OSError, ValueError):  # no Linux: then nothing is measured, and nothing is tried again
        return 0.0
    return (user + nice + system + irq + softirq + steal) / TICKS


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
