from pathlib import Path

from tests.packing import zeros_gz


def make(place: Path, server: bytes) -> None:
    (place / "s.tar.gz").write_bytes(zeros_gz(7))
