from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    size = 64 * 1024 * 1024
    packed = zip_of(("server.mjs", bytes(size)))
    (place / "s.zip").write_bytes(packed.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little")))
