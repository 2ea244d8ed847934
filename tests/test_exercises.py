"""What every exercise of the course must have, and a short proof of each suite; `make verify` is the long one."""

import re
from collections.abc import Iterator

import pytest

from grader.cli.common import open_grader
from grader.exercise import Exercise, load_exercises
from grader.grade import Grader, grade_path
from grader.settings import read_settings
from grader.verify import specimens

SETTINGS = read_settings()
EXERCISES = load_exercises(SETTINGS.exercises)
CONTRACT = (SETTINGS.exercises / "common-contract.md").read_text()
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)


@each_exercise
def test_the_prompt_ends_with_the_common_contract(exercise: Exercise) -> None:
    assert (exercise.folder / "prompt.md").read_text().rstrip().endswith(CONTRACT.rstrip())


@each_exercise
def test_there_are_8_to_15_checks_some_visible_and_some_hidden(exercise: Exercise) -> None:
    assert 8 <= len(exercise.checks) <= 15
    assert 3 <= sum(check.visible for check in exercise.checks) < len(exercise.checks)


@each_exercise
def test_there_are_two_other_right_solutions(exercise: Exercise) -> None:
    assert len(list((exercise.folder / "right").glob("*/"))) >= 2


@each_exercise
def test_every_task_has_three_hints(exercise: Exercise) -> None:
    hints = (exercise.folder / "hints.md").read_text()
    for task in exercise.manifest.tasks:
        section = re.search(rf"^## {task.number}\. .*?(?=^## |\Z)", hints, re.MULTILINE | re.DOTALL)
        assert section, f"no hints for task {task.number}"
        assert len(re.findall(r"^\d\. ", section[0], re.MULTILINE)) == 3


@each_exercise
def test_every_misconception_has_a_page_with_its_parts(exercise: Exercise) -> None:
    for slug in {wrong.misconception for wrong in exercise.manifest.wrong if wrong.misconception}:
        page = (SETTINGS.home / "course" / "misconceptions" / f"{slug}.md").read_text()
        assert page.startswith("# ")
        for heading in ("Why it seems so", "What really happens", "What your users see", "See it yourself", "Repair"):
            assert f"## {heading}" in page, f"{slug} lacks {heading}"


@each_exercise
def test_the_design_says_what_is_out_of_scope(exercise: Exercise) -> None:
    assert re.search("out of scope", (exercise.folder / "design.md").read_text(), re.IGNORECASE)


def test_every_misconception_page_is_used() -> None:
    named = {wrong.misconception for exercise in EXERCISES for wrong in exercise.manifest.wrong}
    pages = {path.stem for path in (SETTINGS.home / "course" / "misconceptions").glob("*.md")}
    assert pages == named - {None}


def test_ids_are_unique() -> None:
    ids = [exercise.manifest.id for exercise in EXERCISES]
    assert len(set(ids)) == len(ids)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with open_grader(SETTINGS, "docker") as opened:
        yield opened


@pytest.mark.docker
@each_exercise
def test_right_solutions_get_all_points_and_the_starter_does_not(grader: Grader, exercise: Exercise) -> None:
    for specimen in specimens(exercise):
        if specimen.kind in ("solution", "right", "starter"):
            report, defects = grade_path(grader, exercise, specimen.path)
            failed = [(c.id, c.message) for c in report.checks if c.outcome != "passed"]
            assert not defects
            assert (report.verdict == "passed") == (specimen.kind != "starter"), (specimen.label, report.facts.message, failed)


@pytest.mark.docker
@each_exercise
def test_a_wrong_solution_fails_for_the_stated_reason(grader: Grader, exercise: Exercise) -> None:
    """The first three; all of them are for `make verify`."""
    for specimen in [s for s in specimens(exercise) if s.wrong][:3]:
        assert specimen.wrong
        report, _ = grade_path(grader, exercise, specimen.path)
        assert {c.id for c in report.checks if c.outcome == "failed"} >= set(specimen.wrong.fails), specimen.label
