from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    (place / "s.zip").write_bytes(zip_of(("server.mjs", server), ("\x1b[2J\x1b]0;owned\x07", b"")))
