"""The bridge to nbgrader: gradebooks that people and other tools write to as well, and runs that are stopped and repeated."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from nbconvert.filters import markdown2html
from nbgrader.api import Gradebook

from grader.cli.common import open_grader
from grader.errors import SandboxFault, SettingsError
from grader.exercise import load_exercise
from grader.grade import Grader
from grader.notebooks.nbgrader_autograde import Row, autograde, find_handed
from grader.notebooks.nbgrader_gradebook import NbgraderCourse, parse_timestamp, save
from grader.notebooks.nbgrader_released import Released, released
from grader.report import Report
from grader.store import Store, open_store
from tests.notebooks.nbgrader_samples import (
    ANSWER,
    BROKEN,
    ECHO,
    SETTINGS,
    SPARE,
    WHEN,
    Tags,
    edit,
    environment,
    fill_gradebook,
    hand_in,
    make_course,
    text_of,
)


def saved(course: Path, release: Released, points: float, learner: str = "ada", **changes: Any) -> str:
    with NbgraderCourse(course).gradebook() as gradebook:
        arguments: dict[str, Any] = {
            "timestamp": parse_timestamp(WHEN),
            "scores": {check.grade_id: points for check in release.checks},
            "comments": {ANSWER: "Well."},
            "answered": {},
            "anew": False,
        }
        before, _ = save(NbgraderCourse(course), gradebook, "json-echo", learner, "json-echo", **{**arguments, **changes})
    return before


@contextmanager
def rows_of(course: Path, learner: str = "ada") -> Iterator[Any]:
    """The submitted notebook in nbgrader's own words; what is changed is kept."""
    with Gradebook(f"sqlite:///{course}/gradebook.db", "looplab") as gradebook:
        yield gradebook.find_submission_notebook("json-echo", "json-echo", learner)
        gradebook.db.commit()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Released]:
    course = tmp_path_factory.mktemp("nbgrader") / "course"
    release = make_course(course)
    fill_gradebook(course, release)
    return course, release


@pytest.fixture
def fresh(tmp_path: Path, made: tuple[Path, Released]) -> tuple[Path, Released]:
    return shutil.copytree(made[0], tmp_path / "course"), made[1]


def test_saving_twice_changes_nothing(fresh: tuple[Path, Released]) -> None:
    assert saved(*fresh, 1.5) == "nothing"
    assert saved(*fresh, 1.5) == "same"
    with rows_of(fresh[0]) as notebook:
        assert notebook.score == 4.5
        assert not notebook.needs_manual_grade
        assert {c.name: c.comment for c in notebook.comments} == {ANSWER: "Well.", SPARE: None}


def test_what_a_person_gave_survives_and_is_shown_for_review_when_our_score_changes(fresh: tuple[Path, Released]) -> None:
    saved(*fresh, 1.0)
    with rows_of(fresh[0]) as notebook:
        first, second, _ = sorted(notebook.grades, key=lambda grade: str(grade.name))
        first.manual_score, second.extra_credit = 3.5, 2.0
        notebook.comments[0].manual_comment = "Nice try."

    assert saved(*fresh, 1.0) == "same"
    saved(*fresh, 2.0, anew=True)

    with rows_of(fresh[0]) as notebook:
        assert notebook.score == 3.5 + (2.0 + 2.0) + 2.0
        assert [grade.needs_manual_grade for grade in sorted(notebook.grades, key=lambda grade: str(grade.name))] == [True, False, False]
        assert "Nice try." in {c.comment for c in notebook.comments}


def test_what_something_else_wrote_is_noticed_and_put_back(fresh: tuple[Path, Released]) -> None:
    saved(*fresh, 1.0)
    with rows_of(fresh[0]) as notebook:
        notebook.grades[0].auto_score = 0.0

    assert saved(*fresh, 1.0) == "other"
    assert saved(*fresh, 1.0) == "same"


def test_lateness_costs_what_the_courses_plugin_says(fresh: tuple[Path, Released]) -> None:
    course, _ = fresh
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text() + 'c.LateSubmissionPlugin.penalty_method = "zero"\n')
    with Gradebook(f"sqlite:///{course}/gradebook.db", "looplab") as gradebook:
        gradebook.update_or_create_assignment("json-echo", duedate="2026-11-19 12:00:00")

    saved(*fresh, 1.0)
    saved(*fresh, 1.0)
    with rows_of(course) as notebook:
        late = notebook.late_submission_penalty
    with Gradebook(f"sqlite:///{course}/gradebook.db", "looplab") as gradebook:
        gradebook.update_or_create_assignment("json-echo", duedate="2026-11-21 12:00:00")
    saved(*fresh, 1.0)

    assert late == 3.0
    with rows_of(course) as notebook:
        assert notebook.late_submission_penalty is None


