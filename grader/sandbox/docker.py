"""One submission alone in a container: no network, no rights, nothing to write but a small /tmp, and all of it gone afterwards.

The measurements behind the choices are in site/docs/decisions/0002-sandbox.md and 0006-used-again.md. Network off has no switch.
"""

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Ulimit

from grader.errors import EngineGone, SandboxFault, SettingsError
from grader.exercise import Limits
from grader.quiet import Quiet
from grader.sandbox import Box, SandboxName
from grader.sandbox.link import Link
from grader.sandbox.seccomp import profile
from grader.sandbox.workplace import Workplace, lay_in
from grader.submission import Submission

LEARNER_UID = 2_000_000_000
LEARNER_UIDS = range(LEARNER_UID, LEARNER_UID + 1000)
"""A submission's user: another one each time, so that nothing counted per user is shared. Far from any that a machine hands out."""
SUPERVISOR_MB = 64
"""The supervisor's own share of the container's memory: about 45 MB resident were measured."""
SUPERVISOR_THREADS = 16
TEMP_MB = 64
ENDING_SECONDS = 3.0
"""How long the engine may take to notice that a container has ended."""
OPEN_SECONDS = 20.0
LOOK_SECONDS = 1.0
"""How often it is looked whether a container that should come up still runs."""
LABEL = "looplab.session"
RUN_DIR_LABEL = "looplab.run-dir"
SYSCTLS = {
    "net.ipv6.conf.all.disable_ipv6": "0",  # or ::1 does not exist
    # The kernel counts TCP buffers for the whole machine, not for the container: 200 unread connections held 748 MB of it.
    "net.ipv4.tcp_rmem": "4096 65536 131072",
    "net.ipv4.tcp_wmem": "4096 65536 131072",
    # Nor should the next submission read in /proc/net/tcp from which ports the one before spoke in the last minute.
    "net.ipv4.tcp_max_tw_buckets": "0",
}
IDLE_MAX = 8
"""Containers that wait for a submission, beside spares: about 45 MB each."""
PACKAGES_AT = Path("/opt/looplab/node_modules")


