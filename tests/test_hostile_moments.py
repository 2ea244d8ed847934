"""Rows of the attacks that are no file: two gradings at the same instant (36), no pickle (8), whose clock it is (30), what gets into a box
(31).
"""

import ast
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.report import from_json
from grader.sandbox.workplace import lay_in
from grader.settings import read_settings
from grader.submission import read_submission
from tests.test_hostile_files import ECHO, LOOPLAB, SERVER, make

SETTINGS = read_settings()
PICKLES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "multiprocessing",
    "concurrent.futures.process",
}
"""Modules that turn bytes into objects by running what the bytes say, or that talk so to other processes."""


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="looplab-m-", dir="/tmp") as run_dir:
        os.chmod(run_dir, 0o711)
        yield {**os.environ, "LOOPLAB_DATA": str(tmp_path / "data"), "LOOPLAB_RUN_DIR": run_dir}


def start(environ: dict[str, str], *command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([LOOPLAB, "grade", *command], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(environ: dict[str, str]) -> list[tuple[str, str, float, str]]:
    """Learner, verdict, points and time of every report that is kept."""
    with sqlite3.connect(f"{environ['LOOPLAB_DATA']}/looplab.db") as database:
        found = database.execute("SELECT learner, verdict, points, graded_at FROM reports").fetchall()
    database.close()
    return found


@pytest.mark.docker
def test_the_same_submission_at_the_same_instant_is_graded_and_kept_twice_with_our_time(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "json-echo"
    shutil.copytree(ECHO.folder / "solution", folder)
    (folder / "timestamp.txt").write_text("2001-01-01 00:00:00 UTC")
    for path in (folder / "server.mjs", folder):
        os.utime(path, (0, 2**33))  # handed in in 2242, by its own word
    began = datetime.now(UTC).replace(tzinfo=None)

    both = [start(environ, str(folder), "--learner=eve", "--json", "--seed=7") for _ in range(2)]
    said = [process.communicate(timeout=240) for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    reports = [from_json(out.encode()) for out, _ in said]
    assert {(report.verdict, report.points, report.submission_digest) for report in reports} == {
        ("passed", 10, reports[0].submission_digest)
    }
    kept = rows(environ)
    assert [row[:3] for row in kept] == [("eve", "passed", 10)] * 2
    assert all(began <= datetime.fromisoformat(row[3]) <= datetime.now(UTC).replace(tzinfo=None) for row in kept)


@pytest.mark.docker
def test_a_regrade_in_the_middle_of_a_run_gives_each_grading_one_report(tmp_path: Path, environ: dict[str, str]) -> None:
    learners = ("ada", "eve", "zoe")
    for learner in learners:
        shutil.copytree(ECHO.folder / "solution", tmp_path / "class" / learner / "json-echo")
    command = ["--class", str(tmp_path / "class"), "--json"]

    with start(environ, *command, "--parallel=1") as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        with start(environ, *command, "--parallel=2", "--again") as again:
            again_said = again.communicate(timeout=240)
        first_said = first.communicate(timeout=240)

    assert (first.returncode, again.returncode) == (0, 0), (first_said, again_said)
    kept = rows(environ)
    assert all(row[1:3] == ("passed", 10) for row in kept)
    count = Counter(row[0] for row in kept)
    assert set(count) == set(learners)
    assert again_said[0].count("\n") == 3
    assert sum(count.values()) == 6


def imports(tree: ast.AST) -> set[str]:
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) and "import" in ast.unparse(node.func):
            found.add(str(node.args[0].value))
    return found


def pickles(source: str) -> set[str]:
    return {name for name in imports(ast.parse(source)) if name in PICKLES or name.split(".")[0] in PICKLES}


def test_there_is_no_pickle_anywhere() -> None:
    sources = [path for part in ("grader", "course") for path in (SETTINGS.home / part).rglob("*.py") if "node_modules" not in path.parts]

    assert len(sources) > 80
    assert {str(path): found for path in sources if (found := pickles(path.read_text()))} == {}


@pytest.mark.parametrize(
    "line", ["import pickle", "from dill import loads", "import os, marshal", "__import__('shelve')", "import multiprocessing.pool"]
)
def test_a_planted_pickle_is_found(line: str) -> None:
    assert pickles(f"def f():\n    {line}\n")


def test_nothing_but_the_files_that_were_read_gets_into_a_box(tmp_path: Path) -> None:
    make("brings-its-own-everything", tmp_path)
    submission = read_submission(tmp_path / "s", ECHO.manifest.submit.entry)
    packages = Path("/opt/looplab/node_modules")

    folder = tmp_path / "box"
    (folder / "srv").mkdir(parents=True)
    lay_in(folder, submission, ("express",), packages)

    everything = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    files = {name: path for name, path in everything.items() if path.is_file() and not path.is_symlink()}
    links = {name: os.readlink(path) for name, path in everything.items() if path.is_symlink()}
    read = {name.removeprefix("srv/app/"): path.read_bytes() for name, path in files.items()}
    assert submission.entry == "server.mjs"
    assert read == submission.files
    assert read["server.mjs"] == SERVER
    assert links == {"srv/node_modules/express": f"{packages}/express"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o644}  # nothing in it can be run as a program of its own
    assert not [name for name in everything if "/." in name or "node_modules/" in name.removeprefix("srv/node_modules/")]