def test_a_penalty_that_a_person_set_survives_until_there_is_a_new_submission(fresh: tuple[Path, Released]) -> None:
    saved(*fresh, 1.0)
    with rows_of(fresh[0]) as notebook:
        notebook.late_submission_penalty = 0.5

    saved(*fresh, 1.0)
    with rows_of(fresh[0]) as notebook:
        kept = notebook.late_submission_penalty
    saved(*fresh, 1.0, anew=True)

    assert kept == 0.5
    with rows_of(fresh[0]) as notebook:
        assert notebook.late_submission_penalty is None


# ---- the whole of it, with a sandbox that needs no container


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/reports.db") as opened:
        yield opened


@contextmanager
def local(_: int) -> Iterator[tuple[Grader, Callable[[Report], None]]]:
    with open_grader(SETTINGS, "local", warm=False) as grader:
        yield grader, lambda report: None


def run(course: Path, store: Store, **options: Any) -> Iterator[Row]:
    opened = NbgraderCourse(course)
    found = find_handed(opened, "json-echo", (), lambda slug: load_exercise(SETTINGS.exercises, slug))
    return autograde(opened, "json-echo", found.handed, store, local, parallel=1, **options)


def test_a_run_that_is_stopped_goes_on_where_it_was_and_a_third_changes_nothing(fresh: tuple[Path, Released], store: Store) -> None:
    course, release = fresh
    hand_in(course, release, "ada", BROKEN)
    hand_in(course, release, "bob", BROKEN + " ")
    with closing(run(course, store)) as stopped:  # type: ignore[type-var]  # it is a generator
        first = next(stopped)
    wrote = course / "autograded" / first.learner / "json-echo" / "json-echo.ipynb"
    bytes_then = wrote.read_bytes()

    second = {row.learner: row.state for row in run(course, store)}
    third = {row.learner: row.state for row in run(course, store)}

    assert first.state == "graded"
    assert sorted(second.values()) == ["as before", "graded"]
    assert third == {"ada": "as before", "bob": "as before"}
    assert wrote.read_bytes() == bytes_then
    assert (wrote.parent / "timestamp.txt").read_text() == WHEN
    assert wrote.stat().st_mode & 0o777 == 0o444


def test_a_submission_that_cannot_be_used_gets_no_points_and_a_sentence_once(fresh: tuple[Path, Released], store: Store) -> None:
    course, release = fresh
    path = hand_in(course, release, "ada")
    content = json.loads(path.read_text())
    edit(content, ANSWER, "%%file json-echo/sever.mjs\n1")
    path.write_text(json.dumps(content))

    (row,) = run(course, store)
    (again,) = run(course, store)

    assert (row.report.verdict, row.score, row.state, again.state) == ("rejected", 0, "graded", "as before")
    with rows_of(course) as notebook:
        assert "There is no entry file" in next(c.comment for c in notebook.comments if c.comment)


def test_what_nbgraders_own_autograde_leaves_is_put_back(fresh: tuple[Path, Released], store: Store) -> None:
    course, release = fresh
    hand_in(course, release, "ada", BROKEN)
    list(run(course, store))
    wrote = course / "autograded" / "ada" / "json-echo" / "json-echo.ipynb"
    ours = wrote.read_bytes()
    wrote.chmod(0o644)
    wrote.write_text("{}")
    with rows_of(course) as notebook:
        for grade in notebook.grades:
            grade.auto_score = grade.max_score

    (row,) = run(course, store)

    assert (row.state, row.score) == ("restored", 0)
    assert wrote.read_bytes() == ours


