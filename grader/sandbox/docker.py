"""One container a submission: no network, no rights, nothing to write but a small /tmp. Used once and always removed.

The measurements behind the choices are in site/docs/decisions/0002-sandbox.md. Network off has no switch.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Ulimit

from grader.errors import EngineGone, SandboxFault, SettingsError
from grader.exercise import Limits
from grader.sandbox import Box, SandboxName
from grader.sandbox.link import Link
from grader.sandbox.workplace import Workplace
from grader.submission import Submission

LEARNER_UID = 64000
SUPERVISOR_MB = 64
"""The supervisor's own share of the container's memory: about 45 MB resident were measured."""
SUPERVISOR_THREADS = 16
TEMP_MB = 64
ENDING_SECONDS = 3.0
"""How long the engine may take to notice that a container has ended."""
OPEN_SECONDS = 20.0
LABEL = "looplab.session"
RUN_DIR_LABEL = "looplab.run-dir"
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
            raise SettingsError("The runtime image is missing. Run `make setup` (or `looplab image build`).") from error
        except APIError as error:
            raise SandboxFault(f"Docker could not {doing}: {error.explanation or error}.") from error
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


class DockerSandbox:
    """The sandbox for strangers' code."""

    name: SandboxName = "docker"

    def __init__(self, engine: Engine, image: str, workplace: Workplace) -> None:
        self._engine, self._image, self._workplace = engine, image, workplace
        self._ids: dict[Path, str] = {}

    @contextmanager
    def open(self, submission: Submission, limits: Limits, packages: tuple[str, ...]) -> Iterator[Box]:
        with self._workplace.box_folder(submission, packages, PACKAGES_AT) as folder:
            link = Link(folder / "s")
            container = self._create(folder, limits)
            self._ids[link.folder] = container
            try:
                with self._engine.errors("start a container"):
                    self._engine.client.api.start(container)
                self._wait_for(link, container)
                yield Box(link, "/tmp", "/srv/app", 3000 + int.from_bytes(os.urandom(2)) % 30000)
            finally:
                link.close()
                del self._ids[link.folder]
                self._engine.remove(container)

    def ran_out_of_memory(self, box: Box) -> bool:
        """True when the kernel took PID 1 for the container's memory (usually it takes the learner's process)."""
        deadline = time.monotonic() + ENDING_SECONDS
        while True:
            with self._engine.errors("inspect a container"):
                state = self._engine.client.api.inspect_container(self._ids[box.link.folder])["State"]
            if not state["Running"] or time.monotonic() > deadline:
                return bool(state["OOMKilled"]) and not state["Running"]
            time.sleep(0.05)  # its pipes break a moment before the engine knows of its end

    def _wait_for(self, link: Link, container: str) -> None:
        try:
            link.open(time.monotonic() + OPEN_SECONDS)
        except SandboxFault:
            with self._engine.errors("inspect a container"):
                state = self._engine.client.api.inspect_container(container)["State"]
            raise SandboxFault(
                f"The container's supervisor did not come up within {OPEN_SECONDS:g} s (state {state['Status']}, "
                f"exit code {state['ExitCode']}). `looplab doctor` checks the engine."
            ) from None

    def _create(self, folder: Path, limits: Limits) -> str:
        api = self._engine.client.api
        memory = (limits.memory_mb + SUPERVISOR_MB) * 1024 * 1024
        box = {"dir": "/run/looplab", "app": "/srv/app", "temp": "/tmp", "uid": LEARNER_UID}
        with self._engine.errors("create a container"):
            created = api.create_container(
                self._image,
                ["/usr/local/bin/node", "/opt/looplab/supervisor.mjs"],
                user="0:0",
                working_dir="/srv/app",
                hostname="looplab",
                environment={"LOOPLAB_BOX": json.dumps(box)},
                labels={LABEL: self._workplace.session, RUN_DIR_LABEL: str(self._workplace.run_dir)},
                host_config=api.create_host_config(
                    network_mode="none",
                    read_only=True,
                    cap_drop=["ALL"],
                    cap_add=["SETUID", "SETGID", "KILL"],
                    security_opt=["no-new-privileges"],
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
                    sysctls={"net.ipv6.conf.all.disable_ipv6": "0"},  # or ::1 does not exist
                    binds=[f"{folder / 's'}:/run/looplab:rw", f"{folder / 'srv'}:/srv:ro"],
                    log_config=LogConfig(type="none"),  # the supervisor reads the learner's output, with a cap
                ),
            )
        container: str = created["Id"]
        return container
