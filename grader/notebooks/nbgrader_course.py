"""An nbgrader course made of exercises: its settings, a source notebook for each, and a page for the instructor.

Only prompt.md, the starter and the tasks' titles and points are read. Nothing of solution/, right/, wrong/ or tests/ can enter.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from grader.errors import SettingsError
from grader.exercise import Exercise
from grader.notebooks.cells import KERNELSPEC, LANGUAGE, as_file
from grader.notebooks.embedded import exercise_cells, starter_files
from grader.notebooks.files import cannot_write, write_whole
from grader.notebooks.nbgrader_released import SPARE, source_of

STUB = "// Your code goes here: change whatever stands below."
MARKS = "// BEGIN SOLUTION\n// END SOLUTION"
"""nbgrader replaces what stands between these lines by the stub, and a solution cell without them as a whole. So the starter survives."""


@dataclass(frozen=True)
class Made:
    """What became of one file of the course."""

    path: Path
    state: Literal["made", "unchanged", "differs"]
    differences: tuple[str, ...] = ()


def init_course(folder: Path, exercises: list[Exercise], course_id: str | None = None, exchange: Path | None = None) -> list[Made]:
    """Writes the files that are missing. One that is there is never touched; when it differs, the result says how.

    Raises SettingsError when the folder cannot be used.
    """
    if not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise SettingsError(f"{folder} is a file. Give the name of a folder for the course.")
    files = [
        (folder / "nbgrader_config.py", config_text(course_id, exchange).encode()),
        *((folder / "source" / e.slug / f"{e.slug}.ipynb", source_notebook(e)) for e in exercises),
        (folder / "README.md", README.encode()),
    ]
    return [_place(path, wanted) for path, wanted in files]


def _place(path: Path, wanted: bytes) -> Made:
    try:
        present = path.read_bytes()
    except FileNotFoundError:
        write_whole(path, wanted)
        return Made(path, "made")
    except OSError as error:
        raise cannot_write(path, error) from None
    differences = tuple(DIFFERENCES.get(path.suffix, _text_differences)(present, wanted))
    return Made(path, "differs" if differences else "unchanged", differences)


# ---- the notebook of an exercise


def source_notebook(exercise: Exercise) -> bytes:
    """The instructor's version, from which `nbgrader generate_assignment` makes the learners'."""
    cells = list(_cells(exercise))
    version = hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:12]
    about = {"exercise": exercise.slug, "version": version}
    metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE, "looplab": about}
    return as_file({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def _cells(exercise: Exercise) -> Iterator[dict[str, Any]]:
    slug = exercise.slug
    files = starter_files(exercise)
    for cell in exercise_cells(exercise):
        if cell.looplab.get("role") == "prompt":
            yield _text(cell.name, cell.source)
    several = f"the files of `{slug}/`, a cell each" if len(files) > 1 else f"`{slug}/{files[0][0]}`"
    yield _text(
        f"{slug}-answer",
        f"### Your answer\n\nYou write {several}. Run a cell to save its file, and run it again after each change. "
        "Only what stands in these cells is handed in: code in cells that you add is not seen.",
    )
    for name, text in files:
        yield _answer(_id(slug, name), f"%%file {slug}/{name}\n{MARKS}\n{text}")
    spare = "// A place for a second file, when you want one: write its name into the first line. Else leave this cell as it is."
    yield _answer(f"{slug}{SPARE}", f"%%file {slug}/extra.mjs\n{MARKS}\n{spare}")
    yield _text(
        f"{slug}-checking",
        "### Check it\n\nThese cells check what you have saved, one task each, as often as you like. Your points come from "
        "hidden checks, too, but they prove nothing that the contract does not say.",
    )
    for task in exercise.manifest.tasks:
        points = int(task.points) if task.points == int(task.points) else task.points
        about = {"grade": True, "solution": False, "locked": True, "points": points}
        yield _cell("code", f"{slug}-task-{task.number}", f"%check {slug} --task {task.number}", about)
    yield _cell("code", f"{slug}-hint", f"%hint {slug}", None)
    yield _text(
        f"{slug}-handing-in",
        "### Hand it in\n\nSave this notebook under the name that it has. Then choose Nbgrader, Assignment List in the menu and press "
        f"Submit, or run `nbgrader submit {slug}` in a terminal in the folder above this one. You can hand in again; the last one counts.",
    )


def _id(slug: str, file: str) -> str:
    """Letters, digits, _ and -: what nbgrader allows in a grade_id."""
    return f"{slug}-file-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in file)


def _text(grade_id: str, source: str) -> dict[str, Any]:
    return _cell("markdown", grade_id, source, {"grade": False, "solution": False, "locked": True})


def _answer(grade_id: str, source: str) -> dict[str, Any]:
    return _cell("code", grade_id, source, {"grade": False, "solution": True, "locked": False})


def _cell(kind: str, grade_id: str, source: str, about: dict[str, Any] | None) -> dict[str, Any]:
    nbgrader = {"nbgrader": {**about, "grade_id": grade_id, "schema_version": 3, "task": False}} if about else {}
    cell: dict[str, Any] = {"cell_type": kind, "id": grade_id, "metadata": nbgrader, "source": source.splitlines(keepends=True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


# ---- what differs


def _cell_differences(present: bytes, wanted: bytes) -> Iterator[str]:
    """By cell, so that a notebook that was only opened and saved does not differ."""
    try:
        have, want = _by_id(json.loads(present)), _by_id(json.loads(wanted))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        yield "it is not a notebook"
        return
    for words, ids in (
        ("it lacks", [id for id in want if id not in have]),
        ("it adds", [id for id in have if id not in want]),
        ("it changes", [id for id in want if id in have and want[id] != have[id]]),
    ):
        if ids:
            yield f"{words} the cell{'s' * (len(ids) > 1)} {', '.join(ids)}"
    if [id for id in want if id in have] != [id for id in have if id in want]:
        yield "its cells stand in another order"


def _by_id(notebook: dict[str, Any]) -> dict[str, tuple[object, ...]]:
    """What matters of each cell. Checksums and outputs do not."""
    cells: dict[str, tuple[object, ...]] = {}
    for n, cell in enumerate(notebook["cells"]):
        about = {k: v for k, v in cell["metadata"].get("nbgrader", {}).items() if k not in ("checksum", "cell_type", "task")}
        cells[about.get("grade_id") or cell.get("id") or f"number {n + 1}"] = (cell["cell_type"], source_of(cell), about)
    return cells


def _lacking_settings(present: bytes, wanted: bytes) -> Iterator[str]:
    """Of a configuration that somebody may have changed, only what it needs and lacks."""
    have = {line.strip() for line in present.decode("utf-8", "replace").splitlines()}
    for line in wanted.decode().splitlines():
        if line.startswith("c.") and not line.endswith(DEFAULT) and line not in have:
            yield f"it lacks the line {line.strip()}"


def _text_differences(present: bytes, wanted: bytes) -> Iterator[str]:
    if present != wanted:
        yield "its text"


DIFFERENCES = {".ipynb": _cell_differences, ".py": _lacking_settings}


# ---- what an instructor reads


DEFAULT = "  # change it as you like"


def config_text(course_id: str | None = None, exchange: Path | None = None) -> str:
    named = f"c.CourseDirectory.course_id = {course_id!r}" if course_id else f'c.CourseDirectory.course_id = "looplab"{DEFAULT}'
    shared = f"c.Exchange.root = {str(exchange)!r}" if exchange else '# c.Exchange.root = "/usr/local/share/nbgrader/exchange"'
    return f'''"""nbgrader for this course. `looplab nbgrader init` wrote it once and leaves it alone from now on."""

import os

from nbgrader.preprocessors import ClearSolutions

c = get_config()

{named}
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))

# Where assignments are released, fetched and handed in: a folder that everybody can reach.
{shared}

# What `nbgrader generate_assignment` puts in place of the part of an answer between BEGIN SOLUTION and END SOLUTION.
c.ClearSolutions.code_stub = {{**ClearSolutions().code_stub, "javascript": "{STUB}"}}

# Names come from learners: in grades.csv a comma in one stays in its column, and none is a formula of a spreadsheet.
c.ExportApp.plugin_class = "grader.notebooks.nbgrader_export.CsvExport"

# nbgrader would run what learners wrote, here on this machine, and overwrite the scores. With this line `nbgrader autograde`, and the
# button in formgrader, hand over to `looplab nbgrader autograde`. Assignments that are none of Looplab's are graded as ever.
c.Autograde.exporter_class = "grader.notebooks.nbgrader_guard.HandOver"
'''


README = """# An nbgrader course with Looplab

Each folder below `source/` is an assignment. Learners need Looplab, too: it brings the kernel "JavaScript (Node.js)", `%check` and `%hint`.

```sh
nbgrader generate_assignment json-echo    # source/ -> release/; the starter stays in its cell
nbgrader release_assignment json-echo     # learners fetch it, and hand it in with submit
nbgrader collect json-echo                # what they handed in -> submitted/
looplab nbgrader autograde json-echo      # grades it in containers -> gradebook and autograded/
nbgrader generate_feedback json-echo      # or look at it in formgrader; release_feedback and export work, too
```

- Nothing that a learner wrote runs on this machine. `nbgrader autograde` and the button in formgrader hand over to Looplab
  (the last line of `nbgrader_config.py`).
- Run `looplab nbgrader autograde` as often as you like. What is graded is not graded again (`--again` does). What you gave in
  formgrader stays: points, extra credit, comments.
- Change points and texts in `source/` as you like. Looplab knows a cell by its id, by `%%file EXERCISE/NAME` and by
  `%check EXERCISE --task N`.
- You may add cells that a person grades. Looplab leaves their points to you.
- Do not put a solution into these notebooks: you need none there.
"""
