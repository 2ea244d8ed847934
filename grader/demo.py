"""Builds the bundled demo class: honest learners, wrong ones, and hostile ones, over all exercises (course/demo-class.toml)."""

import shutil
import tomllib
from pathlib import Path

from grader.errors import SettingsError
from grader.exercise import Exercise


def build_class(target: Path, home: Path, exercises: list[Exercise]) -> int:
    """Writes `target/<learner>/<exercise>/` for every learner of the roster; returns how many learners there are."""
    roster = tomllib.loads((home / "course" / "demo-class.toml").read_text("utf-8"))
    shutil.rmtree(target, ignore_errors=True)
    recipes = {learner: [recipe] * len(exercises) for learner, recipe in roster["everywhere"].items()}
    for learner, mixed in roster["mixed"].items():
        recipes[learner] = [mixed[n % len(mixed)] for n in range(len(exercises))]
    for learner, row in recipes.items():
        for exercise, recipe in zip(exercises, row, strict=True):
            _hand_in(target / learner / exercise.slug, recipe, exercise, home)
    return len(recipes)


def _hand_in(place: Path, recipe: str, exercise: Exercise, home: Path) -> None:
    kind, _, which = recipe.partition("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if recipe == "-":
        return
    if recipe == "empty":
        place.mkdir()
        return
    if kind == "strange":
        source = home / "tests" / "submissions" / which
    elif kind in ("right", "wrong"):
        folders = sorted((exercise.folder / kind).glob("*/"))
        source = folders[(int(which) - 1) % len(folders)]
    else:
        source = exercise.folder / kind
    if not source.is_dir():
        raise SettingsError(f"course/demo-class.toml: {recipe} is nothing that {exercise.slug} has.")
    shutil.copytree(source, place)
