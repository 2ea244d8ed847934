"""Nothing that a learner can see holds a canary of a hidden check or a solution, a path of this machine, or a frame of our Python.

Looked at is what is really made: by `looplab check`, `grade` and `nbgrader`, the workspace, the lessons, and what a server sees inside of its
container. A canary is a text `looplab-canary-<exercise>-checks-<8 hex digits>` in the docstring of each hidden check, and
`…-solutions-…` at the top of each file of solution/ and right/.
"""

import ast
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.cli.common import open_grader
from grader.exercise import Exercise, load_exercise, load_exercises
from grader.grade import grade_path
from grader.notebooks.course import load_course
from grader.notebooks.nbgrader_course import init_course, source_notebook
from grader.notebooks.workspace import workspace_files
from grader.report import Report, from_json
from grader.settings import Settings, read_settings
from tests import samples
from tests.notebooks.nbgrader_samples import environment, fill_gradebook, hand_in, make_course
from tests.test_hostile_names import faces

SETTINGS = read_settings()
EXERCISES = load_exercises(SETTINGS.exercises)
ECHO = load_exercise(SETTINGS.exercises, "json-echo")
LOOPLAB = str(Path(sys.executable).with_name("looplab"))
CANARY = re.compile(r"looplab-canary-[a-z0-9-]+")
FRAME = re.compile(r'File"[^"]{1,300}",line\d+|Traceback\(mostrecentcalllast\)|(site|dist)-packages|lib/python3')
"""Of Python. White space and backslashes are gone when it is looked for."""
SOURCES = {".mjs", ".js", ".cjs", ".ts"}
SPY = Path(__file__).parent / "canary_spy.mjs"


def leaks(page: str, *places: str | Path) -> list[str]:
    """What of our secrets stands in a page, folded, escaped or not. `places` are folders of this machine."""
    text = re.sub(r"[\s\\]+", "", html.unescape(page))
    found = [match[0] for pattern in (CANARY, FRAME) for match in pattern.finditer(text)]
    return found + [str(place) for place in (SETTINGS.home, SETTINGS.data, *places) if str(place) in text]


# ---- every exercise has them


def canaries(text: str) -> set[str]:
    return set(CANARY.findall(text))


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)
def test_every_hidden_check_and_every_solution_carries_its_canary(exercise: Exercise) -> None:
    hidden = {check.id for check in exercise.checks if not check.visible}
    pattern = rf"looplab-canary-{exercise.slug}-(checks|solutions)-[0-9a-f]{{8}}"
    seen: set[str] = set()
    for path in (exercise.folder / "tests").glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found = canaries(ast.get_docstring(node) or "")
                assert len(found) == (node.name in hidden), f"{node.name}: its docstring needs looplab-canary-{exercise.slug}-checks-…"
                seen |= found
    for folder in ("solution", "right"):
        for path in (exercise.folder / folder).rglob("*"):
            if path.suffix in SOURCES:
                found = canaries(path.read_text().split("\n")[0])
                assert found, f"{path}: its first line needs // looplab-canary-{exercise.slug}-solutions-…"
                seen |= found

    assert len(seen) == 2
    assert all(re.fullmatch(pattern, canary) for canary in seen)
    assert {canary.split("-")[-2] for canary in seen} == {"checks", "solutions"}


# ---- the search can fail

PLACES: dict[str, str] = {"run dir": "/tmp/looplab-0", "home": str(SETTINGS.home), "data": str(SETTINGS.data)}
PLANTED = {
    "canary of a check": "looplab-canary-json-echo-checks-e903b4d5",
    "canary of a solution": "looplab-canary-polite-cpu-solutions-5afbb7df",
    "frame": 'File "/usr/lib/x.py", line 3, in test_echo',
    "traceback": "Traceback (most recent call last):",
    "package": "/opt/venv/lib/python3.11/site-packages/h11/x",
    **{name: f"{place}/somewhere" for name, place in PLACES.items()},
}


@pytest.mark.parametrize("face", ["terminal", "html", "json", "junit", "ctrf"])
@pytest.mark.parametrize("secret", PLANTED)
def test_a_planted_secret_is_found_in_every_face_of_a_report(secret: str, face: str) -> None:
    text = f"It said {'x' * 40} {PLANTED[secret]} and more."
    where: dict[str, Any] = {
        "message": samples.report(samples.failed(message=text), verdict="failed", points=0.0),
        "reason": samples.unusable("rejected", text),
    }

    for report in where.values():
        assert leaks(faces(msgspec.structs.replace(report, exercise="json-echo", checks=_known(report)))[face], PLACES["run dir"])
    assert not leaks(faces(samples.unusable("rejected", "Fine.", exercise="json-echo"))[face], PLACES["run dir"])


def _known(report: Report) -> tuple[Any, ...]:
    return tuple(msgspec.structs.replace(check, id="test_any_json_value_comes_back") for check in report.checks)


