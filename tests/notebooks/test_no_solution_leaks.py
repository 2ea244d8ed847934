"""No line that stands only in a solution, another right or wrong server, or a hidden check reaches a learner.

Compared are whole lines, white space aside, with at least 15 letters and digits; shorter ones say nothing. What learners have anyway
(starter, prompt, hints, visible checks, pages on misconceptions) is no secret, and imports and a few lines of everyday
Node are nobody's.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.exercise import Exercise, load_exercises
from grader.notebooks.course import load_course
from grader.notebooks.nbgrader_course import source_notebook
from grader.notebooks.workspace import workspace_files
from tests.notebooks.home import SETTINGS

EXERCISES = load_exercises(SETTINGS.exercises)
SIGNIFICANT = 15
EVERYDAY = {
    "const app = express();",
    "const app = fastify();",
    "app.use((err, req, res, next) => {",
    "app.use((error, req, res, next) => {",
    "constructor(message) {",
    "return new Promise((resolve) => {",
    "return new Promise((resolve, reject) => {",
    "return new Transform({",
    "super({ readableObjectMode: true });",
}
"""Lines that every program of their kind has. Add one only if it tells nothing about how an exercise is solved."""
IMPORT = re.compile(r"(import\b|export \{|from [\w.]+ import|((const|let|var) [\w${}, :]+ = )?(await )?(import|require)\().*")


def lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        line = " ".join(line.split())
        if sum(c.isalnum() for c in line) >= SIGNIFICANT and line not in EVERYDAY and not IMPORT.fullmatch(line):
            yield line


def checks_of(exercise: Exercise, *, hidden: bool) -> Iterator[str]:
    """The source of the hidden checks; or of everything else in the suites."""
    ids = {check.id for check in exercise.checks if not check.visible}
    for path in sorted((exercise.folder / "tests").glob("*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            if (getattr(node, "name", "") in ids) == hidden:
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
                yield "\n".join(text.split("\n")[first - 1 : node.end_lineno])


def texts_below(*places: Path) -> Iterator[str]:
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file():
                yield path.read_text()


def secret_lines() -> dict[str, str]:
    """Each line that no learner may see, and the exercise that it belongs to."""
    public = {line for text in texts_below(SETTINGS.home / "course" / "misconceptions") for line in lines(text)}
    secret: dict[str, str] = {}
    for exercise in EXERCISES:
        folder = exercise.folder
        for text in [*texts_below(folder / "prompt.md", folder / "hints.md", folder / "starter"), *checks_of(exercise, hidden=False)]:
            public.update(lines(text))
        for text in [*texts_below(folder / "solution", folder / "right", folder / "wrong"), *checks_of(exercise, hidden=True)]:
            secret.update(dict.fromkeys(lines(text), exercise.slug))
    return {line: slug for line, slug in secret.items() if line not in public}


SECRET = secret_lines()


def strings(value: Any) -> Iterator[str]:
    """Every text in JSON; texts that a notebook keeps as a list of lines as one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        if all(isinstance(inner, str) for inner in value):
            yield "".join(value)
        else:
            for inner in value:
                yield from strings(inner)


def leaks(data: bytes, name: str) -> list[str]:
    texts: Iterable[str] = strings(json.loads(data)) if name.endswith(".ipynb") else [data.decode()]
    return [f"{name}: {SECRET[line]}: {line}" for text in texts for line in lines(text) if line in SECRET]


def artefacts() -> dict[str, bytes]:
    """All that learners get, by name."""
    lessons = [SETTINGS.home / "course" / "lessons" / slug for slug in load_course(SETTINGS.home).lessons]
    found = {f"{folder.name}/{name}": (folder / name).read_bytes() for folder in lessons for name in ("lesson.ipynb", "executed.ipynb")}
    found |= {f"workspace/{name}": data for name, data in workspace_files(SETTINGS).items()}
    return found | {f"nbgrader/{exercise.slug}.ipynb": source_notebook(exercise) for exercise in EXERCISES}


def test_there_is_something_to_hide() -> None:
    assert all(sum(slug == exercise.slug for slug in SECRET.values()) > 100 for exercise in EXERCISES)


def test_no_learners_artefact_holds_a_line_of_a_solution_or_a_hidden_check() -> None:
    found = artefacts()

    assert len(found) > 100
    assert [leak for name, data in found.items() for leak in leaks(data, name)] == []


def one_secret(exercise: Exercise, hidden_check: bool) -> str:
    texts = checks_of(exercise, hidden=True) if hidden_check else texts_below(exercise.folder / "solution")
    return next(line for text in texts for line in lines(text) if line in SECRET)


@pytest.mark.parametrize("hidden_check", [False, True], ids=["solution", "hidden check"])
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)
def test_a_planted_line_is_found(exercise: Exercise, hidden_check: bool) -> None:
    line = one_secret(exercise, hidden_check)
    notebook = json.loads(source_notebook(exercise))
    notebook["cells"][0]["source"] = ["# Title\n", f"   {line}\n"]
    executed = {"cells": [{"outputs": [{"data": {"text/plain": ["some\n", f"\t{line}"]}}]}]}

    assert leaks(json.dumps(notebook).encode(), "n.ipynb") == [f"n.ipynb: {exercise.slug}: {line}"]
    assert leaks(json.dumps(executed).encode(), "n.ipynb") == [f"n.ipynb: {exercise.slug}: {line}"]
    assert leaks(f"text\n  {line}\n".encode(), "README.md") == [f"README.md: {exercise.slug}: {line}"]
