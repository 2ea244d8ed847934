"""Submissions that are a notebook: cells that begin with `%%file NAME`. Nothing else of a notebook is looked at."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

import msgspec

from grader.errors import SubmissionRejected
from grader.submission import rules
from grader.submission.rules import FILE_BYTES_MAX, checked_name, mib, too_big

SOURCE_BYTES_MAX = 6 * FILE_BYTES_MAX
"""Of one cell's source as JSON, where a character may take six bytes (`\\u00e9`)."""


class _Cell(msgspec.Struct):
    cell_type: msgspec.Raw
    source: msgspec.Raw = msgspec.Raw(b'""')


class _Notebook(msgspec.Struct):
    cells: list[_Cell]


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
    """The texts of the code cells. What is no text is passed over. Outputs and metadata are skipped without being built in memory."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SubmissionRejected("The notebook is in UTF-16. Save it as UTF-8, as JupyterLab does.")
    try:
        cells = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Notebook).cells
    except msgspec.ValidationError:
        raise SubmissionRejected(
            "The file has no cells, or one that is no cell: it is not a notebook of format 4. Save it again in JupyterLab."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SubmissionRejected("The notebook is not valid JSON, or holds half a character. Save it again in JupyterLab.") from None
    if len(cells) > rules.ENTRIES_MAX:
        raise SubmissionRejected(f"The notebook has more than {rules.ENTRIES_MAX} cells. Submit only what you wrote.")
    for cell in cells:
        if bytes(cell.cell_type) == b'"code"':
            if len(cell.source) > SOURCE_BYTES_MAX:
                raise SubmissionRejected(f"A cell of the notebook is larger than {mib(SOURCE_BYTES_MAX)}. Submit only source files.")
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                source = msgspec.json.decode(cell.source, type=str | list[str])
                yield source if isinstance(source, str) else "".join(source)
