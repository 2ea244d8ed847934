from pathlib import Path

from tests.packing import zip_of


def make(place: Path, server: bytes) -> None:
    bomb = zip_of(("zeros", bytes(50_000_000)))
    (place / "s.zip").write_bytes(zip_of(("server.mjs", server), ("a.zip", zip_of(*[(f"{n}.zip", bomb) for n in range(10)]))))
