"""Every folder of tests/submissions with a `kind` is a hostile archive, notebook or name: it is made, read and told as its
expected.toml says, with little memory and time, and nothing is written anywhere.

    kind    archive, notebook: what `submit` names is handed in. nbgrader: what make.py makes of a fetched notebook. name: a class folder.
    verdict rejected (a Report), passed (`files` are what is read), passed_over (nbgrader: a sentence for the instructor)
    says    a pattern of the sentence; learners: of a class folder, who is graded
    in_class  graded in containers, too, beside honest neighbours

What make.py is given: an empty folder, and a server that earns all points.
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.errors import SubmissionRejected
from grader.exercise import load_exercise
from grader.grade import Grader, grade_path
from grader.notebooks.nbgrader_feedback import autograded, score
from grader.notebooks.nbgrader_released import nbgrader_of, released
from grader.notebooks.nbgrader_submitted import read_answers
from grader.report import from_json
from grader.sandbox.local import LocalSandbox
from grader.sandbox.workplace import Workplace
from grader.settings import read_settings
from grader.store import open_store
from grader.submission import read_submission
from grader.submission.rules import FILE_BYTES_MAX
from grader.suite.host import SuiteHost
from tests import samples
from tests.notebooks.nbgrader_samples import hand_in, make_course
from tests.test_hostile_names import COMMAND, faces, printable

SETTINGS = read_settings()
LOOPLAB = str(Path(sys.executable).with_name("looplab"))
ECHO = load_exercise(SETTINGS.exercises, "json-echo")
SERVER = (ECHO.folder / "solution" / "server.mjs").read_bytes()
CORPUS = Path(__file__).parent / "submissions"
BUDGET_SECONDS = 20.0
"""Of one reading, on a busy machine. The processor's time is limited to 5 s by tests/read_with_limits.py."""


def cases(*kinds: str) -> dict[str, dict[str, Any]]:
    found = {path.parent.name: tomllib.loads(path.read_text("utf-8")) for path in sorted(CORPUS.glob("*/expected.toml"))}
    return {name: expected for name, expected in found.items() if expected.get("kind") in kinds}


ARCHIVES, NBGRADER, NAMES = cases("archive", "notebook"), cases("nbgrader"), cases("name")
CASES = ARCHIVES | NBGRADER | NAMES