def test_a_fault_of_our_machine_writes_nothing(fresh: tuple[Path, Released], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    course, release = fresh
    hand_in(course, release, "ada", BROKEN)
    monkeypatch.setattr("grader.grade._grade_once", fails)

    (row,) = run(course, store)

    assert (row.state, row.score) == ("not graded", None)
    assert not (course / "autograded").exists()
    with NbgraderCourse(course).gradebook() as gradebook:
        assert gradebook.students == []


def fails(*_: object, **__: object) -> None:
    raise SandboxFault("The disk is full.")


def points_of(release: Released) -> float:
    return sum(check.points for check in release.checks)


def test_an_assignment_may_have_a_notebook_for_each_of_several_exercises(fresh: tuple[Path, Released], store: Store) -> None:
    course, echo = fresh
    for learner in ("ada", "bob"):
        hand_in(course, echo, learner, BROKEN)
    list(run(course, store))
    funnel = make_course(course.parent / "other", load_exercise(SETTINGS.exercises, "error-funnel"))
    shutil.copy(course.parent / "other" / "release" / "error-funnel" / "error-funnel.ipynb", course / "release" / "json-echo")
    fill_gradebook(course, funnel)
    hand_in(course, funnel, "ada", BROKEN)

    found = find_handed(NbgraderCourse(course), "json-echo", (), lambda slug: load_exercise(SETTINGS.exercises, slug))
    rows = [*run(course, store)]

    assert found.passed_over == ["bob/json-echo is passed over: there is no error-funnel.ipynb. Ask for it."]
    assert sorted((row.learner, row.notebook, row.state) for row in rows) == [
        ("ada", "error-funnel", "graded"),
        ("ada", "json-echo", "as before"),
        ("bob", "json-echo", "as before"),
    ]
    with Gradebook(f"sqlite:///{course}/gradebook.db", "looplab") as gradebook:
        assert gradebook.find_submission("json-echo", "ada").max_score == points_of(echo) + points_of(funnel)


def test_a_cell_that_people_grade_is_left_to_them(fresh: tuple[Path, Released], store: Store) -> None:
    course, _ = fresh
    path = course / "release" / "json-echo" / "json-echo.ipynb"
    content = json.loads(path.read_text())
    about = {"grade": True, "solution": True, "locked": False, "task": False, "schema_version": 3, "points": 2, "grade_id": "essay"}
    content["cells"].append({"cell_type": "markdown", "id": "essay", "metadata": {"nbgrader": about}, "source": "YOUR ANSWER HERE"})
    path.write_text(json.dumps(content))
    wider = released(path)
    assert wider is not None
    with Gradebook(f"sqlite:///{course}/gradebook.db", "looplab") as gradebook:
        gradebook.add_grade_cell("essay", "json-echo", "json-echo", max_score=2, cell_type="markdown")
        gradebook.add_solution_cell("essay", "json-echo", "json-echo")
    hand_in(course, wider, "ada", BROKEN)
    told = hand_in(course, wider, "bob", BROKEN)
    answer = json.loads(told.read_text())
    edit(answer, "essay", "Because ```` <script>alert(1)</script>")
    told.write_text(json.dumps(answer))

    list(run(course, store))

    for learner, wants, auto in (("ada", False, 0.0), ("bob", True, None)):
        with rows_of(course, learner) as notebook:
            essay = next(grade for grade in notebook.grades if grade.name == "essay")
            assert (essay.needs_manual_grade, essay.auto_score) == (wants, auto)
    shown = text_of(course / "autograded" / "bob" / "json-echo" / "json-echo.ipynb", "essay")
    page = Tags(markdown2html(shown))
    assert shown == "`````text\nBecause ```` <script>alert(1)</script>\n`````"
    assert "script" not in page.seen


# ---- the command


def test_a_command_that_cannot_work_says_what_to_do(fresh: tuple[Path, Released], tmp_path: Path) -> None:
    course, release = fresh

    def refused(assignment: str, folder: Path = course, *learners: str) -> str:
        with pytest.raises(SettingsError) as error:
            find_handed(NbgraderCourse(folder), assignment, learners, lambda slug: ECHO)
        return str(error.value)

    assert "no nbgrader course" in refused("json-echo", tmp_path)
    assert "Did you mean json-echo?" in refused("json-eco")
    assert "nbgrader collect json-echo" in refused("json-echo")
    hand_in(course, release, "ada", BROKEN)
    assert "eve has not handed in json-echo. Handed in: ada." in refused("json-echo", course, "eve")
    (course / "gradebook.db").rename(course / "elsewhere.db")
    assert "There is no gradebook" in refused("json-echo")
    (course / "nbgrader_config.py").write_text("c = get_config(\n")
    assert "SyntaxError" in refused("json-echo")


@pytest.mark.notebook
def test_without_an_engine_nothing_is_written_by_our_command_nor_by_nbgraders(fresh: tuple[Path, Released], tmp_path: Path) -> None:
    course, release = fresh
    hand_in(course, release, "ada", BROKEN)
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        environ = environment(tmp_path) | nowhere
        return subprocess.run(words, cwd=course, env=environ, capture_output=True, text=True, check=False, timeout=120)

    ours = command("looplab", "nbgrader", "autograde", "json-echo")
    theirs = command("nbgrader", "autograde", "json-echo", "--force")

    assert ours.returncode == 3
    assert "Docker does not answer" in ours.stderr
    assert theirs.returncode == 1
    assert "Looplab grades json-echo: what learners wrote runs in containers, not here." in theirs.stderr
    assert "Docker does not answer" in theirs.stderr
    assert not (course / "autograded").exists()
