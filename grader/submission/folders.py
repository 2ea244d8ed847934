"""Submissions that are a folder or one file. Nothing is followed, and nothing is waited for."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from grader.errors import SubmissionRejected
from grader.submission import rules
from grader.submission.rules import FILE_BYTES_MAX, checked_name, mib, shown, too_big


def file_bytes(path: Path, name: str, limit: int) -> bytes:
    """Reads a regular file without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_be_read(name, error) from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > limit:
            raise SubmissionRejected(f"{shown(name)} is larger than {mib(limit)}. Submit only what you wrote.")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SubmissionRejected(f"{shown(name)} is larger than {mib(limit)}. Submit only what you wrote.")
    return data


def from_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every folder and file is opened below the one before it, without following a link, even one that was put there just now."""
    seen = 0
    pending = [""]
    while pending:
        prefix = pending.pop()
        with _opened(root, prefix, os.O_DIRECTORY) as folder:
            with os.scandir(folder) as listing:
                items = sorted(islice(listing, rules.ENTRIES_MAX + 1 - seen), key=lambda item: item.name)
            seen += len(items)
            if seen > rules.ENTRIES_MAX:
                raise SubmissionRejected(f"The folder has more than {rules.ENTRIES_MAX} entries. Submit only what you wrote.")
            for item in items:
                raw = prefix + item.name
                if not item.name.isprintable() and any("\udc80" <= c <= "\udcff" for c in item.name):
                    raise SubmissionRejected(f"A file name is not UTF-8: {os.fsencode(item.name)!r}. Rename the file.")
                name = checked_name(raw)
                if name is None:
                    continue
                if item.is_symlink():
                    raise SubmissionRejected(f"{shown(raw)} is a symbolic link. Put the file itself there.")
                if item.is_dir(follow_symlinks=False):
                    pending.append(f"{raw}/")
                elif item.is_file(follow_symlinks=False):
                    yield name, _bytes_in(folder, item.name, raw)
                else:
                    raise SubmissionRejected(f"{shown(raw)} is neither a file nor a folder. Remove it.")


@contextmanager
def _opened(root: Path, prefix: str, flags: int) -> Iterator[int]:
    """A descriptor of the folder `prefix` ("" or "a/b/") below `root`."""
    with ExitStack() as opened:
        descriptor = None
        for part in [os.fspath(root), *prefix.split("/")[:-1]]:
            nofollow = 0 if descriptor is None else os.O_NOFOLLOW
            try:
                descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC | nofollow | flags, dir_fd=descriptor)
            except OSError as error:
                raise cannot_be_read(prefix or root.name, error) from None
            opened.callback(os.close, descriptor)
        assert descriptor is not None
        yield descriptor


def _bytes_in(folder: int, name: str, shown_name: str) -> bytes:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise cannot_be_read(shown_name, error) from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > FILE_BYTES_MAX:
            raise too_big(shown_name)
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise too_big(shown_name)
    return data


def cannot_be_read(name: str, error: OSError) -> SubmissionRejected:
    """A sentence with what to do; the folder may be swapped for a link while it is read, or be closed to us."""
    why = {errno.ELOOP: "it is a symbolic link", errno.ENOTDIR: "it is no folder"}.get(error.errno or 0, error.strerror)
    return SubmissionRejected(f"{shown(name)} cannot be read: {why}. Make it a plain file or folder that may be read.")