def make(case: str, place: Path, server: bytes = SERVER) -> None:
    runpy.run_path(str(CORPUS / case / "make.py"))["make"](place, server)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter: submissions are read here by a process that is nobody."""
    with tempfile.TemporaryDirectory(prefix="looplab-hostile-", dir="/tmp") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "canary").write_text("untouched")
        yield root


def everything_below(root: Path) -> dict[str, tuple[int, int, int]]:
    found = {str(path): path.lstat() for path in root.rglob("*")}
    return {path: (info.st_mode, info.st_size, info.st_mtime_ns) for path, info in found.items()}


class Reader:
    """A process of tests/read_with_limits.py."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": str(SETTINGS.home)}
        command = [sys.executable, "-P", "-m", "tests.read_with_limits"]
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, kind: str, path: Path) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        began = time.monotonic()
        self.process.stdin.write(f"{kind} {path}\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert time.monotonic() - began < BUDGET_SECONDS
        assert "died" not in told, told
        return told


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    started = Reader()
    with started.process:
        yield started
        started.process.kill()


def is_a_true_sentence(said: str, expected: dict[str, Any]) -> None:
    assert re.search(expected["says"], said), said
    assert len(said) < 500
    assert said.isprintable()
    assert said.endswith((".", "?"))


# ---- each alone


def test_every_case_says_what_it_tries_and_why() -> None:
    assert len(CASES) >= 60
    for name, expected in CASES.items():
        assert expected["why"].endswith("."), name
        assert expected["attack"], name
        assert set(expected) <= {"kind", "attack", "why", "submit", "verdict", "says", "files", "learners", "in_class"}, name
        assert expected.get("verdict") == "passed" or expected.get("learners") or len(expected["says"]) > 7, name


@pytest.mark.parametrize(("kind", "why"), [("hoard", "MemoryError"), ("write", "File too large|Permission denied|SIGXFSZ")])
def test_the_limits_of_the_reader_hold(kind: str, why: str, open_folder: Path, reader: Reader) -> None:
    (open_folder / "file").touch()
    (open_folder / "file").chmod(0o666)

    with pytest.raises(AssertionError, match=why):
        reader.read(kind, open_folder / "file")

    assert (open_folder / "file").stat().st_size == 0


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_hostile_archive_or_notebook_is_read_with_limits_and_gets_what_it_deserves(case: str, open_folder: Path, reader: Reader) -> None:
    expected = ARCHIVES[case]
    place = open_folder / "a" / "b" / "c"
    place.mkdir(parents=True)
    make(case, place)
    before = everything_below(open_folder)

    told = reader.read(expected["kind"], place / expected["submit"])

    assert everything_below(open_folder) == before
    if expected["verdict"] == "passed":
        assert sorted(told["files"]) == expected["files"]
        assert told["files"][told["entry"]] == len(SERVER) - expected["kind"].count("notebook") * SERVER.endswith(b"\n\n")
    else:
        is_a_true_sentence(told["refused"], expected)


@pytest.mark.parametrize("case", NBGRADER)
def test_a_hostile_nbgrader_submission_is_read_with_limits_and_passed_over_or_its_answer_taken(
    case: str, course: Path, open_folder: Path, reader: Reader
) -> None:
    expected = NBGRADER[case]
    shutil.copytree(course, open_folder, dirs_exist_ok=True)
    folder = open_folder / "submitted" / "eve" / "json-echo"
    make(case, folder)
    before = everything_below(open_folder)

    told = reader.read("nbgrader", folder)

    assert everything_below(open_folder) == before
    if expected["verdict"] == "passed":
        assert sorted(told["files"]) == expected["files"]
    else:
        is_a_true_sentence(told["refused"], expected)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course in which eve has handed in a good answer."""
    folder = tmp_path_factory.mktemp("course") / "course"
    hand_in(folder, make_course(folder), "eve", SERVER.decode())
    return folder


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_class_folder_harms_nobody_else_in_it(case: str, open_folder: Path, reader: Reader) -> None:
    expected = NAMES[case]
    place = open_folder / "class"
    (place / "ada" / "json-echo").mkdir(parents=True)
    make(case, place)
    before = everything_below(open_folder)

    told = reader.read("name", place)

    assert everything_below(open_folder) == before
    assert told["learners"] == sorted(expected["learners"])
    if "says" in expected:
        is_a_true_sentence(told["remarks"][-1], expected)
    assert len(told["remarks"]) <= 11


def test_points_and_checks_that_a_learner_changed_are_the_releases_own_again(course: Path, tmp_path: Path) -> None:
    shutil.copytree(course, tmp_path / "course")
    folder = tmp_path / "course" / "submitted" / "eve" / "json-echo"
    make("nbgrader-points-raised", folder)
    release = released(tmp_path / "course" / "release" / "json-echo" / "json-echo.ipynb")
    assert release is not None
    assert "1000" in (folder / "json-echo.ipynb").read_text()

    report = samples.report(exercise="json-echo", learner="eve")
    graded = json.loads(autograded(release, read_answers(folder, release), report, ECHO))

    ours = {nbgrader_of(cell).get("grade_id"): cell for cell in release.content["cells"]}
    for cell in graded["cells"]:
        about = nbgrader_of(cell)
        assert about == nbgrader_of(ours[about.get("grade_id")])
        assert not about.get("grade") or cell["source"] == ours[about["grade_id"]]["source"]
    assert "1000" not in json.dumps(graded)
    assert sum(score(report, check) for check in release.checks) <= 10


# ---- races, which no folder can hold


def test_a_file_that_grows_while_it_is_read_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    path = tmp_path / "s" / "server.mjs"
    path.write_bytes(SERVER)
    enough = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not enough.is_set() and file.tell() < 40 * FILE_BYTES_MAX:
                file.write(b"/" * 65536)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        said = ""
        deadline = time.monotonic() + 30
        while not said and time.monotonic() < deadline:
            try:
                assert len(read_submission(tmp_path / "s", ("server.mjs",)).files["server.mjs"]) <= FILE_BYTES_MAX
            except SubmissionRejected as refusal:
                said = str(refusal)
    finally:
        enough.set()
        writer.join()

    assert said == '"server.mjs" is larger than 1 MiB. Submit only source files.'


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_becomes_a_link_while_it_is_read_is_not_followed(tmp_path: Path, what: str) -> None:
    from grader.submission.folders import from_folder

    root, secret = tmp_path / "s", tmp_path / "secret"
    for folder in (root / "lib", secret):
        folder.mkdir(parents=True)
    (secret / "key.mjs").write_text("secret")
    (root / "server.mjs").write_bytes(SERVER)
    (root / "lib" / "key.mjs").write_text("mine")
    walk = from_folder(root)
    first = next(walk)  # the folder lib is known by now, and not yet opened

    if what == "folder":
        (root / "lib").rename(root / "gone")
        (root / "lib").symlink_to(secret)
    else:
        (root / "lib" / "key.mjs").unlink()
        (root / "lib" / "key.mjs").symlink_to(secret / "key.mjs")

    assert first == ("server.mjs", SERVER)
    with pytest.raises(SubmissionRejected, match=r"symbolic link|is no folder"):
        next(walk)


# ---- together in one class, in containers


def run_looplab(command: list[str], data: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LOOPLAB_DATA": str(data / "data"), **environ}
    return subprocess.run([LOOPLAB, *command], env=environment, cwd=data, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    """Its workplace is never entered: nothing can be started for what cannot be read."""
    place = tmp_path_factory.mktemp("unused")
    with SuiteHost(warm=False) as suites:
        sandbox = LocalSandbox(SETTINGS.node, SETTINGS.packages, Workplace(place), i_trust_this_code=True)
        yield Grader(sandbox, suites, place)


@pytest.mark.parametrize("case", [name for name, expected in ARCHIVES.items() if expected["verdict"] == "rejected"])
def test_what_is_rejected_is_a_report_without_points_that_every_face_can_show(case: str, tmp_path: Path, grader: Grader) -> None:
    make(case, tmp_path)
    if case == "folder-that-is-closed" and os.getuid() == 0:
        return  # nothing is closed to root

    report, _ = grade_path(grader, ECHO, tmp_path / ARCHIVES[case]["submit"], learner="eve")

    assert (report.verdict, report.points, report.submission_digest, report.checks) == ("rejected", 0.0, "", ())
    assert re.search(ARCHIVES[case]["says"], report.facts.message)
    for page in faces(report).values():
        assert printable(page)
        assert str(tmp_path) not in page


@pytest.fixture
def run_dir() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="looplab-h-", dir="/tmp") as name:
        os.chmod(name, 0o711)
        yield name


IN_CLASS = {name: expected for name, expected in CASES.items() if expected.get("in_class")}
HONEST = ("ada", "zoe")


@pytest.mark.docker
def test_hostile_files_in_one_class_cost_their_neighbours_nothing_and_earn_nothing(tmp_path: Path, run_dir: str) -> None:
    folder = tmp_path / "class"
    for learner in HONEST:
        shutil.copytree(ECHO.folder / "solution", folder / learner / "json-echo")
    wanted = dict.fromkeys(HONEST, "passed")
    for name, expected in IN_CLASS.items():
        if expected["kind"] == "name":
            make(name, folder)
            wanted |= dict.fromkeys(expected["learners"], "passed")
        else:
            place = tmp_path / "made" / name
            place.mkdir(parents=True)
            make(name, place)
            (folder / name).mkdir()
            ending = expected["submit"].removeprefix("s")
            shutil.move(place / expected["submit"], folder / name / f"json-echo{ending}")
            wanted[name] = expected["verdict"]

    files = {face: tmp_path / face for face in ("junit", "ctrf")}
    options = [f"--{face}={path}" for face, path in files.items()]
    done = run_looplab(["grade", "--class", str(folder), "--json", *options], tmp_path, LOOPLAB_RUN_DIR=run_dir)
    reports = {report.learner: report for report in map(from_json, done.stdout.encode().splitlines())}

    assert done.returncode == 1, done.stderr
    assert {who: report.verdict for who, report in reports.items()} == wanted
    assert all(report.points == (10 if report.verdict == "passed" else 0) for report in reports.values())
    assert printable(done.stdout + done.stderr)
    assert not COMMAND.search(done.stdout + done.stderr)
    assert len(ET.parse(files["junit"]).getroot()) == len(wanted)
    assert not list(Path(run_dir).glob("g*"))
    assert not list(Path("/tmp").glob("escaped*"))
    table = run_looplab(["report"], tmp_path)
    assert printable(table.stdout)
    with open_store(f"sqlite:///{tmp_path}/data/looplab.db") as store:
        assert len(store.latest()) == len(wanted)
