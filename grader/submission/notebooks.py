"""Submissions that are a notebook: cells that begin with `%%file NAME`. Nothing else of a notebook is looked at."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from grader.errors import SubmissionRejected
from grader.submission import rules
from grader.submission.rules import FILE_BYTES_MAX, checked_name, too_big

FILE_CELL = re.compile(r"\s*%%(?:file|writefile)[ \t]+(\S+)[ \t]*\n")


def from_notebook(data: bytes, slug: str = "") -> Iterator[tuple[str, bytes]]:
    """Files from cells that begin with `%%file NAME`; a later cell of a name wins.

    A lesson has many such cells. Where some write below `slug/`, only those are the submission, and that folder is no part of
    their names.
    """
    cells = [(PurePosixPath(match[1]), text[match.end() :]) for text in _sources(data) if (match := FILE_CELL.match(text))]
    below = [(path.relative_to(slug), text) for path, text in cells if slug and len(path.parts) > 1 and path.is_relative_to(slug)]
    found: dict[str, bytes] = {}
    for path, text in below or cells:
        if name := checked_name(str(path)):
            content = text.encode("utf-8", "surrogatepass")
            if len(content) > FILE_BYTES_MAX:
                raise too_big(name)
            found[name] = content
    if not found:
        raise SubmissionRejected(f"The notebook has no cell that begins with `%%file {slug and f'{slug}/'}server.mjs`.")
    return iter(found.items())


def _sources(data: bytes) -> Iterator[str]:
    """The texts of the code cells. What is no text is passed over."""
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise SubmissionRejected("The notebook is not valid JSON. Save it again in JupyterLab.") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionRejected("The notebook has no cells: it is not a notebook of format 4. Save it again in JupyterLab.")
    if len(cells) > rules.ENTRIES_MAX:
        raise SubmissionRejected(f"The notebook has more than {rules.ENTRIES_MAX} cells.")
    for cell in cells:
        source = cell.get("source") if isinstance(cell, dict) and cell.get("cell_type") == "code" else None
        text = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
        if isinstance(text, str):
            yield text
