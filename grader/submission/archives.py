"""Submissions that are a zip or a tar.gz. No library unpacks them, and they are as hostile as their maker likes."""

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from grader.errors import SubmissionRejected
from grader.submission import rules
from grader.submission.rules import (
    ARCHIVE_BYTES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    TOTAL_BYTES_MAX,
    checked_name,
    damaged,
    mib,
    shown,
    too_big,
)

NO_FILE = {stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK}


def _bounded(stream: IO[bytes], name: str) -> bytes:
    data = stream.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise too_big(name)
    return data


def _without_common_folder(found: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """An archive often holds one folder that holds everything: that folder is not part of the names."""
    tops = {name.split("/", 1)[0] for name, _ in found}
    if len(tops) == 1 and all("/" in name for name, _ in found):
        return iter([(name.split("/", 1)[1], data) for name, data in found])
    return iter(found)


def from_zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    total = 0
    if data.count(b"PK\x01\x02") > rules.ENTRIES_MAX:  # headers of entries: counted before a library builds an object for each
        raise SubmissionRejected(f"The archive has more than {rules.ENTRIES_MAX} entries. Submit only what you wrote.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for item in archive.infolist():
                name = checked_name(_zip_name(item))
                if name is None or item.filename.endswith("/"):
                    continue
                mode = item.external_attr >> 16  # as Unix writes it; others leave it 0
                if stat.S_ISLNK(mode):
                    raise SubmissionRejected(f"{shown(name)} is a symbolic link. Put the file itself into the archive.")
                if stat.S_IFMT(mode) in NO_FILE:
                    raise SubmissionRejected(f"{shown(name)} is not a plain file. Put only files and folders into the archive.")
                if item.flag_bits & 1:
                    raise SubmissionRejected("The archive is encrypted. Submit one without a password.")
                if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise SubmissionRejected("The archive is packed in an unusual way. Make an ordinary zip.")
                if item.file_size > FILE_BYTES_MAX:
                    raise too_big(name)
                with archive.open(item) as stream:
                    content = _bounded(stream, name)
                total += len(content)
                found.append((name, content))
                if total > TOTAL_BYTES_MAX or len(found) > FILES_MAX:
                    break  # collect words the refusal
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise damaged(error) from None
    return _without_common_folder(found)


def _zip_name(item: zipfile.ZipInfo) -> str:
    if item.flag_bits & 0x800 or item.orig_filename.isascii():
        return item.orig_filename.rstrip("/")
    try:  # macOS writes UTF-8 without saying so
        return item.orig_filename.encode("cp437").decode("utf-8").rstrip("/")
    except UnicodeError:
        raise SubmissionRejected(f"A file name in the archive is not UTF-8: {shown(item.orig_filename)}. Rename the file.") from None


def from_tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Walks the headers itself: tarfile's own reader recurses, seeks and backtracks as far as a hostile header tells it to."""
    found: list[tuple[str, bytes]] = []
    entries, long_name = 0, ""
    try:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        raw = unpacker.decompress(data, ARCHIVE_BYTES_MAX + 1)
        if len(raw) > ARCHIVE_BYTES_MAX:
            raise SubmissionRejected(f"The archive unpacks to more than {mib(ARCHIVE_BYTES_MAX)}. Submit only what you wrote.")
        if not unpacker.eof:
            raise EOFError("it is cut off")
        for item, content in _tar_items(raw):
            if item.type == tarfile.GNUTYPE_LONGNAME:
                long_name = content.rstrip(b"\0").decode()
            elif item.type == tarfile.XHDTYPE:
                long_name = _pax_path(content) or long_name
            elif item.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
                entries += 1
                if entries > rules.ENTRIES_MAX:
                    raise SubmissionRejected(f"The archive has more than {rules.ENTRIES_MAX} entries. Submit only what you wrote.")
                name, long_name = checked_name((long_name or item.name).rstrip("/")), ""
                if name is None or item.isdir():
                    continue
                if item.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    raise SubmissionRejected(f"{shown(name)} is not a plain file. Put only files and folders into the archive.")
                if len(content) > FILE_BYTES_MAX:
                    raise too_big(name)
                found.append((name, content))
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise damaged(error) from None
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
            raise tarfile.ReadError(f"{shown(item.name)} is cut off")
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
        if key.startswith(b"GNU.sparse."):
            raise tarfile.ReadError("a file in it is sparse; make the archive without --sparse")
        if key == b"path":
            path = value.decode()
        at += int(digits)
    return path
