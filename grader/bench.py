"""The benchmark: every figure beside its baseline, measured in the same run on the same machine."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grader.classes import find_submissions, grade_class
from grader.exercise import load_exercise
from grader.grade import Grader
from grader.report import Report
from grader.sandbox.docker import LEARNER_UID
from grader.settings import Settings
from grader.store import open_store

LABEL = "looplab.bench"


@dataclass(frozen=True)
class Figure:
    """One line of the result. `unit` is of both values; smaller is better unless the name says "per second"."""

    name: str
    value: float
    baseline: float
    baseline_is: str
    unit: str
    goal: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.baseline


def whole_command(settings: Settings, image: str, rounds: int) -> Iterator[Figure]:
    """One grade of the json-echo solution with its whole suite, and one learner's check, against the plain ways to do the same."""
    looplab = [str(Path(sys.executable).with_name("looplab"))]
    solution = str(settings.exercises / "json-echo" / "solution")
    grade = [*looplab, "grade", solution, "-e", "json-echo", "--no-store", "--json"]
    check = [*looplab, "check", "json-echo", solution]
    plain = alternating(rounds, lambda: _run(grade), lambda: _plain_docker(settings, image))
    yield Figure("grade, whole command", plain[0], plain[1], "docker run, fresh pytest, docker rm", "s", "ratio at most 0.7")
    local = alternating(rounds, lambda: _run(check), lambda: _plain_local(settings))
    yield Figure("check, whole command", local[0], local[1], "node and a fresh pytest", "s", "at most 0.6 s")


def class_throughput(grader: Grader, settings: Settings, count: int, parallels: tuple[int, ...]) -> Iterator[tuple[Figure, list[Report]]]:
    """A class of `count` submissions of json-echo, right and wrong, at each parallelism; the first is the others' baseline."""
    exercise = load_exercise(settings.exercises, "json-echo")
    sources = [
        exercise.folder / "solution",
        *sorted((exercise.folder / "right").glob("*/")),
        *sorted((exercise.folder / "wrong").glob("*/")),
    ]
    with tempfile.TemporaryDirectory() as temp:
        for number in range(count):
            shutil.copytree(sources[number % len(sources)], Path(temp) / "class" / f"learner-{number:02}" / "json-echo")
        handed, _ = find_submissions(Path(temp) / "class", [exercise])
        rate = 0.0
        for parallel in parallels:
            with open_store(f"sqlite:///{temp}/{parallel}.db") as store, _busy() as busy:
                began = time.monotonic()
                reports = [report for report, _ in grade_class(grader, handed, store, parallel=parallel, seed=1)]
                took = time.monotonic() - began
            rate = rate or len(reports) / took
            figure = Figure(
                f"class of {count}, {parallel} in parallel", len(reports) / took, rate, f"{parallels[0]} in parallel", "per second"
            )
            yield figure, reports
            yield (
                Figure(
                    f"the same, processor time of a grade ({parallel})",
                    busy[0] / len(reports),
                    took / len(reports),
                    "wall time of a grade",
                    "s",
                ),
                [],
            )


def verdicts(reports: list[Report]) -> list[tuple[str | None, str, tuple[str, ...]]]:
    """What must not depend on parallelism: each learner's verdict and the outcome of every check."""
    return sorted((r.learner, r.verdict, tuple(f"{c.id} {c.outcome}" for c in r.checks)) for r in reports)


def alternating(rounds: int, ours: Callable[[], None], plain: Callable[[], None]) -> tuple[float, float]:
    """Medians in seconds; taking turns, so that a slow moment of the machine hits both."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in (ours, plain):
        run()  # warm caches
    for _ in range(rounds):
        for run, kept in zip((ours, plain), times, strict=True):
            began = time.monotonic()
            run()
            kept.append(time.monotonic() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")


@contextmanager
def _busy() -> Iterator[list[float]]:
    """Seconds of processor time that the whole machine spent in the block (/proc/stat), children and engine included."""
    before = _busy_seconds()
    result = [0.0]
    yield result
    result[0] = _busy_seconds() - before


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


# ---- the plain way: the same server, the same checks, nothing but docker and pytest

PLAIN_CONFTEST = """
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


def _plain_tests(settings: Settings, port: int) -> None:
    with tempfile.TemporaryDirectory() as temp:
        shutil.copy(settings.exercises / "json-echo" / "tests" / "test_json_echo.py", temp)
        (Path(temp) / "conftest.py").write_text(PLAIN_CONFTEST)
        environ = {**os.environ, "PLAIN_PORT": str(port)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            f"--rootdir={temp}",
            "-k",
            SKIPPED,
            temp,
        ]
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the plain way failed: {done.stdout.decode()[-800:]}")


def _plain_docker(settings: Settings, image: str) -> None:
    """`docker run` with a published port, a fresh pytest, `docker rm`, through the command line as a script would."""
    source = settings.exercises / "json-echo" / "solution"
    run = [
        "docker",
        "run",
        "-d",
        "--label",
        f"{LABEL}={os.getpid()}",
        "-p",
        "127.0.0.1::3000",
        "-e",
        "PORT=3000",
        "-v",
        f"{source}:/srv/app:ro",
    ]
    limits = ["--user", str(LEARNER_UID), "--memory", "256m", "--pids-limit", "96", "--cap-drop", "ALL", "--read-only", "--tmpfs", "/tmp"]
    command = [*run, *limits, "-w", "/srv/app", image, "/usr/local/bin/node", "server.mjs"]
    container = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    try:
        port = int(subprocess.run(["docker", "port", container, "3000"], capture_output=True, check=True, text=True).stdout.split(":")[-1])
        _wait_for(port)
        _plain_tests(settings, port)
    finally:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=True)


def _plain_local(settings: Settings) -> None:
    source = settings.exercises / "json-echo" / "solution" / "server.mjs"
    port = 20000 + os.getpid() % 20000
    server = subprocess.Popen([settings.node, source], env={"PORT": str(port), "PATH": os.environ["PATH"]}, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        _plain_tests(settings, port)
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    import socket

    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if probe.recv(1):
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the plain way's server did not come up")
        time.sleep(0.005)


def as_json(figures: list[Figure]) -> str:
    return json.dumps([{**figure.__dict__, "ratio": round(figure.ratio, 3)} for figure in figures], indent=2)
