"""A learner's workspace: complete when it is new, and never at the cost of what the learner wrote."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.errors import LessonError, SettingsError
from grader.exercise import load_exercises
from grader.notebooks.files import cannot_write, write_whole
from grader.notebooks.workspace import RECORD, Changes, is_workspace, make_workspace
from grader.settings import Settings
from tests.notebooks.home import SETTINGS, SLUG, course_of

LOOPLAB = str(Path(sys.executable).with_name("looplab"))
LESSON = (
    "See [another](../../misconceptions/length-counts-characters.md), [this](lesson.md) and [it](../../../exercises/json-echo/prompt.md).\n"
)


@pytest.fixture
def course(tmp_path: Path) -> Settings:
    return course_of(tmp_path / "home", LESSON)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a workspace, the packages aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "node_modules" not in path.parts
    }


def edit_lesson(course: Settings, more: str) -> None:
    course_of(course.home, LESSON + more)


# ---- a new one


def test_a_new_workspace_has_all_that_a_learner_needs(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)

    files = tree(tmp_path / "w")
    for exercise in load_exercises(course.exercises):
        assert files[f"contracts/{exercise.slug}.md"] == (exercise.folder / "prompt.md").read_bytes()
        assert files[f"{exercise.slug}/server.mjs"] == (exercise.folder / "starter" / "server.mjs").read_bytes()
        assert f"checks/test_{exercise.slug.replace('-', '_')}.py" in files
        assert f"contracts/{exercise.slug}.md" in files["README.md"].decode()
    assert f"{SLUG}.ipynb" in files
    assert f"({SLUG}.ipynb)" in files["README.md"].decode()
    assert (tmp_path / "w" / "node_modules").readlink() == course.packages


def test_nothing_of_an_exercise_but_its_learners_side_is_there(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)

    assert {name.split("/")[0] for name in tree(tmp_path / "w")} == {
        "README.md", "checks", "contracts", "course", RECORD, f"{SLUG}.ipynb", *(e.slug for e in load_exercises(course.exercises)),
    }  # fmt: skip
    assert not {"solution", "right", "wrong", "tests", "hints.md", "design.md", "exercise.toml"} & {
        part for name in tree(tmp_path / "w") for part in name.split("/")
    }


def test_links_of_a_lesson_lead_to_the_workspaces_own_files(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)

    text = "".join(json.loads((tmp_path / "w" / f"{SLUG}.ipynb").read_bytes())["cells"][0]["source"])
    targets = re.findall(r"\]\((.*?)\)", text)
    assert targets == ["course/misconceptions/length-counts-characters.md", f"{SLUG}.ipynb", "contracts/json-echo.md"]
    assert all((tmp_path / "w" / target).is_file() for target in targets)


def test_further_files_of_a_lesson_come_along(tmp_path: Path, course: Settings) -> None:
    extra = course.home / "course" / "lessons" / SLUG / "data" / "names.txt"
    extra.parent.mkdir()
    extra.write_text("Ada\n")

    make_workspace(tmp_path / "w", course)

    assert (tmp_path / "w" / "data" / "names.txt").read_text() == "Ada\n"


def test_a_check_works_in_the_workspace(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    shutil.copytree(SETTINGS.exercises / "json-echo" / "solution", tmp_path / "w" / "json-echo", dirs_exist_ok=True)

    done = subprocess.run([LOOPLAB, "check", "json-echo"], cwd=tmp_path / "w", capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


# ---- once more


def test_a_second_run_touches_nothing(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    times = {name: (tmp_path / "w" / name).stat().st_mtime_ns for name in tree(tmp_path / "w")}

    changes = make_workspace(tmp_path / "w", course)

    assert changes == Changes((), (), (), (), ())
    assert times == {name: (tmp_path / "w" / name).stat().st_mtime_ns for name in tree(tmp_path / "w")}


def test_what_the_learner_changed_is_left_alone_and_named(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    mine = tmp_path / "w" / "json-echo" / "server.mjs"
    mine.write_text("mine();\n")

    changes = make_workspace(tmp_path / "w", course)

    assert changes.left == ("json-echo/server.mjs",)
    assert changes.outdated == ()
    assert mine.read_text() == "mine();\n"


def test_what_is_untouched_follows_the_course(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    edit_lesson(course, "## A new part\n")

    changes = make_workspace(tmp_path / "w", course)

    assert changes.updated == (f"{SLUG}.ipynb",)
    assert b"A new part" in (tmp_path / "w" / f"{SLUG}.ipynb").read_bytes()


def test_a_changed_file_of_which_there_is_a_newer_one_is_told_apart(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    notebook = tmp_path / "w" / f"{SLUG}.ipynb"
    notebook.write_bytes(notebook.read_bytes() + b"\n")
    edit_lesson(course, "## A new part\n")

    first, second = make_workspace(tmp_path / "w", course), make_workspace(tmp_path / "w", course)
    assert first.left == first.outdated == second.outdated == (f"{SLUG}.ipynb",)
    assert b"A new part" not in notebook.read_bytes()

    notebook.rename(tmp_path / "w" / "mine.ipynb")
    third = make_workspace(tmp_path / "w", course)
    assert third.added == (f"{SLUG}.ipynb",)
    assert b"A new part" in notebook.read_bytes()
    assert make_workspace(tmp_path / "w", course) == Changes((), (), (), (), ())


def test_what_left_the_course_stays_and_is_named(tmp_path: Path, course: Settings) -> None:
    extra = course.home / "course" / "lessons" / SLUG / "names.txt"
    extra.write_text("Ada\n")
    make_workspace(tmp_path / "w", course)
    extra.unlink()

    changes = make_workspace(tmp_path / "w", course)

    assert changes.gone == ("names.txt",)
    assert (tmp_path / "w" / "names.txt").read_text() == "Ada\n"


@pytest.mark.parametrize("record", [None, "", "{", '{"files": 3}', "\0"])
def test_without_its_record_nothing_counts_as_untouched(tmp_path: Path, course: Settings, record: str | None) -> None:
    make_workspace(tmp_path / "w", course)
    edit_lesson(course, "## A new part\n")
    (tmp_path / "w" / RECORD).unlink()
    if record is not None:
        (tmp_path / "w" / RECORD).write_text(record)

    changes = make_workspace(tmp_path / "w", course, beside_others=True)

    assert changes.left == (f"{SLUG}.ipynb",)
    assert changes.updated == changes.added == ()


def test_a_folder_in_the_place_of_a_file_is_the_learners(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    (tmp_path / "w" / "README.md").unlink()
    (tmp_path / "w" / "README.md").mkdir()

    assert make_workspace(tmp_path / "w", course).left == ("README.md",)


# ---- the packages


def test_the_learners_own_packages_stay(tmp_path: Path, course: Settings) -> None:
    (tmp_path / "w" / "node_modules" / "left-pad").mkdir(parents=True)

    make_workspace(tmp_path / "w", course, beside_others=True)

    assert (tmp_path / "w" / "node_modules" / "left-pad").is_dir()


def test_our_link_follows_when_looplab_has_moved(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    link = tmp_path / "w" / "node_modules"
    record = json.loads((tmp_path / "w" / RECORD).read_bytes())
    (tmp_path / "w" / RECORD).write_text(json.dumps(record | {"packages": "/old/node_modules"}))
    link.unlink()
    link.symlink_to("/old/node_modules")

    make_workspace(tmp_path / "w", course)
    assert link.readlink() == course.packages

    link.unlink()
    link.symlink_to("/elsewhere")
    make_workspace(tmp_path / "w", course)
    assert str(link.readlink()) == "/elsewhere"


# ---- where it cannot be


def refusal(folder: Path, settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        make_workspace(folder, settings)
    return str(caught.value)


def test_a_file_is_no_place_for_a_workspace(tmp_path: Path, course: Settings) -> None:
    (tmp_path / "w").write_text("mine")

    assert "w is a file. Name a folder" in refusal(tmp_path / "w", course)
    assert "A part of this path is a file" in refusal(tmp_path / "w" / "below", course)
    assert (tmp_path / "w").read_text() == "mine"


def test_a_folder_with_other_files_is_refused_unless_asked_for(tmp_path: Path, course: Settings) -> None:
    (tmp_path / "w" / ".git").mkdir(parents=True)
    make_workspace(tmp_path / "w", course)  # hidden files do not matter
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "README.md").write_text("mine")

    assert "holds other files and is no workspace" in refusal(tmp_path / "v", course)
    changes = make_workspace(tmp_path / "v", course, beside_others=True)

    assert changes.left == ("README.md",)
    assert (tmp_path / "v" / "README.md").read_text() == "mine"


@pytest.mark.parametrize("place", [".", "course", "exercises/json-echo", "grader/x", ".."])
def test_looplab_itself_is_no_workspace(course: Settings, place: str) -> None:
    assert "Looplab itself" in refusal(SETTINGS.home / place, replace(course, home=SETTINGS.home))


def test_a_wrong_lesson_changes_nothing(tmp_path: Path, course: Settings) -> None:
    make_workspace(tmp_path / "w", course)
    before = tree(tmp_path / "w")
    edit_lesson(course, "```{note}\nx\n```\n")

    with pytest.raises(LessonError, match="unknown directive"):
        make_workspace(tmp_path / "w", course)

    assert tree(tmp_path / "w") == before


FULL_DISK = """
import resource, sys
from pathlib import Path
from dataclasses import replace
from grader.settings import read_settings
from grader.notebooks.workspace import make_workspace
settings = read_settings()
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))  # no file beyond 4 kB: most fit, some do not
make_workspace(Path(sys.argv[1]), settings)
"""


@pytest.mark.parametrize("kind", ["new", "below a new one", "old"])
def test_a_disk_that_takes_no_more_leaves_everything_as_it_was(tmp_path: Path, course: Settings, kind: str) -> None:
    folder = tmp_path / "w" / "v" if kind == "below a new one" else tmp_path / "w"
    if kind == "old":
        make_workspace(folder, course)
        (folder / "polite-cpu" / "server.mjs").write_text("mine();\n")
        (folder / "checks" / "test_json_echo.py").unlink()
        edit_lesson(course, "## A new part\n\n" + "x" * 5000)
    before = tree(tmp_path / "w")

    environ = {**os.environ, "LOOPLAB_HOME": str(course.home)}
    done = subprocess.run([sys.executable, "-c", FULL_DISK, folder], env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert "cannot be written" in done.stderr
    assert tree(tmp_path / "w") == before
    assert (tmp_path / "w").exists() == (kind == "old")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "The disk is full. Make room, then run the same command again."),
        (errno.EDQUOT, "Your quota of this disk is used up."),
        (errno.EACCES, "You may not write there."),
        (errno.EROFS, "The disk is read-only."),
        (errno.EIO, "Input/output error."),
    ],
)
def test_what_stops_a_write_is_said_with_what_to_do(number: int, advice: str) -> None:
    assert str(cannot_write(Path("/w/a"), OSError(number, os.strerror(number)))).startswith(f"/w/a cannot be written. {advice}")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SettingsError, match="a cannot be written"):
            write_whole(tmp_path / "a", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


# ---- the commands


def looplab(course: Settings, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LOOPLAB_HOME": str(course.home)}
    return subprocess.run([LOOPLAB, *map(str, words)], env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_init_says_what_it_did(tmp_path: Path, course: Settings) -> None:
    first = looplab(course, "init", tmp_path / "w")
    (tmp_path / "w" / "json-echo" / "server.mjs").write_text("mine();\n")
    edit_lesson(course, "## A new part\n")
    second = looplab(course, "init", tmp_path / "w")
    third = looplab(course, "init", tmp_path / "w")

    assert [first.returncode, second.returncode, third.returncode] == [0, 0, 0]
    assert f"Made a workspace in {tmp_path / 'w'}" in first.stdout
    assert "left alone" not in first.stdout
    assert f"updated: {SLUG}.ipynb" in second.stdout
    assert "left alone, it is yours: json-echo/server.mjs\n" in second.stdout
    assert "Everything is up to date." in third.stdout


def test_init_without_a_place_is_a_usage_error(course: Settings) -> None:
    done = looplab(course, "init")

    assert done.returncode == 2
    assert "Missing argument 'DIR'" in done.stderr


def test_lab_does_not_make_a_workspace_of_somebodys_folder(tmp_path: Path, course: Settings) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "mine.txt").touch()

    done = looplab(course, "lab", tmp_path / "w")

    assert done.returncode == 2
    assert "holds other files and is no workspace" in done.stderr
    assert not is_workspace(tmp_path / "w")


@pytest.mark.notebook
def test_lab_says_its_address_and_ends_with_its_kernels(tmp_path: Path, course: Settings) -> None:
    environ = {**os.environ, "LOOPLAB_HOME": str(course.home)}
    words = [LOOPLAB, "lab", str(tmp_path / "w"), "--", "--no-browser", "--ServerApp.port=0"]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as lab:
        try:
            assert lab.stdout is not None
            address = next(found for line in lab.stdout if (found := re.search(r"(http://127\S+?)/lab\?token=(\w+)", line)))

            def ask(method: str, path: str, body: object = None) -> Any:
                """The answer as JSON, or as text where it is none."""
                request = urllib.request.Request(
                    address[1] + path,
                    method=method,
                    data=json.dumps(body).encode() if body else None,
                    headers={"Authorization": f"token {address[2]}"},
                )
                deadline = time.monotonic() + 30
                while True:
                    try:
                        with urllib.request.urlopen(request, timeout=30) as answer:
                            text = answer.read().decode()
                            return json.loads(text) if answer.headers.get_content_subtype() == "json" else text
                    except urllib.error.URLError as error:  # it says its address a moment before it listens
                        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                            raise
                        time.sleep(0.05)

            names = {item["name"] for item in ask("GET", "/api/contents")["content"]}
            assert {"README.md", f"{SLUG}.ipynb", "json-echo"} <= names
            assert "apputils-extension:announcements" in ask("GET", "/lab")  # among what is switched off: it asks nothing
            assert ask("GET", "/api/kernelspecs")["default"] == "looplab-node"
            kernel = ask("POST", "/api/kernels", {"name": "looplab-node"})["id"]
            assert processes_with(kernel)
        finally:
            lab.send_signal(signal.SIGINT)
        lab.stdout.read()
        assert lab.wait(30) == 0

    deadline = time.monotonic() + 10
    while processes_with(kernel) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(kernel) == []


def processes_with(word: str) -> list[int]:
    """Processes in whose command line `word` stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
