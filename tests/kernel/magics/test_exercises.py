"""%check, %hint and %submit, with the real grader on this machine."""

import asyncio
import io
import shutil
import time
import zipfile
from pathlib import Path

import msgspec
import pytest

from grader.exercise import load_exercises
from grader.submission import read_submission
from tests.kernel.magics.cells import SETTINGS, PlainCell, fails, run, run_with

ECHO = SETTINGS.exercises / "json-echo"


def put(cell: PlainCell, source: Path, name: str = "json-echo") -> None:
    shutil.copytree(source, cell.cwd / name)
    cell.cwd.chmod(0o755)


# ---- %check


def test_a_right_server_gets_all_points_and_nothing_is_written_to_stderr(cell: PlainCell) -> None:
    put(cell, ECHO / "solution")

    run(cell, "%check json-echo")

    assert "all points" in cell.plain
    assert cell.err == ""
    told = cell.shown[0][1]["looplab"]
    assert (told["check"], told["verdict"], told["task"]) == ("json-echo", "passed", None)
    assert told["points"] == told["max_points"] > 0


def test_a_failed_check_is_shown_and_is_no_error_of_the_cell(cell: PlainCell) -> None:
    put(cell, ECHO / "wrong" / "counts-characters")

    run(cell, "%check json-echo")

    assert "`bytes`" in cell.plain
    for words in ("bytes", "The contract", "POST /echo HTTP/1.1", "HTTP/1.1 200 OK"):
        assert words in cell.plain
        assert words in cell.html
    assert "hints: %check json-echo --hints" in cell.plain
    assert "Hint" not in cell.html
    told = cell.shown[0][1]["looplab"]
    assert told["points"] < told["max_points"]
    assert cell.err == f"Not all points yet: {told['points']:g} of {told['max_points']:g}.\n"
    assert max(map(len, cell.plain.splitlines())) <= 100


def test_one_task_runs_only_its_checks_and_hints_are_folded_in(cell: PlainCell) -> None:
    put(cell, ECHO / "wrong" / "counts-characters", "mine")

    run(cell, "%check json-echo mine --task 1 --hints --seed 7")

    report = cell.session.reports["json-echo"]
    assert {check.task for check in report.checks} == {1}
    assert report.seed == 7
    assert cell.shown[0][1]["looplab"]["task"] == 1
    assert "Refuse what is not JSON" not in cell.html + cell.plain
    assert "<summary" in cell.html
    assert ">Hint<" in cell.html


def test_a_server_that_does_not_start_is_explained(cell: PlainCell) -> None:
    (cell.cwd / "server.mjs").write_text("throw new Error('boom');\n")
    cell.cwd.chmod(0o755)

    run(cell, "%check json-echo server.mjs")

    assert "Error: boom" in cell.plain
    assert "Error: boom" in cell.html
    assert cell.shown[0][1]["looplab"]["verdict"] == "did_not_start"
    assert cell.err.startswith("Not all points yet: 0 of ")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%check json-ecco", 'There is no exercise "json-ecco". Did you mean json-echo'),
        ("%check 12345", 'There is no exercise "12345". There are error-funnel, json-echo,'),
        ("%check json-echo nowhere", "There is nothing at nowhere. Name the folder or the file of your server."),
        ("%check json-echo --task 9", "json-echo has no task 9. It has 1, 2, 3."),
        ("%check json-echo --seed x", '--seed takes a whole number, not "x".'),
        ("%hint json-echo 9", "json-echo has no task 9. It has 1, 2, 3."),
        ("%hint json-echo first", 'The number of a task is like 1, not "first".'),
        ("%hint json-echo 1 9", "Task 1 of json-echo has 3 hints."),
        ("%submit json-echo nowhere", 'There is no file or folder "nowhere".'),
        ("%submit json-echo", "The submission is empty. Put your server into a file server.mjs."),
    ],
)
def test_a_mistake_is_told(cell: PlainCell, code: str, sentence: str) -> None:
    assert fails(cell, code).value.startswith(sentence)


def test_stop_ends_a_check(cell: PlainCell) -> None:
    put(cell, ECHO / "solution")

    async def press_stop() -> None:
        await asyncio.sleep(0.3)
        cell.interrupted.set()

    began = time.monotonic()
    with pytest.raises(Exception, match="Interrupted"):
        run_with(cell, "%check json-echo", press_stop)

    assert time.monotonic() - began < 5
    assert cell.shown == []


# ---- %hint


