"""course.toml: the modules in order, and what is said about one that contradicts itself."""

from pathlib import Path

import pytest

from grader.errors import LessonError, SettingsError
from grader.exercise import load_exercises
from grader.notebooks.course import load_course
from grader.settings import read_settings

SETTINGS = read_settings()
FIRST = '[[modules]]\nslug = "m00-a"\ntitle = "A"\ngoals = ["g"]\nlesson = "00-a"\n'


def refusal(root: Path, text: str) -> str:
    (root / "course").mkdir(exist_ok=True)
    (root / "course" / "course.toml").write_text(text)
    with pytest.raises(LessonError) as caught:
        load_course(root)
    return str(caught.value)


def test_every_exercise_belongs_to_a_module_of_the_course() -> None:
    slugs = {module.slug for module in load_course(SETTINGS.home).modules}

    assert {exercise.manifest.module for exercise in load_exercises(SETTINGS.exercises)} <= slugs


def test_the_course_has_fourteen_modules_with_goals() -> None:
    modules = load_course(SETTINGS.home).modules

    assert [module.slug[:3] for module in modules] == [f"m{n:02}" for n in range(14)]
    assert all(3 <= len(module.goals) <= 6 for module in modules)


@pytest.mark.parametrize("word", ["1", "01", "event-loop", "01-event-loop"])
def test_a_lesson_is_found_by_what_people_call_it(word: str) -> None:
    assert load_course(SETTINGS.home).find_lesson(word) == "01-event-loop"


def test_an_unknown_lesson_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r'no lesson "even-loop".*Did you mean event-loop'):
        load_course(SETTINGS.home).find_lesson("even-loop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[modules]\n", "course/course.toml: is not valid TOML"),
        (FIRST.replace("goals", "goal"), 'unknown key "goal" in [[modules]]. Did you mean "goals"?'),
        (FIRST.replace('["g"]', "3"), "Expected `array`, got `int` at `modules[0].goals`"),
        (FIRST.replace("m00-a", "m01-a"), 'its name begins with "m00-"'),
        (FIRST.replace('"00-a"', '"00-b"'), 'it should be "00-a"'),
        (FIRST + 'needs = ["m00-a"]\n', "which is no module before it"),
        (FIRST + FIRST.replace("00-a", "01-b") + 'needs = ["m00-aa"]\n', "Did you mean m00-a?"),
    ],
)
def test_a_wrong_course_is_refused_with_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_a_lesson_of_no_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "course" / "lessons" / "07-z").mkdir(parents=True)
    (tmp_path / "course" / "lessons" / "07-z" / "lesson.md").touch()

    assert "course/lessons/07-z is the lesson of no module" in refusal(tmp_path, FIRST)


def test_a_missing_course_is_named(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"course\.toml is missing"):
        load_course(tmp_path)