class Engine:
    """The container engine, one client per thread. Translates every failure into whose fault it is."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def client(self) -> docker.DockerClient:
        if not hasattr(self._local, "client"):
            with self.errors("connect"):
                self._local.client = docker.from_env(timeout=30)
        client: docker.DockerClient = self._local.client
        return client

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ImageNotFound as error:
            raise SettingsError("The runtime image is missing. Run `make setup` (or `looplab setup`).") from error
        except APIError as error:
            raise SandboxFault(f"Docker could not {doing}.", str(error.explanation or error)) from error
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise EngineGone(f"Docker does not answer ({doing}). Start it, then run the same command again.") from error

    def containers(self, label: str = LABEL) -> list[dict[str, Any]]:
        """All containers that carry `label` (`key` or `key=value`), running or not."""
        with self.errors("list containers"):
            found: list[dict[str, Any]] = self.client.api.containers(all=True, filters={"label": label})
            return found

    def remove(self, container: str) -> None:
        """Kills and removes; one that is gone already is fine."""
        with self.errors("remove a container"):
            try:
                self.client.api.remove_container(container, force=True, v=True)
            except NotFound:
                pass
            except APIError as error:
                if error.status_code != 409:  # its removal is already under way
                    raise


def sweep(engine: Engine, workplace: Workplace) -> int:
    """Removes the containers of this run directory whose grader is dead; returns how many.

    By label, not by folder: an engine that was asked for a container in the moment its grader died makes it after all.
    """
    left = [c for c in engine.containers(f"{RUN_DIR_LABEL}={workplace.run_dir}") if not workplace.lives(c["Labels"][LABEL])]
    for container in left:
        engine.remove(container["Id"])
    return len(left)


@dataclass
class Container:
    """A running container and what reaches into it."""

    id: str
    folder: Path
    limits: Limits
    link: Link
    network: int | None
    """Descriptor of its network namespace, where the grader may enter it."""
    cleanup: ExitStack
    used: int = 0


class DockerSandbox:
    """The sandbox for strangers' code. Use as a context manager; thread-safe.

    A container holds one submission at a time, and up to `uses` one after the other: between two of them everything that the
    first could have left is taken away, and looked for again (`scrub` in supervisor.mjs). Whatever is found, whatever fails, and
    whatever ran out of memory ends the container. `spares` containers are kept ready for whoever comes next.
    """

    name: SandboxName = "docker"

    def __init__(self, engine: Engine, image: str, workplace: Workplace, *, uses: int = 1, spares: int = 0) -> None:
        self._engine, self._image, self._workplace = engine, image, workplace
        self._uses, self._spares = uses, spares
        self._lock = threading.Lock()
        self._idle: list[Container] = []
        self._open: dict[Path, Container] = {}
        self._closing = False
        self._janitor = ThreadPoolExecutor(1, thread_name_prefix="containers")
        self._users = itertools.count(int.from_bytes(os.urandom(2)))
        self._making: dict[Limits, list[Future[None]]] = {}
        self.ended: Counter[str] = Counter()
        """Why containers were removed before their uses were up."""

    def __enter__(self) -> "DockerSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closing = True
        self._janitor.shutdown(wait=True, cancel_futures=True)
        left = 0
        for container in self._idle:
            try:
                container.cleanup.close()
            except EngineGone:
                left += 1
        if left:
            raise EngineGone(
                f"Docker does not answer: {left} idle container{'s' if left > 1 else ''} could not be removed; the next command does it."
            )

    @contextmanager
    def open(self, submission: Submission, limits: Limits, packages: tuple[str, ...]) -> Iterator[Box]:
        container = self._take(limits)
        self._open[container.link.folder] = container
        try:
            lay_in(container.folder, submission, packages, PACKAGES_AT)
            network = container.link.prepare(submission, LEARNER_UIDS[next(self._users) % len(LEARNER_UIDS)])
            container.used += 1
            if container.network is not None and os.fstat(container.network).st_ino != network:
                raise SandboxFault("The descriptor of a container's network leads somewhere else.")
            port = 3000 + int.from_bytes(os.urandom(2)) % 29000  # below the ports that connections come from
            yield Box(container.link, "/tmp", "/srv/app", port, container.network)
        finally:
            del self._open[container.link.folder]
            self._give_back(container)

    def ran_out_of_memory(self, box: Box) -> bool:
        """True when the kernel took the supervisor for the container's memory (usually it takes the learner's process)."""
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            with self._engine.errors("inspect a container"):
                state = self._engine.client.api.inspect_container(self._open[box.link.folder].id)["State"]
            if not state["Running"] or time.monotonic() > deadline:
                return bool(state["OOMKilled"]) and not state["Running"]
            time.sleep(0.05)  # its pipes break a moment before the engine knows of its end

    # ---- containers that wait

    def _take(self, limits: Limits) -> Container:
        while True:
            with self._lock:
                waiting = [container for container in self._idle if container.limits == limits]
                if waiting:
                    self._idle.remove(waiting[-1])
            self._refill(limits)
            if not waiting:
                return self._start(limits)
            try:
                waiting[-1].link.state()
                return waiting[-1]
            except SandboxFault:  # somebody ended it while it waited, such as an engine that was started anew
                self.ended["a supervisor that is gone"] += 1
                waiting[-1].cleanup.close()

    def _give_back(self, container: Container) -> None:
        """Scrubs a container for its next use, or removes it. What cannot be made clean is not used again."""
        gone: Container | None = container
        if container.used < self._uses and not container.link.failed:
            try:
                remains = container.link.scrub()
            except SandboxFault:
                remains = ["a supervisor that does not answer"]
            self.ended.update(remains)
            with self._lock:
                if not remains and not self._closing:
                    self._idle.append(container)
                    gone = self._idle.pop(0) if len(self._idle) > IDLE_MAX + self._spares else None
        if gone:
            gone.cleanup.close()

    def warm(self, limits: Limits) -> None:
        """Waits until the spare containers for `limits` are there. Raises what kept them from coming up."""
        self._refill(limits)
        for started in list(self._making.get(limits, [])):
            started.result()

    def _refill(self, limits: Limits) -> None:
        with self._lock:
            making = self._making.setdefault(limits, [])
            making[:] = [future for future in making if not future.done()]
            there = sum(container.limits == limits for container in self._idle) + len(making)
            missing = 0 if self._closing else max(0, self._spares - there)
            making += [self._janitor.submit(self._spare, limits) for _ in range(missing)]

    def _spare(self, limits: Limits) -> None:
        """In the background, and not while somebody measures. When it fails, whoever needs the container starts it and hears why."""
        quiet = Quiet(self._workplace.run_dir)
        try:
            with quiet.hold(alone=False):
                container = self._start(limits)
            with self._lock:
                self._idle.insert(0, container)
        finally:
            quiet.close()

    # ---- one container

    def _start(self, limits: Limits) -> Container:
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(self._workplace.box_folder())
            id = self._create(folder, limits)
            cleanup.callback(self._engine.remove, id)
            with self._engine.errors("start a container"):
                self._engine.client.api.start(id)
            link = Link(folder / "s")
            cleanup.callback(link.close)
            self._wait_for(link, id)
            network = self._network(id)
            if network is not None:
                cleanup.callback(os.close, network)
            return Container(id, folder, limits, link, network, cleanup.pop_all())
        raise AssertionError("unreachable")

    def _network(self, container: str) -> int | None:
        """Only root may enter a network namespace; everybody else goes through the supervisor."""
        if os.getuid() != 0:
            return None
        with self._engine.errors("inspect a container"):
            pid = self._engine.client.api.inspect_container(container)["State"]["Pid"]
        try:
            return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # the engine runs in another process namespace than we do
            return None

    def _wait_for(self, link: Link, container: str) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                return link.open(min(deadline, time.monotonic() + LOOK_SECONDS))
            except SandboxFault:
                with self._engine.errors("inspect a container"):
                    state = self._engine.client.api.inspect_container(container)["State"]
                if state["Running"] and time.monotonic() < deadline:
                    continue  # one that has ended will not come up any more
            raise SandboxFault(
                f"The container's supervisor did not come up within {OPEN_SECONDS:g} s (state {state['Status']}, "
                f"exit code {state['ExitCode']}). `looplab doctor` checks the engine."
            )

    def _create(self, folder: Path, limits: Limits) -> str:
        api = self._engine.client.api
        memory = (limits.memory_mb + SUPERVISOR_MB) * 1024 * 1024
        box = {"dir": "/run/looplab", "app": "/srv/app", "temp": "/tmp", "contained": True}
        with self._engine.errors("create a container"):
            created = api.create_container(
                self._image,
                ["/usr/local/bin/node", "--v8-pool-size=0", "/opt/looplab/supervisor.mjs"],
                user="0:0",
                working_dir="/",
                hostname="looplab",
                environment={"LOOPLAB_BOX": json.dumps(box), "UV_THREADPOOL_SIZE": "1"},
                labels={LABEL: self._workplace.session, RUN_DIR_LABEL: str(self._workplace.run_dir)},
                host_config=api.create_host_config(
                    network_mode="none",
                    init=True,  # reaps orphans, which would be there for the next submission as zombies
                    read_only=True,
                    cap_drop=["ALL"],
                    cap_add=["SETUID", "SETGID", "KILL"],
                    security_opt=["no-new-privileges", f"seccomp={profile()}"],
                    group_add=[str(os.getgid())],  # the group of the sockets' folder
                    mem_limit=memory,
                    memswap_limit=memory,  # swap equals memory, or a leak gets slow instead of failing
                    pids_limit=limits.processes + SUPERVISOR_THREADS,
                    nano_cpus=int(limits.cpus * 1e9),
                    shm_size=1024 * 1024,
                    tmpfs={"/tmp": f"size={TEMP_MB}m,mode=1777,nosuid,nodev,noexec,nr_inodes=4096"},
                    ulimits=[
                        Ulimit(name="nofile", soft=4096, hard=4096),
                        Ulimit(name="core", soft=0, hard=0),
                        Ulimit(name="fsize", soft=TEMP_MB << 20, hard=TEMP_MB << 20),
                    ],
                    sysctls=SYSCTLS,
                    binds=[f"{folder / 's'}:/run/looplab:rw", f"{folder / 'srv'}:/srv:ro"],
                    log_config=LogConfig(type="none"),  # the supervisor reads the learner's output, with a cap
                ),
            )
        container: str = created["Id"]
        return container
