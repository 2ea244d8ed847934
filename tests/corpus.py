"""What the tests of hostile submissions share: the cases as their folders declare them, and what must be the same after each of them."""

import hashlib
import io
import re
import stat
import threading
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from grader.exercise import Exercise, load_exercise
from grader.formats.ctrf import ctrf_json
from grader.formats.html import report_html
from grader.formats.junit import junit_xml
from grader.formats.terminal import print_report
from grader.report import Report
from grader.sandbox import Box
from grader.sandbox.docker import LEARNER_UIDS
from grader.sandbox.workplace import SUITE_UID
from grader.settings import Settings
from grader.submission import Submission, submission_of
from grader.suite.journal import Journal
from grader.suite.server import Server

SUBMISSIONS = Path(__file__).parent / "submissions"
ASK_EVERY_SECONDS = 0.2
ANSWER_SECONDS = 30.0
"""How long a neighbour may take on a machine that is busy with an attack: its answers are to be right, not quick."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expected.toml of a hostile server; the fields are explained in tests/submissions/README.md."""

    why: str
    verdict: str
    attack: tuple[int, ...]
    also: tuple[str, ...] = ()
    says: str = ""
    seen: tuple[str, ...] = ()
    truncated: bool = False
    points: float = 0.0
    points_at_most: float | None = None
    exercise: str = "json-echo"
    checks: tuple[str, ...] = ()
    seconds: float | None = None
    times: int = 1
    name: str = ""

    @property
    def folder(self) -> Path:
        return SUBMISSIONS / self.name

    def load_exercise(self, settings: Settings) -> Exercise:
        exercise = load_exercise(settings.exercises, self.exercise)
        if self.checks:
            exercise = only(exercise, *self.checks)
        if self.seconds is None:
            return exercise
        limits = msgspec.structs.replace(exercise.manifest.limits, seconds=self.seconds)
        return msgspec.structs.replace(exercise, manifest=msgspec.structs.replace(exercise.manifest, limits=limits))


def only(exercise: Exercise, *ids: str) -> Exercise:
    """The exercise with nothing but these checks, which then share the points of their tasks."""
    checks = tuple(check for check in exercise.checks if check.id in ids)
    assert {check.id for check in checks} == set(ids)
    return msgspec.structs.replace(exercise, checks=checks)


def server_cases() -> list[Case]:
    """Every folder with an expected.toml that names no `kind`: those are the cases of test_hostile_files.py."""
    cases = []
    for path in sorted(SUBMISSIONS.glob("*/expected.toml")):
        told: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        if "kind" not in told:
            told["seen"] = [told["seen"]] if isinstance(told.get("seen"), str) else told.get("seen", [])
            cases.append(msgspec.convert({**told, "name": path.parent.name}, Case))
    return cases


# ---- what the report must look like, whoever reads it


def faces(report: Report, exercise: Exercise) -> dict[str, str]:
    """The report as each reader sees it."""
    screen = io.StringIO()
    print_report(report, exercise, console=Console(file=screen, width=120, highlight=False, color_system=None, force_terminal=True))
    return {
        "terminal": screen.getvalue(),
        "HTML": report_html(report, exercise, hints=True),
        "JSON": report.to_json().decode(),
        "JUnit": junit_xml([report], [exercise]).decode(),
        "CTRF": ctrf_json([report], [exercise]).decode(),
    }


def raw_controls(face: str) -> set[str]:
    """The characters in a face that can drive what shows it: C0 (but line feed and tab), DEL and C1."""
    return {f"U+{ord(c):04X}" for c in set(face) - {"\n", "\t"} if unicodedata.category(c) == "Cc"}


# ---- what must not change


def fingerprint(*roots: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of the last change (ns) of every file below, and the kind of everything else."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")]:
            mode = path.lstat().st_mode
            kind = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else f"{stat.S_IFMT(mode):o}"
            if "__pycache__" not in path.parts:
                found[str(path)] = (kind, 0 if stat.S_ISDIR(mode) else path.lstat().st_mtime_ns)
    return found


def learners_processes(run_dir: Path) -> set[int]:
    """Host pids of learners' programs in boxes of this run directory, which every box has mounted. Zombies have no mounts."""
    found = set()
    for pid, uid in _users().items():
        if uid in LEARNER_UIDS and f"{run_dir}/" in _text(Path(f"/proc/{pid}/mountinfo")):
            found.add(pid)
    return found


def suites_processes(root: int) -> set[int]:
    """Host pids of running suites below the process that starts them. (Without root a suite has no user of its own: nothing is found.)"""
    users, found, pending = _users(), set(), [root]
    while pending:
        pid = pending.pop()
        pending += [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in _text(path).split()]
        if users.get(pid) == SUITE_UID:
            found.add(pid)
    return found


def _users() -> dict[int, int]:
    """The user of every process."""
    users = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        if uid := re.search(r"^Uid:\t(\d+)", _text(path), re.MULTILINE):
            users[int(path.parent.name)] = int(uid[1])
    return users


def _text(path: Path) -> str:
    """A file of /proc, or nothing when its process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


# ---- somebody honest beside it

NEIGHBOUR = """
import fs from 'node:fs';
import http from 'node:http';

fs.writeFileSync('/tmp/diary', 'mine');
let visits = 0;
http
  .createServer((request, response) => {
    const watcher = fs.watch('/tmp'); // what the kernel counts per user, a neighbour could use up
    watcher.close();
    visits += 1;
    const body = { visits, diary: fs.readFileSync('/tmp/diary', 'utf8'), files: fs.readdirSync('/tmp').filter((name) => name[0] !== '.') };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  })
  .listen(process.env.PORT);
"""


def neighbour_submission() -> Submission:
    return submission_of({"server.mjs": NEIGHBOUR.encode()}, ("server.mjs",))


class Neighbour:
    """An honest program in a box of its own. It counts who comes, and only we may come."""

    def __init__(self, box: Box) -> None:
        assert box.port
        box.link.start(box.port, "server.mjs", {})
        assert box.link.ready(20, 20).reachable
        self._server = Server(box.link, "server.mjs", box.port, box.temp, {}, Journal())
        self._visits = 0
        self.pid = box.link.status().pid
        self.folder = box.link.folder.parent

    def lives_as_before(self) -> None:
        """Asks once; every answer must be right, and the program still the same process."""
        self._visits += 1
        reply = self._server.get("/", timeout=ANSWER_SECONDS)
        assert reply.expect_json() == {"visits": self._visits, "diary": "mine", "files": ["diary"]}
        assert self._server.status().pid == self.pid

    @contextmanager
    def asked_all_the_time(self) -> Iterator[None]:
        """Asks again and again while the block runs."""
        done = threading.Event()
        failures: list[Exception] = []

        def ask() -> None:
            while not failures and not done.wait(ASK_EVERY_SECONDS):
                try:
                    self.lives_as_before()
                except Exception as failure:  # whatever it is, the test's own thread says it
                    failures.append(failure)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        if failures:
            raise failures[0]
