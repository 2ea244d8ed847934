"""The bridge to nbgrader: the course that is made, what is read of submissions, and what feedback becomes.

The whole road with nbgrader's own commands is in test_nbgrader_walk.py.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.filters import markdown2html
from nbgrader.nbgraderformat import MetadataValidator

from grader.errors import SettingsError, SubmissionRejected
from grader.exercise import Exercise, load_exercises
from grader.notebooks.nbgrader_course import init_course, source_notebook
from grader.notebooks.nbgrader_feedback import autograded, comment, score
from grader.notebooks.nbgrader_gradebook import parse_timestamp
from grader.notebooks.nbgrader_released import Check, Released, source_of
from grader.notebooks.nbgrader_submitted import NotebookRefused, read_answers
from grader.submission import submission_of_cells
from tests.notebooks.nbgrader_samples import (
    ANSWER,
    ECHO,
    SETTINGS,
    SPARE,
    WHEN,
    Tags,
    as_nbformat,
    cell_of,
    edit,
    hand_in,
    make_course,
    solution,
)
from tests.samples import check, failed, report, unusable

EXERCISES = load_exercises(SETTINGS.exercises)
# ---- the course


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)
def test_a_source_notebook_is_what_nbgrader_and_jupyter_accept(exercise: Exercise) -> None:
    notebook = as_nbformat(source_notebook(exercise))

    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    points = [cell.metadata.nbgrader.points for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert points == [task.points for task in exercise.manifest.tasks]
    assert source_notebook(exercise) == source_notebook(exercise)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)
def test_the_starter_survives_nbgraders_clearing_of_solutions(tmp_path: Path, exercise: Exercise) -> None:
    release = make_course(tmp_path / "course", exercise)

    files = {answer.file: answer.source for answer in release.answers}
    for path in (exercise.folder / "starter").iterdir():
        assert path.read_text().rstrip("\n") in files[path.name]
    assert not any("SOLUTION" in source for source in files.values())


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)
def test_no_line_of_a_solution_enters_a_course(tmp_path: Path, exercise: Exercise) -> None:
    init_course(tmp_path / "course", [exercise])
    written = "\n".join(path.read_text() for path in (tmp_path / "course").rglob("*") if path.is_file())
    cells = json.loads(source_notebook(exercise))["cells"]
    written += "\n".join(source_of(cell) for cell in cells)
    shown = "".join(path.read_text() for path in [exercise.folder / "prompt.md", *(exercise.folder / "starter").iterdir()])

    lines = {line.strip() for path in (exercise.folder / "solution").iterdir() for line in path.read_text().splitlines()}
    secret = {line for line in lines if len(line) > 24 and line not in shown}
    assert secret
    assert not [line for line in secret if line in written]


def test_making_a_course_again_changes_nothing_and_says_what_differs(tmp_path: Path) -> None:
    course = tmp_path / "course"
    assert {file.state for file in init_course(course, [ECHO], "web101")} == {"made"}
    source = course / "source" / "json-echo" / "json-echo.ipynb"
    mine = json.loads(source.read_text())
    edit(mine, "json-echo-answer", "My own words.")
    mine["cells"].append({"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "Explain yourself."})
    source.write_text(json.dumps(mine))
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text().replace("c.Autograde", "# c.Autograde") + "c.Exchange.root = '/srv/exchange'\n")

    again = {file.path.name: file for file in init_course(course, [ECHO])}

    assert again["README.md"].state == "unchanged"
    assert again["json-echo.ipynb"].differences == ("it adds the cell mine", "it changes the cell json-echo-answer")
    assert again["nbgrader_config.py"].differences == (
        'it lacks the line c.Autograde.exporter_class = "grader.notebooks.nbgrader_guard.HandOver"',
    )
    assert json.loads(source.read_text()) == mine


def test_a_notebook_that_was_only_opened_and_saved_does_not_differ(tmp_path: Path) -> None:
    init_course(tmp_path, [ECHO])
    source = tmp_path / "source" / "json-echo" / "json-echo.ipynb"
    source.write_text(json.dumps(json.loads(source.read_text()), indent=2, sort_keys=False))

    assert {file.state for file in init_course(tmp_path, [ECHO])} == {"unchanged"}


def test_a_course_cannot_be_made_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(SettingsError, match="is a file"):
        init_course(tmp_path / "notes", [ECHO])


# ---- what learners hand in


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nbgrader") / "course"


@pytest.fixture(scope="module")
def release(course: Path) -> Released:
    return make_course(course)


def handed(course: Path, release: Released, change: Callable[[dict[str, Any]], object]) -> Path:
    path = hand_in(course, release, "ada", solution())
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path.parent


def test_only_the_answers_are_taken(course: Path, release: Released) -> None:
    def more(content: dict[str, Any]) -> None:
        content["cells"].append({"cell_type": "code", "metadata": {}, "source": "%%file json-echo/evil.mjs\n1", "outputs": []})
        edit(content, "json-echo-task-1", "%check json-echo --task 3")

    answers = read_answers(handed(course, release, more), release)

    assert set(answers.sources) == {ANSWER, SPARE}
    assert answers.sources[ANSWER].endswith(solution())


def test_a_submission_is_made_of_the_cells_that_were_used() -> None:
    spare = "%%file json-echo/more.mjs\nexport const x = 1;"
    cells = [("server.mjs", "%%file json-echo/server.mjs\nawait 1;"), ("extra.mjs", spare)]

    submission = submission_of_cells(cells, "json-echo", ("server.mjs",))

    assert submission.files == {"server.mjs": b"await 1;", "more.mjs": b"export const x = 1;"}


def test_an_answer_without_its_first_line_is_still_that_file_but_another_magic_is_refused() -> None:
    assert submission_of_cells([("server.mjs", "await 1;")], "json-echo", ("server.mjs",)).files == {"server.mjs": b"await 1;"}
    with pytest.raises(SubmissionRejected, match=r"first line must be `%%file json-echo/server\.mjs`"):
        submission_of_cells([("server.mjs", "%%node\nawait 1;")], "json-echo", ("server.mjs",))


def twice(content: dict[str, Any], other: str) -> None:
    content["cells"].append({**cell_of(content, ANSWER), "source": other})


def retype(content: dict[str, Any]) -> None:
    cell_of(content, ANSWER)["cell_type"] = "markdown"


def drop(content: dict[str, Any]) -> None:
    content["cells"].remove(cell_of(content, ANSWER))


def older(content: dict[str, Any]) -> None:
    drop(content)
    content["metadata"]["looplab"]["version"] = "before"


def another_exercise(content: dict[str, Any]) -> None:
    other = next(e for e in EXERCISES if e.slug == "error-funnel")
    content.clear()
    content.update(json.loads(source_notebook(other)))


def another_notebook(content: dict[str, Any]) -> None:
    content["cells"] = [{"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": []}]
    content["metadata"] = {}


def old_metadata(content: dict[str, Any]) -> None:
    cell_of(content, ANSWER)["metadata"]["nbgrader"]["schema_version"] = 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: twice(c, "%%file json-echo/server.mjs\nother"), "two of its cells are called json-echo-file-server-mjs"),
        (retype, "changed from code to 'markdown'"),
        (drop, "lacks the cell json-echo-file-server-mjs"),
        (older, "older version of the assignment"),
        (another_exercise, "notebook of error-funnel, not of json-echo"),
        (another_notebook, "another notebook"),
        (old_metadata, "nbgrader update"),
        (lambda c: edit(c, ANSWER, "%%file ../../root/.bashrc\nx"), "outside of its folder"),
        (lambda c: edit(c, ANSWER, "%%file /etc/passwd\nx"), "outside of its folder"),
        (lambda c: c.update(nbformat=3), "notebook format 3"),
        (lambda c: c.update(cells={"0": 1}), "no notebook of format 4"),
        (lambda c: c.update(cells=[{"cell_type": 0}] * 6000), "more than 5000 cells"),
        (lambda c: c.update(cells=[0] * 6000), "no notebook of format 4"),
        (lambda c: c.update(cells=[{"cell_type": []}, {"cell_type": "code", "source": 7}]), "lacks the cell|another notebook"),
        (lambda c: c["cells"].append({"cell_type": "code", "source": "x" * 6_500_000}), "more than 6 MiB"),
        (lambda c: c.update(padding="x" * 17_000_000), "more than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_notebook_that_is_not_what_was_released_is_named_and_passed_over(
    course: Path, release: Released, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    folder = handed(course, release, change)

    with pytest.raises(NotebookRefused, match=sentence):
        read_answers(folder, release)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is broken"),
        (b"\xff\xfe\0{", "is broken"),
        (b'{"cells": [], "nbformat": 4', "is broken"),
        (b'{"cells":' + b"[" * 300_000, "no notebook of format 4"),
        (b'{"nbformat": 4, "cells": [], "x": ' + b'{"a":' * 300_000, "nested too deeply|broken"),
        (b'{"nbformat": 4, "cells": [{"source": "\\ud800", "cell_type": "code"}]}', "broken"),
        (b"[]", "no notebook of format 4"),
    ],
    ids=["empty", "binary", "cut off", "deep cells", "deep metadata", "half a character", "a list"],
)
def test_a_file_that_is_no_notebook_is_named_and_passed_over(course: Path, release: Released, data: bytes, sentence: str) -> None:
    path = hand_in(course, release, "ada")
    path.write_bytes(data)

    with pytest.raises(NotebookRefused, match=sentence):
        read_answers(path.parent, release)


def test_links_pipes_and_renamed_notebooks_are_named_and_not_followed(tmp_path: Path, release: Released) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "json-echo.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "json-echo.ipynb")
    (tmp_path / "renamed").mkdir()
    (tmp_path / "renamed" / "json-echo (1).ipynb").write_text("{}")
    (tmp_path / "empty").mkdir()

    for name, sentence in (
        ("link", "symbolic link"),
        ("pipe", "is not a file"),
        ("renamed", "there is no json-echo.ipynb, but 'json-echo \\(1\\).ipynb'"),
        ("empty", "Ask for it"),
    ):
        with pytest.raises(NotebookRefused, match=sentence):
            read_answers(tmp_path / name, release)


def test_a_copied_cell_with_the_same_answer_and_a_second_notebook_are_no_trouble(course: Path, release: Released) -> None:
    folder = handed(course, release, lambda c: twice(c, source_of(cell_of(c, ANSWER))))
    (folder / "json-echo-Copy1.ipynb").write_text("{}")

    answers = read_answers(folder, release)
    (folder / "json-echo-Copy1.ipynb").unlink()

    assert answers.sources[ANSWER].endswith(solution())
    assert answers.remarks == ("'json-echo-Copy1.ipynb' is passed over: only json-echo.ipynb counts.",)


def test_an_answer_to_an_older_text_is_graded_with_a_remark(course: Path, release: Released) -> None:
    folder = handed(course, release, lambda c: c["metadata"]["looplab"].update(version="before"))

    assert "before the assignment was changed" in read_answers(folder, release).remarks[0]


@pytest.mark.parametrize("text", ["yesterday, perhaps", "99999-01-01", "2026-13-45 25:00:00 UTC", "\0"])
def test_a_timestamp_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_timestamp(text)


def test_timestamps_are_read_as_nbgrader_reads_them() -> None:
    assert str(parse_timestamp(WHEN)) == "2026-11-20 12:00:00"
    assert str(parse_timestamp("2026-11-20T12:00:00+02:00")) == "2026-11-20 10:00:00"
    assert parse_timestamp(None) is None


# ---- scores and feedback


def test_a_cell_gives_its_share_of_the_tasks_points() -> None:
    half = report(check("a", max_points=2.0, points=2.0), failed("b", max_points=2.0), check("c", task=2))

    assert score(half, Check("x", 1, 5.0)) == 2.5
    assert score(half, Check("x", 2, 0.3)) == 0.3
    assert score(unusable("did_not_start", "No."), Check("x", 1, 5.0)) == 0


def test_full_points_need_every_check() -> None:
    almost = report(check("a", points=1.0), check("b", outcome="skipped", points=0.0, max_points=0.0))

    assert score(report(check(), check("b")), Check("x", 1, 7.0)) == 7.0
    assert score(almost, Check("x", 1, 7.0)) == 7.0 * 1.0
    assert score(report(check("b", outcome="skipped", points=0.0)), Check("x", 1, 7.0)) == 0


HOSTILE = [
    "<script>alert(1)</script>",
    "\n\n<img src=x onerror=alert(1)>",
    "a\r\r<b>bold</b>",
    "x\u2028\u2028<i>x</i>\u2029<svg onload=1>",
    "$$\n</code></pre><script>1</script>\n$$",
    "```\n</code><script>",
    "[click](javascript:alert(1))",
    "\t\n \n- <a href='javascript:1'>x</a>\n\n# <h1>",
    "\\begin{align}\n<script>x</script>\n\\end{align}",
    "\v<video>\f<audio>\x85<math>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_server_said_is_no_markup_in_a_comment(text: str) -> None:
    said = report(failed(message=text), facts={"message": text}, verdict="partial")

    page = Tags(markdown2html(comment(said, ECHO, unchanged=True)))

    assert page.seen <= {"p", "pre", "code", "div", "span"}
    assert page.attributes <= {"class"}


def test_the_autograded_notebook_is_the_release_with_answers_and_feedback(course: Path, release: Released) -> None:
    def disguise(content: dict[str, Any]) -> None:
        edit(content, "json-echo-prompt", "<script>top.location='//evil'</script>")
        edit(content, ANSWER, "%%file json-echo/server.mjs\n// \u202e reversed")

    answers = read_answers(handed(course, release, disguise), release)
    said = report(failed("test_a_proto_key_is_data", message="</pre><script>"), learner="zoltan")

    written = autograded(release, answers, said, ECHO)
    notebook = json.loads(written)

    assert "<script>" not in json.dumps(notebook).replace("</pre><script>", "")
    assert source_of(cell_of(notebook, ANSWER)).endswith("// \\u202e reversed")
    page = Tags("".join(cell_of(notebook, "json-echo-task-1")["outputs"][0]["data"]["text/html"]))
    assert "script" not in page.seen
    assert "zoltan" not in written.decode()
    nbformat.validate(as_nbformat(written))
