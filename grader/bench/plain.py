"""The plain ways: the same servers with nothing but Node, Docker and pytest. They are what our figures stand beside."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.bench.machine import container_group, group_peak, group_seconds, peak_of
from grader.bench.ours import Used
from grader.exercise import Exercise
from grader.sandbox.docker import LEARNER_UID, PACKAGES_AT, Engine
from grader.sandbox.workplace import lay_in
from grader.settings import Settings
from grader.submission import Submission

LABEL = "looplab.bench"
REQUESTS = 10
UP_SECONDS = 20.0
BODY = b'{"name": "Ada", "numbers": [1, 2, 3]}'


def ten_requests(port: int) -> None:
    """Ten times the same small body over one connection. What comes back is not looked at; a server that hangs up is asked anew."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        for _ in range(REQUESTS):
            try:
                connection.request("POST", "/echo", BODY, {"Content-Type": "application/json"})
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
    finally:
        connection.close()


def on_the_host(settings: Settings, exercise: Exercise, submission: Submission) -> None:
    """Start, wait, ten requests, kill: without isolation and without checks."""
    with host_process(settings, exercise, submission) as (_, port):
        wait_for(port)
        ten_requests(port)


@contextmanager
def host_process(settings: Settings, exercise: Exercise, submission: Submission) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    with tempfile.TemporaryDirectory(prefix="looplab-bench-") as temp:
        folder = _laid_in(Path(temp), exercise, submission, settings.packages)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        environ = {"PATH": os.environ["PATH"], "HOME": temp, "PORT": str(port), "DB_PATH": f"{temp}/data.db", **exercise.manifest.env}
        process = subprocess.Popen(
            [settings.node, submission.entry],
            cwd=folder / "app",
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process, port
        finally:
            process.kill()
            process.wait()


def in_plain_docker(engine: Engine, image: str, exercise: Exercise, submission: Submission) -> Used:
    """`docker run` with a published port and limits, ten requests, `docker rm`; by the engine's API, so without the command line's time."""
    limits = exercise.manifest.limits
    api = engine.client.api
    with tempfile.TemporaryDirectory(prefix="looplab-bench-") as temp:
        folder = _laid_in(Path(temp), exercise, submission, PACKAGES_AT)
        with engine.errors("create a container"):
            container: str = api.create_container(
                image,
                ["/usr/local/bin/node", submission.entry],
                user=str(LEARNER_UID),
                working_dir="/srv/app",
                environment={"PORT": "3000", "HOME": "/tmp", "DB_PATH": "/tmp/data.db", **exercise.manifest.env},
                labels={LABEL: str(os.getpid())},
                ports=[3000],
                host_config=api.create_host_config(
                    port_bindings={3000: ("127.0.0.1",)},
                    binds=[f"{folder}:/srv:ro"],
                    read_only=True,
                    tmpfs={"/tmp": ""},
                    cap_drop=["ALL"],
                    mem_limit=limits.memory_mb << 20,
                    pids_limit=limits.processes,
                    nano_cpus=int(limits.cpus * 1e9),
                ),
            )["Id"]
        try:
            with engine.errors("start a container"):
                api.start(container)
                port = int(api.port(container, 3000)[0]["HostPort"])
            wait_for(port)
            ten_requests(port)
            seconds = group_seconds(container_group(container, "cpuacct"))
            return Used(seconds, seconds, group_peak(container_group(container, "memory")))
        finally:
            engine.remove(container)


def _laid_in(temp: Path, exercise: Exercise, submission: Submission, packages_at: Path) -> Path:
    folder = temp / "srv"
    folder.mkdir()
    for path in (temp, folder):
        path.chmod(0o755)  # another user reads it
    lay_in(temp, submission, exercise.manifest.packages, packages_at)
    return folder


def wait_for(port: int) -> None:
    """Until somebody answers on the port. Raises RuntimeError when nobody does within 20 s."""
    deadline = time.monotonic() + UP_SECONDS
    while True:
        with contextlib.suppress(OSError):
            first_byte(socket.create_connection(("127.0.0.1", port), 1))
            return
        if time.monotonic() > deadline:
            raise RuntimeError("A server of the plain way did not come up.")
        time.sleep(0.002)


def first_byte(connection: socket.socket) -> None:
    """Asks for GET /health and returns at the first byte of the answer. Raises ConnectionError when the connection ends without one."""
    with connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if not connection.recv(1):
            raise ConnectionError("no answer")


# ---- with the exercise's own checks, through a fresh pytest

CONFTEST = """
import os, random, pytest
from grader.suite.journal import Journal
from grader.suite.server import Server

class PlainLink:
    '''Speaks straight to a port; has none of the supervisor's other powers.'''
    def __init__(self, port): self.port = port
    def connect(self, timeout):
        import socket
        return socket.create_connection(("127.0.0.1", self.port), timeout), 0
    def reset(self, number): pass
    def stats(self):
        from grader.sandbox.link import ProcessStats
        return ProcessStats(0, 0, 0.0, 0, 0, 0)

@pytest.fixture
def server():
    return Server(PlainLink(int(os.environ["PLAIN_PORT"])), "server.mjs", 0, "/tmp", {}, Journal())

@pytest.fixture
def rng(request):
    return random.Random(request.node.name)
"""
SKIPPED = "not max_body"
"""It needs a restart with another environment, which the plain way has not. The plain way does a little less, then."""


def fresh_pytest(settings: Settings, port: int) -> int:
    """Runs the suite of json-echo against a port of this machine; the peak of pytest's resident memory in bytes."""
    with tempfile.TemporaryDirectory() as temp, tempfile.TemporaryFile() as output:
        shutil.copy(settings.exercises / "json-echo" / "tests" / "test_json_echo.py", temp)
        (Path(temp) / "conftest.py").write_text(CONFTEST)
        options = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={temp}", "-k", SKIPPED, temp]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options], env={**os.environ, "PLAIN_PORT": str(port)}, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"The plain way failed: {output.read().decode()[-800:]}")
        return usage.ru_maxrss * 1024


def docker_and_pytest(settings: Settings, image: str) -> None:
    """`docker run` with a published port, a fresh pytest, `docker rm`, through the command line as a script would."""
    source = settings.exercises / "json-echo" / "solution"
    run = ["docker", "run", "-d", "--label", f"{LABEL}={os.getpid()}", "-p", "127.0.0.1::3000", "-e", "PORT=3000"]
    mounts = ["-v", f"{source}:/srv/app:ro", "-w", "/srv/app"]
    limits = ["--user", str(LEARNER_UID), "--memory", "256m", "--pids-limit", "96", "--cap-drop", "ALL", "--read-only", "--tmpfs", "/tmp"]
    command = [*run, *mounts, *limits, image, "/usr/local/bin/node", "server.mjs"]
    container = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    try:
        port = int(subprocess.run(["docker", "port", container, "3000"], capture_output=True, check=True, text=True).stdout.split(":")[-1])
        wait_for(port)
        fresh_pytest(settings, port)
    finally:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=True)


def node_and_pytest(settings: Settings, exercise: Exercise, submission: Submission) -> tuple[int, int]:
    """Node on this machine and a fresh pytest. Peaks of resident memory in bytes: the server's, pytest's."""
    with host_process(settings, exercise, submission) as (process, port):
        wait_for(port)
        pytest_peak = fresh_pytest(settings, port)
        return peak_of(process.pid), pytest_peak
