"""Files that are written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

from grader.errors import SettingsError


def write_whole(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, making its folder; whatever happens, `path` holds the old bytes or the new ones.

    Raises SettingsError with what to do.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(prefix=".looplab-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # a full disk may say so only now
            os.chmod(beside, 0o666 & ~_umask())
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> SettingsError:
    advice = {
        errno.ENOSPC: "The disk is full. Make room, then run the same command again.",
        errno.EDQUOT: "Your quota of this disk is used up. Make room, then run the same command again.",
        errno.EACCES: "You may not write there. Choose another folder, or ask its owner.",
        errno.EPERM: "You may not write there. Choose another folder, or ask its owner.",
        errno.EROFS: "The disk is read-only. Choose another folder.",
        errno.ENOTDIR: "A part of this path is a file. Choose another folder, or move the file away.",
        errno.EEXIST: "A part of this path is a file. Choose another folder, or move the file away.",
        errno.EISDIR: "It is a folder. Move it away, then run the same command again.",
        errno.ENAMETOOLONG: "The name is too long. Choose another folder.",
    }.get(error.errno or 0, f"{error.strerror}.")
    return SettingsError(f"{path} cannot be written. {advice}")


def _umask() -> int:
    """The only way to read it is to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
