from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    (place / "s.zip").write_bytes(zip_of(("server.mjs", server), ("lib", b"1"), ("lib/a.mjs", b"2")))
