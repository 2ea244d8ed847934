"""A submission: the bytes of a learner's files, read with limits. Nothing of it is ever unpacked by a library or followed.

Sources: a folder, a single file, a zip, a tar.gz, or a notebook with `%%file NAME` cells. Whatever the source, the result is the
same: relative names and their bytes, checked by one list of rules, and the entry file among them.
"""

import difflib
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from grader.errors import SubmissionRejected

FILES_MAX = 200
FILE_BYTES_MAX = 1024 * 1024
TOTAL_BYTES_MAX = 4 * 1024 * 1024
ARCHIVE_BYTES_MAX = 8 * 1024 * 1024
"""Of an archive, and of what a tar.gz unpacks to."""
DEPTH_MAX = 8
NAME_BYTES_MAX = 240
"""In UTF-8: file systems count bytes (at most 255 in one part)."""
ENTRIES_MAX = 5000
"""Of a folder or archive, ignored ones included: a bound on the work, not on the submission."""

IGNORED = {"node_modules", "__MACOSX", "__pycache__"}
"""Folders that are never read. So is every name that starts with a dot. Packages come from the exercise, never from a submission."""


class Submission(msgspec.Struct, frozen=True):
    files: dict[str, bytes]
    entry: str
    digest: str


def read_submission(path: Path, entries: tuple[str, ...]) -> Submission:
    """Reads a submission from a folder, file, archive or notebook. Raises SubmissionRejected with a sentence for the learner."""
    try:
        info = path.stat()
    except (OSError, ValueError):
        raise SubmissionRejected(f"There is no file or folder {_shown(path.name)}.") from None
    if stat.S_ISDIR(info.st_mode):
        found = _from_folder(path)
    elif not stat.S_ISREG(info.st_mode):
        raise SubmissionRejected(f"{_shown(path.name)} is neither a file nor a folder.")
    elif path.suffix == ".ipynb":
        found = _from_notebook(_file_bytes(path, path.name, TOTAL_BYTES_MAX))
    elif path.suffix == ".zip":
        found = _from_zip(_file_bytes(path, path.name, ARCHIVE_BYTES_MAX))
    elif path.name.endswith((".tar.gz", ".tgz")):
        found = _from_tar(_file_bytes(path, path.name, ARCHIVE_BYTES_MAX))
    elif path.suffix in {".mjs", ".js", ".cjs", ".ts"}:
        # A single file is the server, whatever it is called.
        name = path.name if path.name in entries else f"server{path.suffix}"
        found = iter([(name, _file_bytes(path, path.name, FILE_BYTES_MAX))])
    else:
        raise SubmissionRejected(
            f"{_shown(path.name)} is not something to submit. Give a folder, a JavaScript file, a .zip, a .tar.gz or an .ipynb."
        )
    return submission_of(_collect(found), entries)


def submission_of(files: dict[str, bytes], entries: tuple[str, ...]) -> Submission:
    """Chooses the entry file and fingerprints the submission. `files` have passed the rules already."""
    if not files:
        raise SubmissionRejected(f"The submission is empty. Put your server into a file {entries[0]}.")
    entry = next((name for name in entries if name in files), None) or _main_of_package(files)
    if entry is None:
        lower = {name.lower(): name for name in files}
        near = difflib.get_close_matches(entries[0].lower(), lower, 1, 0.5)
        listed = ", ".join(_shown(name) for name in sorted(files)[:8])
        raise SubmissionRejected(
            f"There is no entry file: looked for {', '.join(entries)} and for `main` in package.json, found {listed}."
            + (f" Rename {_shown(lower[near[0]])} to {entries[0]}?" if near else "")
        )
    _refuse_binary(entry, files[entry])
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return Submission(files, entry, f"sha256:{digest.hexdigest()}")


def _main_of_package(files: dict[str, bytes]) -> str | None:
    try:
        main = json.loads(files.get("package.json", b"{}"))["main"]
        name = str(PurePosixPath(main))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if name in files else None


