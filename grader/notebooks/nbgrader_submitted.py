"""What learners handed in, read with limits. Of a notebook only the sources of known answer cells are taken; nothing of it is trusted."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from grader.notebooks.nbgrader_released import CHECK, FILE, Released, nbgrader_of

NOTEBOOK_BYTES_MAX = 16 * 1024 * 1024
"""With its outputs. Outputs are skipped without being built in memory."""
CELLS_MAX = 5000
SOURCE_BYTES_MAX = 6 * 1024 * 1024
"""Of one cell's source as JSON: a file of 1 MiB, whose characters may take six bytes (`\\u00e9`)."""
SMALL_BYTES_MAX = 200
"""Of timestamp.txt and submission_secret.txt."""
SCHEMA = 3
"""Of nbgrader's metadata, since nbgrader 0.6."""


Shape = TypeVar("Shape", bound=msgspec.Struct)


class NotebookRefused(Exception):
    """A notebook that a person has to look at: what is wrong with it, and what to do. It costs nobody points."""


@dataclass(frozen=True)
class Answers:
    sources: dict[str, str]
    """By grade_id, of every answer cell of the release that is there."""
    by_hand: dict[str, str]
    """The same of other solution cells, which people grade."""
    remarks: tuple[str, ...] = ()


class _Cell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Nbgrader(msgspec.Struct):
    grade_id: str = ""
    schema_version: int = 0


class _Metadata(msgspec.Struct):
    nbgrader: _Nbgrader | None = None


class _Looplab(msgspec.Struct):
    exercise: str = ""
    version: str = ""


class _NotebookMetadata(msgspec.Struct):
    looplab: _Looplab | None = None


class _RawCell(msgspec.Struct):
    """Of a cell only what is looked at: 16 MiB of cells that are none must not become millions of objects."""

    cell_type: msgspec.Raw
    source: msgspec.Raw = msgspec.Raw(b'""')
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Notebook(msgspec.Struct):
    cells: list[_RawCell]
    nbformat: int
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


def read_answers(folder: Path, release: Released, siblings: tuple[str, ...] = ()) -> Answers:
    """The answers in `folder`/NAME.ipynb to a released notebook; the assignment may have `siblings`. Raises NotebookRefused."""
    path = folder / f"{release.name}.ipynb"
    others = _other_notebooks(folder, {f"{name}.ipynb" for name in (release.name, *siblings)})
    if not os.path.lexists(path):
        if others:
            raise NotebookRefused(f"there is no {path.name}, but {_listed(others)}. If it is the right one, rename it.")
        raise NotebookRefused(f"there is no {path.name}. Ask for it.")
    notebook = _decoded(path)
    cells = _cells(notebook)
    remarks = [f"{_listed(others)} is passed over: only {path.name} counts."] if others else []
    about = _metadata_of(notebook.metadata, _NotebookMetadata).looplab or _Looplab()
    known = _known_cells(cells, release)
    _refuse_what_is_not_it(cells, known, release, about)
    if about.version and about.version != release.version:
        remarks.append("it was fetched before the assignment was changed; its answers are graded all the same.")
    sources = {answer.grade_id: known[answer.grade_id] for answer in release.answers if answer.grade_id in known}
    for source in sources.values():
        _refuse_paths_that_lead_out(source)
    return Answers(sources, {id: source for id, source in known.items() if id not in sources}, tuple(remarks))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _other_notebooks(folder: Path, expected: set[str]) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if name.endswith(".ipynb") and name not in expected)
    return [repr(name)[:80] for name in names]


# ---- from bytes to cells


def read_small(path: Path) -> str | None:
    """A short text file beside the notebook, None without one. Raises NotebookRefused."""
    return _bytes(path, SMALL_BYTES_MAX).decode("utf-8", "replace").strip() if os.path.lexists(path) else None


