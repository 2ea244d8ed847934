"""The rules that hold for every source of a submission: how much it may be, and what its files may be called."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from grader.errors import SubmissionRejected

FILES_MAX = 200
FILE_BYTES_MAX = 1024 * 1024
TOTAL_BYTES_MAX = 4 * 1024 * 1024
ARCHIVE_BYTES_MAX = 8 * 1024 * 1024
"""Of an archive, and of what a tar.gz unpacks to."""
NOTEBOOK_BYTES_MAX = 16 * 1024 * 1024
"""Of a notebook with its outputs, which are not read; what its cells write is limited like any submission."""
DEPTH_MAX = 8
NAME_BYTES_MAX = 240
"""In UTF-8: file systems count bytes (at most 255 in one part)."""
ENTRIES_MAX = 5000
"""Of a folder or archive, ignored ones included: a bound on the work, not on the submission."""

WHY_MAX = 200
"""Characters of a library's own words in a message."""

IGNORED = {"node_modules", "__MACOSX", "__pycache__"}
"""Folders that are never read. So is every name that starts with a dot. Packages come from the exercise, never from a submission."""


def collect(found: Iterator[tuple[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    folded: dict[str, str] = {}
    total = 0
    for name, data in found:
        total += len(data)
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded and folded[key] != name:
            raise SubmissionRejected(
                f"{shown(folded[key])} and {shown(name)} differ only in case or in how an accent is written. Keep one of them."
            )
        folded[key] = name
        files[name] = data
        if len(files) > FILES_MAX:
            raise SubmissionRejected(f"The submission has more than {FILES_MAX} files. Submit only what you wrote.")
        if total > TOTAL_BYTES_MAX:
            raise SubmissionRejected(f"The submission is larger than {mib(TOTAL_BYTES_MAX)}. Submit only what you wrote.")
    for name in files:
        for parent in PurePosixPath(name).parents:
            if str(parent) in files:
                raise SubmissionRejected(f"{shown(str(parent))} is a file and a folder at once. Keep one of them.")
    return files


def checked_name(raw: str) -> str | None:
    """The clean relative name, or None for one that is ignored. Raises for a name that could lead out or mislead."""
    if "\\" in raw or raw.startswith("/") or ".." in raw.split("/") or re.match(r"[A-Za-z]:", raw):
        raise SubmissionRejected(f"{shown(raw)} leads out of the submission. Use plain relative names.")
    name, parts = str(PurePosixPath(raw)), PurePosixPath(raw).parts
    if not parts or any(part in IGNORED or part.startswith(".") for part in parts):
        return None
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for c in name):
        raise SubmissionRejected(f"The name {shown(raw)} has characters that cannot be shown. Rename the file.")
    if len(name.encode()) > NAME_BYTES_MAX or len(parts) > DEPTH_MAX:
        raise SubmissionRejected(f"The name {shown(raw)} is too long or too deep (at most {DEPTH_MAX} levels). Use a shorter one.")
    return name


def too_big(name: str) -> SubmissionRejected:
    return SubmissionRejected(f"{shown(name)} is larger than {mib(FILE_BYTES_MAX)}. Submit only source files.")


def damaged(error: Exception) -> SubmissionRejected:
    why = str(error)[:WHY_MAX]  # a library may quote a name of 64 kB
    return SubmissionRejected(
        f"The archive is damaged or of an unknown kind: {''.join(c if c.isprintable() else '?' for c in why)}. Pack your files again."
    )


def mib(size: int) -> str:
    return f"{size // 1024 // 1024} MiB"


def shown(name: str) -> str:
    """A name as it may stand in a message: printable, short, in quotes."""
    clean = "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else f"\\u{ord(c):04x}" for c in name)
    return f'"{clean[:80]}{"…" if len(clean) > 80 else ""}"'
