import struct
from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    long, short = zip_of(("a" * 60_000, server)), zip_of(("server.mjs", server))
    files, index = long[: long.index(b"PK\x01\x02")], short[short.index(b"PK\x01\x02") :]
    (place / "s.zip").write_bytes(files + index[:-6] + struct.pack("<IH", len(files), 0))
