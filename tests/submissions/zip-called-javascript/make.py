from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    (place / "server.mjs").write_bytes(zip_of(("server.mjs", server)))