@pytest.mark.parametrize("secret", PLANTED)
def test_a_planted_secret_is_found_in_a_notebook(secret: str) -> None:
    notebook = {"cells": [{"outputs": [{"text": ["some\n", f"<b>{html.escape(PLANTED[secret])}</b>"]}]}]}

    assert leaks(json.dumps(notebook), PLACES["run dir"])


# ---- what learners are given


def given() -> dict[str, bytes]:
    """All files that learners get before they hand in anything, by name."""
    lessons = [SETTINGS.home / "course" / "lessons" / slug for slug in load_course(SETTINGS.home).lessons]
    found = {f"{folder.name}/{name}": (folder / name).read_bytes() for folder in lessons for name in ("lesson.ipynb", "executed.ipynb")}
    found |= {f"workspace/{name}": data for name, data in workspace_files(SETTINGS).items()}
    return found | {f"nbgrader/{exercise.slug}.ipynb": source_notebook(exercise) for exercise in EXERCISES}


def test_nothing_that_learners_are_given_leaks() -> None:
    files = given()

    assert len(files) > 100
    assert {name: found for name, data in files.items() if (found := leaks(data.decode("utf-8", "replace"), "/root/"))} == {}


def test_a_course_of_nbgrader_leaks_nothing_in_what_it_releases(tmp_path: Path) -> None:
    init_course(tmp_path / "course", EXERCISES)
    make_course(tmp_path / "other")
    files = [*(tmp_path / "course" / "source").rglob("*.ipynb"), *(tmp_path / "other" / "release").rglob("*.ipynb")]

    assert len(files) == len(EXERCISES) + 1
    assert {str(path): found for path in files if (found := leaks(path.read_text(), tmp_path, "/root/"))} == {}


# ---- what learners are told


def without_canary(source: str) -> str:
    """A learner's own server, which does not carry ours."""
    return CANARY.sub("mine", source)


def servers() -> dict[str, str]:
    solution = without_canary((ECHO.folder / "solution" / "server.mjs").read_text())
    return {
        "passing": solution,
        "failing": (ECHO.folder / "wrong" / "counts-characters" / "server.mjs").read_text(),
        "crashing": "import express from 'express';\nexpress();\nthrow new Error('early');",
        "crashing-late": solution.replace("createServer(", "createServer(() => { throw new Error('late'); });\ncreateServer(", 1)
        + "\nsetTimeout(() => { throw new Error('later'); }, 30);",
        "hanging": "import http from 'node:http';\nhttp.createServer(() => {}).listen(process.env.PORT);",
    }


