from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    (place / "s.zip").write_bytes(
        zip_of(("server.mjs", server))
        .replace(b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\1")
        .replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\1")
    )
