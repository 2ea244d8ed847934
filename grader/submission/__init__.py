"""A submission: the bytes of a learner's files, read with limits. Nothing of it is ever unpacked by a library or followed.

Sources: a folder, a single file, a zip, a tar.gz, or a notebook with `%%file NAME` cells. Whatever the source, the result is the
same: relative names and their bytes, checked by one list of rules, and the entry file among them.
"""

import difflib
import hashlib
import json
import re
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from grader.errors import SubmissionRejected
from grader.submission.archives import from_tar, from_zip
from grader.submission.folders import file_bytes, from_folder
from grader.submission.notebooks import from_notebook
from grader.submission.rules import (
    ARCHIVE_BYTES_MAX,
    FILE_BYTES_MAX,
    NOTEBOOK_BYTES_MAX,
    checked_name,
    collect,
    mib,
    shown,
    too_big,
)

__all__ = ["Submission", "read_submission", "submission_of", "submission_of_cells"]


class Submission(msgspec.Struct, frozen=True):
    files: dict[str, bytes]
    entry: str
    digest: str


def read_submission(path: Path, entries: tuple[str, ...], slug: str = "") -> Submission:
    """Reads a submission from a folder, file, archive or notebook. Raises SubmissionRejected with a sentence for the learner.

    `slug` is the exercise: of a lesson's notebook only the files below `slug/` are taken, where there are any.
    """
    try:
        info = path.stat()
    except (OSError, ValueError):
        raise SubmissionRejected(f"There is no file or folder {shown(path.name)}.") from None
    if stat.S_ISDIR(info.st_mode):
        found = from_folder(path)
    elif not stat.S_ISREG(info.st_mode):
        raise SubmissionRejected(f"{shown(path.name)} is neither a file nor a folder.")
    elif path.suffix == ".ipynb":
        found = from_notebook(_notebook_bytes(path), slug)
    elif path.suffix == ".zip":
        found = from_zip(file_bytes(path, path.name, ARCHIVE_BYTES_MAX))
    elif path.name.endswith((".tar.gz", ".tgz")):
        found = from_tar(file_bytes(path, path.name, ARCHIVE_BYTES_MAX))
    elif path.suffix in {".mjs", ".js", ".cjs", ".ts"}:
        # A single file is the server, whatever it is called.
        name = path.name if path.name in entries else f"server{path.suffix}"
        found = iter([(name, file_bytes(path, path.name, FILE_BYTES_MAX))])
    else:
        raise SubmissionRejected(
            f"{shown(path.name)} is not something to submit. Give a folder, a JavaScript file, a .zip, a .tar.gz or an .ipynb."
        )
    return submission_of(collect(found), entries)


def _notebook_bytes(path: Path) -> bytes:
    if path.stat().st_size > NOTEBOOK_BYTES_MAX:
        raise SubmissionRejected(
            f"{shown(path.name)} is larger than {mib(NOTEBOOK_BYTES_MAX)}, outputs included. In JupyterLab clear its outputs "
            "(Edit, Clear Outputs of All Cells), save it, and submit it again."
        )
    return file_bytes(path, path.name, NOTEBOOK_BYTES_MAX)


def submission_of(files: dict[str, bytes], entries: tuple[str, ...]) -> Submission:
    """Chooses the entry file and fingerprints the submission. `files` have passed the rules already."""
    if not files:
        raise SubmissionRejected(f"The submission is empty. Put your server into a file {entries[0]}.")
    entry = next((name for name in entries if name in files), None) or _main_of_package(files)
    if entry is None:
        lower = {name.lower(): name for name in files}
        near = difflib.get_close_matches(entries[0].lower(), lower, 1, 0.5)
        listed = ", ".join(shown(name) for name in sorted(files)[:8])
        raise SubmissionRejected(
            f"There is no entry file: looked for {', '.join(entries)} and for `main` in package.json, found {listed}."
            + (f" Rename {shown(lower[near[0]])} to {entries[0]}?" if near else "")
        )
    _refuse_binary(entry, files[entry])
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return Submission(files, entry, f"sha256:{digest.hexdigest()}")


def submission_of_cells(cells: Iterable[tuple[str, str]], folder: str, entries: tuple[str, ...]) -> Submission:
    """A submission from known cells of a notebook: (file name, source) each. A later cell of a name wins.

    A first line `%%file NAME` or `%%file FOLDER/NAME` names the file instead. Raises SubmissionRejected.
    """
    found: dict[str, bytes] = {}
    for known_name, source in cells:
        match = re.match(r"\s*%%(?:file|writefile)[ \t]+(\S+)[ \t]*(?:\n|\Z)", source)
        if not match and re.match(r"\s*%", source):
            line = source.lstrip().split("\n", 1)[0][:60]
            raise SubmissionRejected(f"A cell begins with {shown(line)}. Its first line must be `%%file {folder}/{known_name}`.")
        name = checked_name(match[1].removeprefix(f"{folder}/") if match else known_name)
        content = (source[match.end() :] if match else source).encode("utf-8", "surrogatepass")
        if name and len(content) > FILE_BYTES_MAX:
            raise too_big(name)
        if name:
            found[name] = content
    return submission_of(collect(iter(found.items())), entries)


def _main_of_package(files: dict[str, bytes]) -> str | None:
    try:
        main = json.loads(files.get("package.json", b"{}"))["main"]
        name = str(PurePosixPath(main))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if name in files else None


def _refuse_binary(name: str, data: bytes) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise SubmissionRejected(f"{shown(name)} is not a text file in UTF-8. Save it as UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SubmissionRejected(f"{shown(name)} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
