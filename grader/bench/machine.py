"""Facts about this machine, and where its processor time went."""

import contextlib
import os
import platform
import re
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from grader.bench.run import Machine
from grader.errors import LooplabError
from grader.sandbox.docker import Engine
from grader.settings import Settings

TICKS = os.sysconf("SC_CLK_TCK")
CGROUPS = Path("/sys/fs/cgroup")
LOAD_MAX = 0.5
"""A machine with a higher load average was not idle when the run began."""
ENGINE_NAMES = ("dockerd", "containerd")


def machine_facts(settings: Settings) -> Machine:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    try:
        docker = str(Engine().client.api.version()["Version"])
    except LooplabError:  # the notebook kernel can be measured without
        docker = "not running"
    node = subprocess.run([settings.node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        cores=len(os.sched_getaffinity(0)),
        cpu=cpu[1] if cpu else platform.machine(),
        memory_gb=round(int(memory[1]) / 2**20, 1) if memory else 0.0,
        kernel=platform.release(),
        cgroups="v2" if _unified() else "v1",
        docker=docker,
        node=node,
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def busy_seconds() -> float:
    """Processor time that the whole machine has spent since it started (/proc/stat): ours, the engine's, and everybody else's."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]  # guests are in `user` already
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def own_seconds() -> float:
    """Of this process with all its threads."""
    return time.process_time()


def children_seconds() -> float:
    """Of this process's children that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def engine_seconds() -> dict[int, float]:
    """By pid: of the engine's daemons and of those of their children that they waited for (runc, docker-proxy).

    A shim is no such child: when it has ended, what it took can only be told from the whole machine's busy time.
    """
    return {pid: _process_seconds(pid, children=True) for name in ENGINE_NAMES for pid in _named(name)}


def _named(name: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() == name:
                found.append(int(path.parent.name))
    return found


def _process_seconds(pid: int, *, children: bool = False) -> float:
    """0 for a process that is gone. Counted by the kernel in ticks, 10 ms as a rule."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]
    except OSError:
        return 0.0
    return sum(map(int, fields if children else fields[:2])) / TICKS


def peak_of(pid: int) -> int:
    """Bytes of a living process's memory that were resident at most (VmHWM); 0 when it is gone."""
    return status_bytes(pid, "VmHWM")


def status_bytes(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def private_bytes(pid: int) -> int:
    """Bytes that a living process shares with nobody; 0 when it is gone or may not be looked at."""
    with contextlib.suppress(OSError):
        return 1024 * sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)))
    return 0


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += (new := {int(child) for child in path.read_text().split()} - found)
                found |= new
    return found


# ---- control groups: what ended processes have used is still in their sum


def _unified() -> bool:
    return (CGROUPS / "cgroup.controllers").exists()


def container_group(container: str, controller: str) -> Path | None:
    """The folder of a container's group, for `cpuacct` or `memory`; None when this machine does not show it to us."""
    root = CGROUPS if _unified() else CGROUPS / controller
    return next(
        (path for name in (f"docker/{container}", f"system.slice/docker-{container}.scope") if (path := root / name).is_dir()), None
    )


def group_seconds(group: Path | None) -> float:
    """Processor time of all that ever ran in a group; 0 when it cannot be told."""
    if group is None:
        return 0.0
    with contextlib.suppress(OSError):
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
        found = re.search(r"^usage_usec (\d+)", (group / "cpu.stat").read_text(), re.MULTILINE)
        return int(found[1]) / 1e6 if found else 0.0
    return 0.0


def group_peak(group: Path | None) -> int:
    """Bytes of memory that a group has held at most, page cache and tmpfs included; 0 when it cannot be told."""
    if group is not None:
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with contextlib.suppress(OSError):
                return int((group / name).read_text())
    return 0


def present_seconds(group: Path | None) -> float:
    """Processor time of the processes that are in a group now."""
    with contextlib.suppress(OSError):
        return sum(_process_seconds(int(pid)) for pid in (group / "cgroup.procs").read_text().split()) if group else 0.0
    return 0.0


@contextmanager
def group_of(pid: int) -> Iterator[Path | None]:
    """Moves a process into a group of its own, where its children and theirs are counted, too; None when we may not make one."""
    root = CGROUPS if _unified() else CGROUPS / "cpuacct"
    group = root / f"looplab-bench-{pid}"
    for left in root.glob("looplab-bench-*"):
        with contextlib.suppress(OSError):  # it is in use: not all of them are of a run that was killed
            left.rmdir()
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:  # the last process leaves when it is reaped
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.01)
