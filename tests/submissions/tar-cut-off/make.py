from pathlib import Path

from tests.packing import gz, tar_entry


def make(place: Path, server: bytes) -> None:
    (place / "s.tar.gz").write_bytes(gz(tar_entry("server.mjs", server), tar_entry("a.mjs", bytes(range(256)) * 40))[:-60])
