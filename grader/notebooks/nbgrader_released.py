"""A released notebook of an nbgrader course, as Looplab trusts it: its answer cells, and the cells whose points Looplab gives.

An answer is a solution cell that begins with `%%file EXERCISE/NAME`; a check is a locked grade cell `%check EXERCISE --task N`.
Everything is recognised by what the instructor released, never by what came back from a learner.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import SettingsError

CHECK = re.compile(r"\s*%check[ \t]+([a-z0-9][a-z0-9-]*)[ \t]+--task[ \t]+(\d+)\s*")
FILE = re.compile(r"\s*%%(?:file|writefile)[ \t]+(\S+)[ \t]*(?:\n|\Z)")
SPARE = "-file-extra"
"""How the id of an answer cell ends that a learner need not use."""


@dataclass(frozen=True)
class Answer:
    """A cell that holds one file of the submission."""

    grade_id: str
    file: str
    """Its name, without the folder of the exercise."""
    source: str

    @property
    def spare(self) -> bool:
        return self.grade_id.endswith(SPARE)


@dataclass(frozen=True)
class Check:
    """A cell whose points come from the checks of one task."""

    grade_id: str
    task: int
    points: float


@dataclass(frozen=True)
class Released:
    name: str
    """Of the notebook, without .ipynb; nbgrader's `notebook_id`."""
    exercise: str
    content: dict[str, Any]
    answers: tuple[Answer, ...]
    checks: tuple[Check, ...]

    @property
    def version(self) -> str:
        return version_of(self.content)


def read_released(folder: Path) -> tuple[list[Released], list[str]]:
    """The notebooks of a release folder that have checks of Looplab, and the names of those that have none."""
    ours: list[Released] = []
    others: list[str] = []
    for path in sorted(folder.glob("*.ipynb")):
        found = released(path)
        if found:
            ours.append(found)
        else:
            others.append(path.name)
    return ours, others


def released(path: Path) -> Released | None:
    """The notebook at `path`, or None when it has no check of Looplab. Raises SettingsError when it cannot be used."""
    try:
        content = json.loads(path.read_bytes())
        cells = [cell for cell in content["cells"] if isinstance(cell, dict)]
        checks = list(_checks(cells))
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise SettingsError(f"{path} is no notebook. Make it again: nbgrader generate_assignment {path.parent.name} --force") from None
    if not checks:
        return None
    exercises = sorted({exercise for exercise, _ in checks})
    if len(exercises) > 1:
        raise SettingsError(f"{path} checks {' and '.join(exercises)}. Give each exercise a notebook of its own.")
    answers = tuple(_answers(cells, exercises[0]))
    if not any(not answer.spare for answer in answers):
        raise SettingsError(
            f"{path} has no solution cell that begins with `%%file {exercises[0]}/…`. Make the course anew with `looplab nbgrader init`."
        )
    return Released(path.stem, exercises[0], content, answers, tuple(check for _, check in checks))


def _checks(cells: list[dict[str, Any]]) -> Iterator[tuple[str, Check]]:
    for cell in cells:
        about = nbgrader_of(cell)
        match = CHECK.fullmatch(source_of(cell)) if cell.get("cell_type") == "code" else None
        if match and about.get("grade") and not about.get("solution"):
            yield match[1], Check(about["grade_id"], int(match[2]), float(about["points"]))


def _answers(cells: list[dict[str, Any]], exercise: str) -> Iterator[Answer]:
    for cell in cells:
        about, source = nbgrader_of(cell), source_of(cell)
        match = FILE.match(source) if cell.get("cell_type") == "code" else None
        if match and about.get("solution") and not about.get("grade") and match[1].startswith(f"{exercise}/"):
            yield Answer(about["grade_id"], match[1].removeprefix(f"{exercise}/"), source)


def nbgrader_of(cell: dict[str, Any]) -> dict[str, Any]:
    about = cell.get("metadata", {}).get("nbgrader")
    return about if isinstance(about, dict) else {}


def source_of(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def version_of(content: dict[str, Any]) -> str:
    """What `looplab nbgrader init` made; another version has other cells. Empty when it does not say."""
    about = content.get("metadata", {}).get("looplab")
    return str(about.get("version", "")) if isinstance(about, dict) else ""