def _bytes(path: Path, limit: int) -> bytes:
    """Reads a regular file without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a symbolic link" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise NotebookRefused(f"{path.name} {why}. Put the file itself there.") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotebookRefused(f"{path.name} is not a file. Put the file itself there.")
        data = file.read(limit + 1)
    if len(data) > limit:
        size = f"{limit // 1024 // 1024} MiB" if limit >= 1024 * 1024 else f"{limit} bytes"
        raise NotebookRefused(f"{path.name} has more than {size}. Ask for it with its outputs cleared.")
    return data


def _decoded(path: Path) -> _Notebook:
    data = _bytes(path, NOTEBOOK_BYTES_MAX)
    try:
        return msgspec.json.decode(data, type=_Notebook)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else f"is broken ({error})"
        if isinstance(error, msgspec.ValidationError):
            why = "is no notebook of format 4"
        raise NotebookRefused(f"{path.name} {why}. Ask for it again, saved in JupyterLab.") from None


def _cells(notebook: _Notebook) -> list[_Cell]:
    if notebook.nbformat != 4:
        raise NotebookRefused(
            f"it has notebook format {notebook.nbformat}, of an older or newer Jupyter. Ask for it again, saved in JupyterLab."
        )
    if len(notebook.cells) > CELLS_MAX:
        raise NotebookRefused(f"it has more than {CELLS_MAX} cells. Look at it by hand.")
    cells = []
    for raw in notebook.cells:
        if len(raw.source) > SOURCE_BYTES_MAX:
            raise NotebookRefused(f"one of its cells has more than {SOURCE_BYTES_MAX // 1024 // 1024} MiB. Look at it by hand.")
        try:
            kind = msgspec.json.decode(raw.cell_type, type=str)
            cells.append(_Cell(kind, msgspec.json.decode(raw.source, type=str | list[str]), raw.metadata))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue  # it is missed when it was an answer
    return cells


def _metadata_of(raw: msgspec.Raw, shape: type[Shape]) -> Shape:
    """What is known of it; all defaults when it has another form, which is not ours to judge."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return shape()


def _source(cell: _Cell) -> str:
    return cell.source if isinstance(cell.source, str) else "".join(cell.source)


# ---- is it the notebook that was released?


def _known_cells(cells: list[_Cell], release: Released) -> dict[str, str]:
    """The source of each solution cell of the release, by grade_id. Raises NotebookRefused when one is there twice or in another form."""
    kinds = solution_cells(release)
    found: dict[str, str] = {}
    for cell in cells:
        about = _metadata_of(cell.metadata, _Metadata).nbgrader
        if about is None or about.grade_id not in kinds:
            continue
        id, source = about.grade_id, _source(cell)
        if about.schema_version != SCHEMA:
            age = "an older" if about.schema_version < SCHEMA else "a newer"
            raise NotebookRefused(f"it was made by {age} nbgrader (metadata version {about.schema_version}). Run `nbgrader update` on it.")
        if cell.cell_type != kinds[id]:
            raise NotebookRefused(
                f"its cell {id} was changed from {kinds[id]} to {cell.cell_type[:20]!r}. Ask for it with that cell changed back."
            )
        if found.get(id, source) != source:
            raise NotebookRefused(f"two of its cells are called {id}, with different answers. Ask for it without the copy.")
        found[id] = source
    return found


def solution_cells(release: Released) -> dict[str, str]:
    """The cells that a learner writes: their cell types by grade_id."""
    cells = [(nbgrader_of(cell), cell["cell_type"]) for cell in release.content["cells"]]
    return {str(about["grade_id"]): kind for about, kind in cells if about.get("solution")}


def _refuse_what_is_not_it(cells: list[_Cell], known: dict[str, str], release: Released, about: _Looplab) -> None:
    missing = [answer.grade_id for answer in release.answers if answer.grade_id not in known and not answer.spare]
    if not missing:
        return
    checked = {match[1] for cell in cells if (match := CHECK.fullmatch(_source(cell)[:200]))}
    if re.fullmatch("[a-z0-9-]{1,60}", about.exercise):  # a learner may have written anything there
        checked.add(about.exercise)
    if checked and release.exercise not in checked:
        raise NotebookRefused(f"it is the notebook of {sorted(checked)[0]}, not of {release.exercise}. Ask for the right one.")
    if checked and about.version != release.version:
        raise NotebookRefused(f"it is from an older version of the assignment and lacks the cell {missing[0]}. Ask for a new fetch of it.")
    if checked:
        raise NotebookRefused(f"it lacks the cell {missing[0]}. Ask for a new fetch of it, with the answer in that cell.")
    raise NotebookRefused(f"it is another notebook: it has none of the cells of {release.exercise}. Ask for the right one.")


def _refuse_paths_that_lead_out(source: str) -> None:
    match = FILE.match(source)
    if match and (match[1].startswith(("/", "~", "\\")) or ".." in re.split(r"[/\\]", match[1])):
        raise NotebookRefused(f"it writes to {match[1][:80]!r}, outside of its folder. Look at it by hand.")
