"""A container engine of the tests' own, which may be stopped, killed and emptied: the machine's is never touched."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import docker

from tests.faults.runs import wait_until

CONTAINERD = """version = 2
root = "{0}/containerd-root"
state = "{0}/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{0}/containerd.sock"
"""
START_SECONDS = 60.0


class OwnEngine:
    """A dockerd with a containerd, both below one short folder in /tmp. Use as a context manager; it starts running."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ll-engine-", dir="/tmp"))
        self.url = f"unix://{self.folder}/docker.sock"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "looplab-engine", self.folder], check=True)  # an image is gone in no time
        (self.folder / "containerd.toml").write_text(CONTAINERD.format(self.folder))
        (self.folder / "daemon.json").write_text("{}")  # the machine's own may name sockets
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "OwnEngine":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        """Returns when it answers."""
        f = self.folder
        self._spawn("containerd", "--config", f"{f}/containerd.toml")
        wait_until((f / "containerd.sock").exists, START_SECONDS, lambda: f"the own containerd opens its socket; its log:\n{self._log()}")
        places = ["--data-root", f"{f}/data", "--exec-root", f"{f}/exec", "--pidfile", f"{f}/pid", "--config-file", f"{f}/daemon.json"]
        network = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        (f / "pid").unlink(missing_ok=True)  # a killed one leaves it, and its number may be somebody's by now
        # In a network of its own: with `--bridge none` it takes the machine's docker0 away.
        self._spawn("unshare", "--net", "dockerd", *places, *network, "-H", self.url, "--containerd", f"{f}/containerd.sock")
        wait_until(self.answers, START_SECONDS, lambda: f"the own dockerd answers; its log:\n{self._log()}")

    def stop(self, number: signal.Signals) -> None:
        """Sends it to dockerd and, once that is gone, to its containerd; returns when both are gone."""
        for process in reversed(self._running):
            process.send_signal(number)
            process.wait(60)
        self._running.clear()

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(f"{self.folder}/docker.sock")
                connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
                return b" 200 " in connection.recv(4096)
            except OSError:
                return False

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.url, timeout=60)

    def load(self, tag: str) -> None:
        """Copies an image of the machine's engine here."""
        with contextlib.closing(docker.from_env(timeout=60)) as machine, contextlib.closing(self.client()) as client:
            client.api.load_image(machine.images.get(tag).save(named=tag))  # type: ignore[no-untyped-call]

    def untag(self, tag: str) -> None:
        with contextlib.closing(self.client()) as client:
            client.images.remove(tag, force=True)

    def __exit__(self, *_: object) -> None:
        if self._running and self.answers():
            with contextlib.closing(self.client()) as client:
                for container in client.containers.list(all=True):
                    container.remove(force=True)
        self.stop(signal.SIGKILL)
        for pid in self._shims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self._shims(), 10, "the own engine's helpers are gone")
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        subprocess.run(["umount", self.folder], check=True)
        self.folder.rmdir()

    def _spawn(self, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._running.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=self._env())
            )

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder), "DOCKER_TMPDIR": str(self.folder / "tmp")}

    def _shims(self) -> list[int]:
        """Helpers name the address of the containerd that they serve."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if f"{self.folder}/containerd.sock".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found