def lay(folder: Path, server: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "server.mjs").write_text(server)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Its own folders, whose names must not be seen."""
    data = tmp_path_factory.mktemp("own-data")
    with tempfile.TemporaryDirectory(prefix="looplab-c-", dir="/tmp") as run_dir:
        os.chmod(run_dir, 0o711)
        yield read_settings({**os.environ, "LOOPLAB_DATA": str(data), "LOOPLAB_RUN_DIR": run_dir})


def run(settings: Settings, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "LOOPLAB_DATA": str(settings.data), "LOOPLAB_RUN_DIR": str(settings.run_dir)}
    return subprocess.run([LOOPLAB, *map(str, command)], env=environ, capture_output=True, text=True, check=False, timeout=240)


def quick(exercise: Exercise) -> Exercise:
    """With little time: who hangs is known after a few seconds."""
    limits = msgspec.structs.replace(exercise.manifest.limits, seconds=4.0)
    return msgspec.structs.replace(exercise, manifest=msgspec.structs.replace(exercise.manifest, limits=limits))


def defective(root: Path, how: str) -> Exercise:
    """json-echo with a suite that dies in a hidden check, or before all of them."""
    folder = root / how / "json-echo"
    shutil.copytree(ECHO.folder, folder)
    suite = folder / "tests" / "test_json_echo.py"
    text = suite.read_text()
    if how == "dies-in-a-check":
        text = text.replace("    values = [{", '    {}["a key that is not there"]\n    values = [{', 1)
    else:
        text += "\nBROKEN = {}['a name that is not there']\n"
    suite.write_text(text)
    return load_exercise(root / how, "json-echo")


@pytest.mark.docker
def test_no_face_of_a_report_leaks(settings: Settings, tmp_path: Path) -> None:
    reports: dict[str, Report] = {}
    with open_grader(settings, "docker") as grader:
        for name, server in servers().items():
            reports[name], defects = grade_path(grader, quick(ECHO), lay(tmp_path / name, server), learner="grace-hopper")
            assert not defects
        reports["defective"], defects = grade_path(grader, defective(tmp_path, "dies-in-a-check"), tmp_path / "passing", learner="grace")
        assert "KeyError" in defects[0]  # told to the author alone

    verdicts = {name: report.verdict for name, report in reports.items()}
    assert verdicts.pop("crashing-late") in ("failed", "did_not_start")
    assert verdicts == {
        "passing": "passed",
        "failing": "partial",
        "crashing": "did_not_start",
        "hanging": "failed",
        "defective": "partial",
    }
    for name, report in reports.items():
        no_face_leaks(name, report, settings.run_dir, settings.packages, tmp_path)


def no_face_leaks(name: str, report: Report, *places: Path) -> None:
    for face, page in faces(report).items():
        assert not leaks(page, *places, "/root/"), (name, face)


@pytest.mark.docker
def test_a_suite_that_cannot_be_imported_leaks_nothing_to_learners(settings: Settings, tmp_path: Path) -> None:
    server = lay(tmp_path / "passing", servers()["passing"])

    with open_grader(settings, "docker") as grader:
        report, _ = grade_path(grader, defective(tmp_path, "dies-at-import"), server, learner="grace-hopper")

    assert report.verdict == "not_graded"
    no_face_leaks("dies-at-import", report, settings.run_dir, settings.packages, tmp_path)


@pytest.mark.docker
def test_a_command_that_grades_leaks_nothing_and_its_files_neither(settings: Settings, tmp_path: Path) -> None:
    for name in ("passing", "failing", "crashing"):
        lay(tmp_path / "class" / name / "json-echo", servers()[name])
    files = [tmp_path / "junit.xml", tmp_path / "ctrf.json"]

    done = run(settings, "grade", "--class", tmp_path / "class", f"--junit={files[0]}", f"--ctrf={files[1]}")
    shown = [run(settings, "report", "--learner", name, *more).stdout for name in ("failing", "crashing") for more in ([], ["--json"])]

    assert done.returncode == 1, done.stderr
    assert from_json(shown[1].encode()).verdict == "partial"
    for page in (done.stdout, done.stderr, *shown, *(path.read_text() for path in files)):
        assert len(page) > 10
        assert not leaks(page, settings.run_dir, settings.data, settings.packages)


@pytest.mark.parametrize("kind", ["passing", "failing", "crashing"])
def test_a_check_on_the_learners_own_machine_leaks_nothing(kind: str, settings: Settings, tmp_path: Path) -> None:
    done = run(settings, "check", "json-echo", lay(tmp_path / "mine", servers()[kind]), "--hints")

    assert done.returncode == (kind != "passing"), done.stderr
    assert not leaks(done.stdout + done.stderr, settings.run_dir, settings.data)


@pytest.mark.docker
def test_nbgraders_notebooks_and_feedback_leak_nothing(settings: Settings, tmp_path: Path) -> None:
    course = tmp_path / "course"
    release = make_course(course)
    fill_gradebook(course, release)
    for name in ("passing", "failing", "crashing"):
        hand_in(course, release, name, servers()[name])
    environ = {**environment(tmp_path), "LOOPLAB_DATA": str(settings.data), "LOOPLAB_RUN_DIR": str(settings.run_dir)}

    for command, code in (
        ([LOOPLAB, "nbgrader", "autograde", "json-echo"], 1),
        ([str(Path(sys.executable).with_name("nbgrader")), "generate_feedback", "json-echo"], 0),
    ):
        done = subprocess.run(command, cwd=course, env=environ, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == code, done.stdout + done.stderr

    pages = [*(course / "autograded").rglob("*.ipynb"), *(course / "feedback").rglob("*.html")]
    assert len(pages) == 6
    for path in pages:
        assert not leaks(path.read_text(), settings.run_dir, settings.data, course, settings.packages), path


# ---- what a submission sees


@pytest.mark.docker
def test_a_server_in_its_container_sees_no_canary_and_only_a_path_that_says_nothing(settings: Settings, tmp_path: Path) -> None:
    """Its mountinfo names the host's folders that are mounted into it. They are below the run directory and say nothing else.

    Beside it lies a canary that it brought itself: so we know that it can find one.
    """
    folder = lay(tmp_path / "spying", SPY.read_text())
    (folder / "brought.txt").write_text(PLANTED["canary of a check"])

    with open_grader(settings, "docker") as grader:
        report, _ = grade_path(grader, quick(ECHO), folder, learner="grace-hopper")

    seen = report.facts.output
    assert report.points == 0
    assert re.search(r"SPY mountinfo[\s\S]*SPY canaries 1 in \d+ files\nSPY end", seen), seen[-500:]
    assert not leaks(seen, settings.data, settings.packages, tmp_path, "/root/.")
    for word in ("grace", "hopper", "echo", str(SETTINGS.home), SETTINGS.home.name + "/", "spying"):
        assert word not in seen, word
    mounted = re.findall(rf"{settings.run_dir.name}\S*", seen)
    assert mounted
    assert all(re.fullmatch(rf"{settings.run_dir.name}/g[0-9a-f]{{8}}/\d+/\w+", path) for path in mounted), mounted