def test_hints_come_one_step_at_a_time(cell: PlainCell) -> None:
    run(cell, "%hint json-echo", "%hint json-echo", "%hint json-echo 2", "%hint json-echo 1", "%hint json-echo 1")

    assert [data["text/plain"].splitlines()[0] for data, _ in cell.shown] == [
        "Hint 1 of 3 for task 1: Echo what was sent",
        "Hint 2 of 3 for task 1: Echo what was sent",
        "Hint 1 of 3 for task 2: Refuse what is not JSON",
        "Hint 3 of 3 for task 1: Echo what was sent",
    ]
    assert "You have seen all 3 hints of task 1. %hint json-echo 1 1 shows the first one again." in cell.out
    first, last = cell.shown[0][0], cell.shown[3][0]
    assert "How often does `data` fire" in first["text/markdown"]
    assert "A chunk holds" not in first["text/markdown"]
    assert first["text/plain"].endswith("%hint json-echo 1 shows the next one.")
    assert last["text/plain"].endswith("This was the last one.")


def test_without_a_task_the_hint_is_for_what_failed_last(cell: PlainCell) -> None:
    put(cell, ECHO / "wrong" / "ignores-the-content-type")

    run(cell, "%check json-echo", "%hint json-echo")

    assert "for task 2" in cell.shown[1][0]["text/plain"]


def test_a_step_can_be_asked_for(cell: PlainCell) -> None:
    run(cell, "%hint json-echo 3 2", "%hint json-echo 3")

    assert [data["text/plain"].split(" for ")[0] for data, _ in cell.shown] == ["Hint 2 of 3", "Hint 3 of 3"]


@pytest.mark.parametrize("exercise", load_exercises(SETTINGS.exercises), ids=lambda exercise: exercise.slug)
def test_every_exercise_has_three_hints_for_each_task(cell: PlainCell, exercise: msgspec.Struct) -> None:
    slug, tasks = exercise.slug, exercise.manifest.tasks  # type: ignore[attr-defined]

    run(cell, *(f"%hint {slug} {task.number} {step}" for task in tasks for step in (1, 2, 3)))

    assert len(cell.shown) == 3 * len(tasks)
    assert all(" of 3 for task" in data["text/plain"] for data, _ in cell.shown)


# ---- %submit


def test_the_package_is_what_the_grader_reads(cell: PlainCell) -> None:
    put(cell, ECHO / "solution")
    (cell.cwd / "json-echo" / "lib").mkdir()
    (cell.cwd / "json-echo" / "lib" / "größe.mjs").write_text("export {};\n")
    (cell.cwd / "json-echo" / "node_modules").mkdir()
    (cell.cwd / "json-echo" / "node_modules" / "x.js").write_text("1")

    run(cell, "%submit json-echo")

    entries = ("server.mjs",)
    handed_in = read_submission(cell.cwd / "submissions" / "json-echo.zip", entries)
    assert handed_in == read_submission(cell.cwd / "json-echo", entries)
    assert sorted(handed_in.files) == ["lib/größe.mjs", "server.mjs"]
    assert "submissions/json-echo.zip holds 2 files" in cell.out
    assert "the grader will run server.mjs" in cell.out
    assert "hand in this file" in cell.out


def test_the_same_files_give_the_same_bytes(cell: PlainCell) -> None:
    put(cell, ECHO / "solution")
    run(cell, "%submit json-echo")
    first = (cell.cwd / "submissions" / "json-echo.zip").read_bytes()
    (cell.cwd / "json-echo" / "server.mjs").touch()

    run(cell, "%submit json-echo")

    assert (cell.cwd / "submissions" / "json-echo.zip").read_bytes() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert [item.date_time for item in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_an_earlier_package_is_no_part_of_the_next(cell: PlainCell) -> None:
    shutil.copy(ECHO / "solution" / "server.mjs", cell.cwd)

    run(cell, "%submit json-echo", "%submit json-echo .")

    with zipfile.ZipFile(cell.cwd / "submissions" / "json-echo.zip") as archive:
        assert archive.namelist() == ["server.mjs"]


def test_what_the_grader_would_refuse_is_refused_here(cell: PlainCell) -> None:
    put(cell, ECHO / "solution")
    (cell.cwd / "json-echo" / "big.bin").write_bytes(b"x" * 2 * 1024 * 1024)

    error = fails(cell, "%submit json-echo")

    assert error.name == "SubmissionError"
    assert '"big.bin" is larger than 1 MiB' in error.value
    assert not (cell.cwd / "submissions").exists()
