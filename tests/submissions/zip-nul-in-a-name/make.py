from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    (place / "s.zip").write_bytes(zip_of(("server.mjs", server), ("libX.txt.mjs", b"")).replace(b"libX", b"lib\0"))
