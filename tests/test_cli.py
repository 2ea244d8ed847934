"""The command as people type it: what it prints, what it says about mistakes, how it ends."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from grader.report import from_json
from grader.settings import read_settings

SETTINGS = read_settings()
LOOPLAB = str(Path(sys.executable).with_name("looplab"))
ECHO = SETTINGS.exercises / "json-echo"


def looplab(*words: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOOPLAB, *map(str, words)],
        cwd=cwd or SETTINGS.home,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_names_every_command() -> None:
    text = looplab("--help").stdout
    assert all(
        name in text
        for name in ("init", "lab", "check", "grade", "verify", "list", "report", "doctor", "setup", "demo", "lessons", "bench")
    )


@pytest.mark.parametrize(
    "command", ["init", "lab", "check", "grade", "verify", "list", "report", "doctor", "setup", "demo", "lessons", "bench"]
)
def test_every_command_explains_itself(command: str) -> None:
    done = looplab(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 4


def test_an_unknown_command_names_the_nearest() -> None:
    done = looplab("chek")
    assert done.returncode == 2
    assert "Did you mean check?" in done.stderr


def test_an_unknown_exercise_names_the_nearest() -> None:
    done = looplab("check", "json-ecco")
    assert done.returncode == 2
    assert "Did you mean json-echo" in done.stderr


def test_the_list_shows_every_exercise() -> None:
    shown = looplab("list", "--json").stdout.splitlines()
    assert {json.loads(line)["exercise"] for line in shown} >= {
        "json-echo",
        "polite-cpu",
        "error-funnel",
        "ndjson-lines",
        "refresh-rotation",
    }


def test_a_right_server_gets_all_visible_points_on_this_machine() -> None:
    done = looplab("check", "json-echo", ECHO / "solution")
    assert done.returncode == 0
    assert "all points" in done.stdout


def test_a_check_shows_what_was_sent_what_came_and_the_rule() -> None:
    done = looplab("check", "json-echo", ECHO / "wrong" / "counts-characters", "--hints")
    assert done.returncode == 1
    for words in ("`bytes`", "The contract:", "POST /echo HTTP/1.1", "HTTP/1.1 200 OK", "Hint:"):
        assert words in done.stdout, words
    for jargon in ("assert", "Traceback", "Python", "None"):
        assert jargon not in done.stdout


def test_a_check_runs_only_visible_checks() -> None:
    done = looplab("check", "json-echo", ECHO / "solution", "--json")
    report = from_json(done.stdout.encode())
    assert report.checks
    assert all(check.visible for check in report.checks)


def test_a_check_works_in_a_folder_that_nobody_else_may_enter(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)

    done = looplab("check", "json-echo", ECHO / "solution", cwd=tmp_path / "mine")

    assert done.returncode == 0, done.stdout + done.stderr


def test_one_task_can_be_checked_alone() -> None:
    done = looplab("check", "json-echo", ECHO / "solution", "--task", "2", "--json")
    report = from_json(done.stdout.encode())
    assert (done.returncode, {check.task for check in report.checks}) == (0, {2})
    assert report.points == report.max_points > 0


def test_a_task_that_does_not_exist_is_told() -> None:
    done = looplab("check", "json-echo", ECHO / "solution", "--task", "9")
    assert done.returncode == 2
    assert "json-echo has no task 9. It has 1, 2, 3." in done.stderr


def test_the_same_seed_sends_the_same_requests(tmp_path: Path) -> None:
    shutil.copytree(ECHO / "wrong" / "counts-characters", tmp_path / "s")
    runs = [from_json(looplab("check", "json-echo", tmp_path / "s", "--seed", "7", "--json").stdout.encode()) for _ in range(2)]
    sent = [[e.request for c in run.checks if c.outcome == "failed" for e in c.exchange] for run in runs]
    assert sent[0]
    assert sent[0] == sent[1]


def test_a_missing_place_is_said() -> None:
    done = looplab("check", "json-echo", "/nowhere/at/all")
    assert done.returncode == 2
    assert "There is nothing at /nowhere/at/all" in done.stderr


def test_an_empty_folder_is_rejected_with_what_to_do(tmp_path: Path) -> None:
    done = looplab("check", "json-echo", tmp_path)
    assert done.returncode == 1
    assert "The submission is empty. Put your server into a file server.mjs" in done.stdout


def test_no_path_of_the_host_shows_in_a_learners_feedback(tmp_path: Path) -> None:
    (tmp_path / "server.mjs").write_text("throw new Error('boom');\n")
    done = looplab("check", "json-echo", tmp_path)
    assert "Error: boom" in done.stdout
    assert "/tmp/looplab" not in done.stdout
    assert "server.mjs:1" in done.stdout


def test_grade_needs_a_path_or_a_class() -> None:
    done = looplab("grade")
    assert done.returncode == 2
    assert "PATH or --class" in done.stderr


def test_a_class_folder_without_submissions_is_explained(tmp_path: Path) -> None:
    done = looplab("grade", "--class", tmp_path)
    assert done.returncode == 2
    assert "DIR/<learner>/<exercise>/" in done.stderr


def test_a_setting_that_cannot_work_is_named() -> None:
    done = looplab("list", LOOPLAB_IMAGE_BASE="magic")
    assert done.returncode == 2
    assert "LOOPLAB_IMAGE_BASE" in done.stderr


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["folder", "file", "zip", "notebook"])
def test_grade_takes_every_kind_of_submission(tmp_path: Path, kind: str) -> None:
    source = (ECHO / "solution" / "server.mjs").read_text()
    path = tmp_path / {"folder": "s", "file": "mine.mjs", "zip": "s.zip", "notebook": "s.ipynb"}[kind]
    if kind == "folder":
        shutil.copytree(ECHO / "solution", path)
    elif kind == "file":
        path.write_text(source)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("handed-in/server.mjs", source)
    else:
        cell: dict[str, object] = {
            "cell_type": "code",
            "source": ["%%file server.mjs\n", source],
            "outputs": [],
            "metadata": {},
            "execution_count": None,
        }
        path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))

    done = looplab("grade", path, "-e", "json-echo", "--json", LOOPLAB_DATA=str(tmp_path / "data"))

    report = from_json(done.stdout.encode())
    assert (done.returncode, report.verdict, report.points) == (0, "passed", 10)
    assert report.facts.sandbox == "docker"


@pytest.mark.docker
def test_a_graded_submission_can_be_shown_again_and_written_for_ci(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    files: list[str | Path] = ["--junit", tmp_path / "junit.xml", "--ctrf", tmp_path / "ctrf.json"]
    done = looplab("grade", ECHO / "wrong" / "counts-characters", "-e", "json-echo", "--learner", "linus", *files, LOOPLAB_DATA=data)
    assert done.returncode == 1

    shown = looplab("report", "--learner", "linus", LOOPLAB_DATA=data).stdout
    assert "linus · json-echo" in shown
    assert "<failure" in (tmp_path / "junit.xml").read_text()
    assert json.loads((tmp_path / "ctrf.json").read_text())["results"]["summary"]["failed"] >= 1


@pytest.mark.docker
def test_doctor_finds_nothing_wrong_on_a_prepared_machine() -> None:
    done = looplab("doctor")
    assert done.returncode == 0, done.stdout
    assert "Everything works." in done.stdout


@pytest.mark.docker
def test_doctor_says_what_to_do_without_an_engine(tmp_path: Path) -> None:
    done = looplab("doctor", DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert done.returncode == 1
    assert "FAIL  container engine" in done.stdout
    assert "Start it" in done.stdout
