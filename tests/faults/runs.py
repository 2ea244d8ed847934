"""Class runs of the real command, and what must hold after every fault: each grade right, once, and nothing left behind."""

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from grader.report import Report, from_json
from grader.sandbox.docker import RUN_DIR_LABEL
from grader.settings import read_settings

SETTINGS = read_settings()
LOOPLAB = str(Path(sys.executable).with_name("looplab"))
ECHO = SETTINGS.exercises / "json-echo"
SEED = "8123"
RUN_SECONDS = 150.0

CLASS = {
    "ada": ECHO / "solution",
    "barbara": ECHO / "wrong" / "counts-characters",
    "edsger": SETTINGS.home / "tests" / "submissions" / "crashes-at-start",
    "grace": ECHO / "right" / "commonjs-passes-the-text-on",
    "linus": ECHO / "wrong" / "has-one-status-for-bad-bodies",
    "margaret": ECHO / "solution",
    "nobody": None,
}
"""Right, wrong, one that does not start and one that handed in nothing that can be read."""

Outcome = tuple[str, float | None, tuple[tuple[str, str], ...]]
"""Verdict, points, and what became of each check: all that a fault may not change."""


@dataclass(frozen=True)
class Place:
    """A class folder with a run directory and a database of its own."""

    folder: Path
    run_dir: Path
    data: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "LOOPLAB_RUN_DIR": str(self.run_dir), "LOOPLAB_DATA": str(self.data), **self.environ}

    def command(self, *options: str) -> list[str]:
        return [LOOPLAB, "grade", "--class", str(self.folder), "--json", "--seed", SEED, *options]

    def run(self, *options: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """The whole command, to its end. `before` is put in front of it, such as `prlimit`."""
        command = [*before, *self.command(*options)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)

    @contextmanager
    def running(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        """The command while it runs; killed when the test has not waited for its end."""
        with subprocess.Popen(
            self.command(*options), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    # ---- what can be seen from outside

    def rows(self) -> dict[int, Report]:
        """Everything that the database keeps, by its number."""
        path = self.data / "looplab.db"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as database:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'reports'").fetchone():
                return {}  # killed before its first table
            return {number: from_json(data) for number, data in database.execute("SELECT id, report FROM reports ORDER BY id")}

    def graded(self) -> dict[int, Report]:
        return {number: report for number, report in self.rows().items() if report.verdict != "not_graded"}

    def containers(self) -> list[dict[str, Any]]:
        with closing(docker.from_env(environment={**os.environ, **self.environ})) as client:
            found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": f"{RUN_DIR_LABEL}={self.run_dir}"})
            return found

    def sessions(self) -> list[str]:
        return [path.name for path in self.run_dir.iterdir() if path.is_dir()]

    def processes(self) -> list[int]:
        """Everybody who was started with this run directory: graders, and the processes of suites."""
        mark = f"LOOPLAB_RUN_DIR={self.run_dir}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it has just ended
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def left_behind(self) -> dict[str, Any]:
        """Containers, processes, sessions and sockets that are still there. Empty when there are none."""
        sockets = [path for path in self.run_dir.rglob("*") if stat.S_ISSOCK(_mode(path))]
        containers = [(container["Id"][:12], container["State"]) for container in self.containers()]
        seen = {"containers": containers, "processes": self.processes(), "sessions": self.sessions(), "sockets": sockets}
        return {what: found for what, found in seen.items() if found}


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def hand_in(folder: Path, learners: dict[str, Path | None] = CLASS) -> Path:
    for learner, source in learners.items():
        if source:
            shutil.copytree(source, folder / learner / "json-echo")
        else:
            (folder / learner / "json-echo").mkdir(parents=True)
            (folder / learner / "json-echo" / "notes.txt").write_text("My server is in the other folder.")
    return folder


def outcome(report: Report) -> Outcome:
    return report.verdict, report.points, tuple(sorted((check.id, check.outcome) for check in report.checks))


def outcomes(text: str) -> dict[str, Outcome]:
    """Of the lines of --json. Fails when a learner comes twice."""
    reports = [from_json(line) for line in text.encode().splitlines()]
    learners = [report.learner or "" for report in reports]
    assert len(set(learners)) == len(learners), f"more than one line for one learner: {learners}"
    return {report.learner or "": outcome(report) for report in reports}


def assert_none_wrong(place: Place, undisturbed: dict[str, Outcome]) -> None:
    """Whoever is graded so far is graded as in a run without a fault, and once."""
    graded = place.graded().values()
    twice = {learner: times for learner, times in Counter(report.learner for report in graded).items() if times > 1}
    assert not twice
    for report in graded:
        assert report.seed == int(SEED)
        expected = undisturbed[report.learner or ""]
        wrong = [(check.id, check.outcome, check.message) for check in report.checks if (check.id, check.outcome) not in expected[2]]
        assert outcome(report) == expected, (report.learner, report.verdict, report.facts, wrong)


def assert_same_command_finishes(place: Place, undisturbed: dict[str, Outcome], *options: str) -> str:
    """Run once more, nothing is lost, wrong or doubled, what was graded is not graded again, and nothing is left behind.

    Returns what it told the operator.
    """
    before = place.graded()
    done = place.run(*options)
    after = place.graded()
    assert done.returncode == 1, done.stderr  # some of the class are wrong, none is not graded
    assert outcomes(done.stdout) == undisturbed
    assert {number: after[number] for number in before} == before
    assert sorted(report.learner or "" for report in after.values()) == sorted(undisturbed)
    assert f"{len(undisturbed) - len(before)} graded" in done.stderr
    assert_none_wrong(place, undisturbed)
    assert_nothing_is_left(place)
    return done.stderr


def assert_nothing_is_left(place: Place) -> None:
    with contextlib.suppress(TimeoutError):  # then the assertion says what
        wait_until(lambda: not place.left_behind(), 10, "everything is gone")
    assert place.left_behind() == {}


def wait_until(there: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> None:
    """Polls until it is true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {seconds:g} s it is still not true that {what if isinstance(what, str) else what()}")
        time.sleep(0.005)


def next_report(process: "subprocess.Popen[str]") -> str:
    """The next line of --json; empty when the run has ended."""
    assert process.stdout is not None
    return process.stdout.readline()


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """False when it was gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Processes that a process started, oldest first."""
    try:
        text = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return []
    return sorted(map(int, text.split()))
