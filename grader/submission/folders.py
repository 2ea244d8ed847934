"""Submissions that are a folder or one file. Nothing is followed, and nothing is waited for."""

import os
from collections.abc import Iterator
from pathlib import Path

from grader.errors import SubmissionRejected
from grader.submission import rules
from grader.submission.rules import FILE_BYTES_MAX, checked_name, mib, shown, too_big


def file_bytes(path: Path, name: str, limit: int) -> bytes:
    """Reads a regular file without following a link or waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionRejected(f"{shown(name)} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > limit:
            raise SubmissionRejected(f"{shown(name)} is larger than {mib(limit)}. Submit only what you wrote.")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise SubmissionRejected(f"{shown(name)} is larger than {mib(limit)}. Submit only what you wrote.")
    return data


def from_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    seen = 0
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(os.fsencode(root / prefix)) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            raise SubmissionRejected(f"{shown(prefix or root.name)} cannot be read: {error.strerror}.") from None
        for item in items:
            seen += 1
            if seen > rules.ENTRIES_MAX:
                raise SubmissionRejected(f"The folder has more than {rules.ENTRIES_MAX} entries. Submit only what you wrote.")
            try:
                raw = prefix + item.name.decode("utf-8")
            except UnicodeDecodeError:
                raise SubmissionRejected(f"A file name is not UTF-8: {item.name!r}. Rename the file.") from None
            name = checked_name(raw)
            if name is None:
                continue
            if item.is_symlink():
                raise SubmissionRejected(f"{shown(raw)} is a symbolic link. Put the file itself there.")
            if item.is_dir(follow_symlinks=False):
                pending.append(f"{raw}/")
            elif item.is_file(follow_symlinks=False):
                yield name, _nofollow_bytes(root / raw, raw)
            else:
                raise SubmissionRejected(f"{shown(raw)} is neither a file nor a folder. Remove it.")


def _nofollow_bytes(path: Path, name: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionRejected(f"{shown(name)} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > FILE_BYTES_MAX:
            raise too_big(name)
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise too_big(name)
    return data
