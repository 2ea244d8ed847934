from pathlib import Path

from tests.packing import gz, pax, tar_entry


def make(place: Path, server: bytes) -> None:
    (place / "s.tar.gz").write_bytes(gz(tar_entry("server.mjs", server), pax(path="../../escaped.mjs"), tar_entry("a.mjs", b"out")))
