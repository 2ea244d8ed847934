"""A notebook for the Node kernel, written so that the same cells give the same bytes."""

import hashlib
import json
from typing import Any, Literal

import msgspec

KERNELSPEC = {"display_name": "JavaScript (Node.js)", "language": "javascript", "name": "looplab-node"}
LANGUAGE = {
    "codemirror_mode": "javascript",
    "file_extension": ".js",
    "mimetype": "text/javascript",
    "name": "javascript",
    "nbconvert_exporter": "script",
    "pygments_lexer": "javascript",
    "version": "24",
}
"""What the kernel says of itself. JupyterLab writes it into each notebook that is opened, which must not count as a change."""


class Cell(msgspec.Struct, frozen=True):
    kind: Literal["markdown", "code"]
    source: str
    name: str = ""
    """Its id where somebody knows a good one; else the id comes from its text."""
    tags: tuple[str, ...] = ()
    looplab: dict[str, str] = {}
    """What it belongs to, for those who read the notebook later: `{"exercise": …, "role": …}` or `{"predict": …}`."""


def markdown(source: str, name: str = "", **looplab: str) -> Cell:
    return Cell("markdown", source, name, looplab=looplab)


def notebook_json(cells: list[Cell], scope: str, looplab: dict[str, str]) -> bytes:
    """The notebook as a file. `scope` keeps the ids of different notebooks apart; `looplab` becomes metadata of the notebook,
    with a `version` that changes when a cell does.

    An id comes from the name or the text of its cell and not from its place, so an edit of one cell changes at most its own id.
    """
    taken: dict[str, int] = {}
    written = [_as_json(cell, _id(cell, scope, taken)) for cell in cells]
    version = hashlib.sha256(json.dumps(written).encode()).hexdigest()[:12]
    notebook = {
        "cells": written,
        "metadata": {"kernelspec": KERNELSPEC, "language_info": LANGUAGE, "looplab": {**looplab, "version": version}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return as_file(notebook)


def as_file(notebook: dict[str, Any]) -> bytes:
    """As Jupyter writes it: sorted keys, one space of indentation, so that a diff shows what changed."""
    return (json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _as_json(cell: Cell, id: str) -> dict[str, Any]:
    metadata = {**({"tags": list(cell.tags)} if cell.tags else {}), **({"looplab": cell.looplab} if cell.looplab else {})}
    written: dict[str, Any] = {"cell_type": cell.kind, "id": id, "metadata": metadata, "source": cell.source.splitlines(keepends=True)}
    return written | {"execution_count": None, "outputs": []} if cell.kind == "code" else written


def _id(cell: Cell, scope: str, taken: dict[str, int]) -> str:
    """Letters, digits, - and _, at most 64 (nbformat 4.5). The second cell with the same text gets a number."""
    if cell.name:
        id = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in cell.name)[:60]
    else:
        id = hashlib.sha256(f"{scope}\0{cell.kind}\0{cell.source}".encode()).hexdigest()[:12]
    taken[id] = taken.get(id, 0) + 1
    return id if taken[id] == 1 else f"{id}-{taken[id]}"