def _refuse_binary(name: str, data: bytes) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise SubmissionRejected(f"{_shown(name)} is not a text file in UTF-8. Save it as UTF-8.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SubmissionRejected(f"{_shown(name)} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None


# ---- the rules that hold for every source


def _collect(found: Iterator[tuple[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    folded: dict[str, str] = {}
    total = 0
    for name, data in found:
        total += len(data)
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded and folded[key] != name:
            raise SubmissionRejected(
                f"{_shown(folded[key])} and {_shown(name)} differ only in case or in how an accent is written. Keep one of them."
            )
        folded[key] = name
        files[name] = data
        if len(files) > FILES_MAX:
            raise SubmissionRejected(f"The submission has more than {FILES_MAX} files. Submit only what you wrote.")
        if total > TOTAL_BYTES_MAX:
            raise SubmissionRejected(f"The submission is larger than {_mib(TOTAL_BYTES_MAX)}. Submit only what you wrote.")
    for name in files:
        for parent in PurePosixPath(name).parents:
            if str(parent) in files:
                raise SubmissionRejected(f"{_shown(str(parent))} is a file and a folder at once. Keep one of them.")
    return files


def _checked_name(raw: str) -> str | None:
    """The clean relative name, or None for one that is ignored. Raises for a name that could lead out or mislead."""
    if "\\" in raw or raw.startswith("/") or ".." in raw.split("/") or re.match(r"[A-Za-z]:", raw):
        raise SubmissionRejected(f"{_shown(raw)} leads out of the submission. Use plain relative names.")
    name, parts = str(PurePosixPath(raw)), PurePosixPath(raw).parts
    if not parts or any(part in IGNORED or part.startswith(".") for part in parts):
        return None
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for c in name):
        raise SubmissionRejected(f"The name {_shown(raw)} has characters that cannot be shown. Rename the file.")
    if len(name.encode()) > NAME_BYTES_MAX or len(parts) > DEPTH_MAX:
        raise SubmissionRejected(f"The name {_shown(raw)} is too long or too deep (at most {DEPTH_MAX} levels). Use a shorter one.")
    return name


def _too_big(name: str) -> SubmissionRejected:
    return SubmissionRejected(f"{_shown(name)} is larger than {_mib(FILE_BYTES_MAX)}. Submit only source files.")


def _damaged(error: Exception) -> SubmissionRejected:
    return SubmissionRejected(f"The archive is damaged or of an unknown kind: {error}.")


def _mib(size: int) -> str:
    return f"{size // 1024 // 1024} MiB"


def _shown(name: str) -> str:
    """A name as it may stand in a message: printable, short, in quotes."""
    clean = "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else f"\\u{ord(c):04x}" for c in name)
    return f'"{clean[:80]}{"…" if len(clean) > 80 else ""}"'


# ---- the sources


def _file_bytes(path: Path, name: str, limit: int) -> bytes:
    """Reads a regular file without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionRejected(f"{_shown(name)} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > limit:
            raise SubmissionRejected(f"{_shown(name)} is larger than {_mib(limit)}. Submit only what you wrote.")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SubmissionRejected(f"{_shown(name)} is larger than {_mib(limit)}. Submit only what you wrote.")
    return data


def _from_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    seen = 0
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(os.fsencode(root / prefix)) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            raise SubmissionRejected(f"{_shown(prefix or root.name)} cannot be read: {error.strerror}.") from None
        for item in items:
            seen += 1
            if seen > ENTRIES_MAX:
                raise SubmissionRejected(f"The folder has more than {ENTRIES_MAX} entries. Submit only what you wrote.")
            try:
                raw = prefix + item.name.decode("utf-8")
            except UnicodeDecodeError:
                raise SubmissionRejected(f"A file name is not UTF-8: {item.name!r}. Rename the file.") from None
            name = _checked_name(raw)
            if name is None:
                continue
            if item.is_symlink():
                raise SubmissionRejected(f"{_shown(raw)} is a symbolic link. Put the file itself there.")
            if item.is_dir(follow_symlinks=False):
                pending.append(f"{raw}/")
            elif item.is_file(follow_symlinks=False):
                yield name, _nofollow_bytes(root / raw, raw)
            else:
                raise SubmissionRejected(f"{_shown(raw)} is neither a file nor a folder. Remove it.")


def _nofollow_bytes(path: Path, name: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionRejected(f"{_shown(name)} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > FILE_BYTES_MAX:
            raise _too_big(name)
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise _too_big(name)
    return data


def _bounded(stream: IO[bytes], name: str) -> bytes:
    data = stream.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise _too_big(name)
    return data


def _without_common_folder(found: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """An archive often holds one folder that holds everything: that folder is not part of the names."""
    tops = {name.split("/", 1)[0] for name, _ in found}
    if len(tops) == 1 and all("/" in name for name, _ in found):
        return iter([(name.split("/", 1)[1], data) for name, data in found])
    return iter(found)


def _from_zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > ENTRIES_MAX:
                raise SubmissionRejected(f"The archive has more than {ENTRIES_MAX} entries. Submit only what you wrote.")
            for item in archive.infolist():
                name = _checked_name(_zip_name(item))
                if name is None or item.filename.endswith("/"):
                    continue
                if stat.S_ISLNK(item.external_attr >> 16):
                    raise SubmissionRejected(f"{_shown(name)} is a symbolic link. Put the file itself into the archive.")
                if item.flag_bits & 1:
                    raise SubmissionRejected("The archive is encrypted. Submit one without a password.")
                if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise SubmissionRejected("The archive is packed in an unusual way. Make an ordinary zip.")
                if item.file_size > FILE_BYTES_MAX:
                    raise _too_big(name)
                with archive.open(item) as stream:
                    content = _bounded(stream, name)
                total += len(content)
                found.append((name, content))
                if total > TOTAL_BYTES_MAX or len(found) > FILES_MAX:
                    break  # _collect words the refusal
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise _damaged(error) from None
    return _without_common_folder(found)


def _zip_name(item: zipfile.ZipInfo) -> str:
    if item.flag_bits & 0x800 or item.orig_filename.isascii():
        return item.orig_filename.rstrip("/")
    try:  # macOS writes UTF-8 without saying so
        return item.orig_filename.encode("cp437").decode("utf-8").rstrip("/")
    except UnicodeError:
        raise SubmissionRejected(f"A file name in the archive is not UTF-8: {_shown(item.orig_filename)}. Rename the file.") from None


def _from_tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Walks the headers itself: tarfile's own reader recurses, seeks and backtracks as far as a hostile header tells it to."""
    found: list[tuple[str, bytes]] = []
    entries, long_name = 0, ""
    try:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        raw = unpacker.decompress(data, ARCHIVE_BYTES_MAX + 1)
        if len(raw) > ARCHIVE_BYTES_MAX:
            raise SubmissionRejected(f"The archive unpacks to more than {_mib(ARCHIVE_BYTES_MAX)}. Submit only what you wrote.")
        if not unpacker.eof:
            raise EOFError("it is cut off")
        for item, content in _tar_items(raw):
            if item.type == tarfile.GNUTYPE_LONGNAME:
                long_name = content.rstrip(b"\0").decode()
            elif item.type == tarfile.XHDTYPE:
                long_name = _pax_path(content) or long_name
            elif item.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
                entries += 1
                if entries > ENTRIES_MAX:
                    raise SubmissionRejected(f"The archive has more than {ENTRIES_MAX} entries. Submit only what you wrote.")
                name, long_name = _checked_name((long_name or item.name).rstrip("/")), ""
                if name is None or item.isdir():
                    continue
                if item.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    raise SubmissionRejected(f"{_shown(name)} is not a plain file. Put only files and folders into the archive.")
                if len(content) > FILE_BYTES_MAX:
                    raise _too_big(name)
                found.append((name, content))
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _damaged(error) from None
    return _without_common_folder(found)


def _tar_items(raw: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Each header of a tar and the bytes that belong to it."""
    no_bytes = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
    at = 0
    while (block := raw[at : at + tarfile.BLOCKSIZE]).strip(b"\0"):
        # A long name that was cut off in the middle of a character may stand here; the whole one was in the header before.
        item = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        at += tarfile.BLOCKSIZE
        size = 0 if item.type in no_bytes else item.size
        if not 0 <= size <= len(raw) - at:
            raise tarfile.ReadError(f"{_shown(item.name)} is cut off")
        yield item, raw[at : at + size]
        at += -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _pax_path(records: bytes) -> str:
    """The file name in a pax header, whose records are `LENGTH KEY=VALUE\\n` (POSIX.1-2017, pax); "" without one."""
    path, at = "", 0
    while at < len(records):
        digits, _, _ = records[at : at + 8].partition(b" ")
        if not len(digits) + 3 <= int(digits) <= len(records) - at:
            raise tarfile.ReadError("a pax header is cut off")
        key, _, value = records[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        if key == b"path":
            path = value.decode()
        at += int(digits)
    return path


def _from_notebook(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Files from cells that begin with `%%file NAME`. Nothing else of a notebook is looked at; a later cell of a name wins."""
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise SubmissionRejected("The notebook is not valid JSON. Save it again in JupyterLab.") from None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionRejected("The notebook has no cells: it is not a notebook of format 4. Save it again in JupyterLab.")
    if len(cells) > ENTRIES_MAX:
        raise SubmissionRejected(f"The notebook has more than {ENTRIES_MAX} cells.")
    found: dict[str, bytes] = {}
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        text = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
        match = re.match(r"\s*%%(?:file|writefile)[ \t]+(\S+)[ \t]*\n", text) if isinstance(text, str) else None
        name = _checked_name(match[1]) if match else None
        if match and name:
            content = text[match.end() :].encode("utf-8", "surrogatepass")
            if len(content) > FILE_BYTES_MAX:
                raise _too_big(name)
            found[name] = content
    if not found:
        raise SubmissionRejected("The notebook has no cell that begins with `%%file server.mjs`.")
    return iter(found.items())
