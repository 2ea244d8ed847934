from pathlib import Path

from tests.packing import overlapping_zip


def make(place: Path, server: bytes) -> None:
    (place / "s.zip").write_bytes(overlapping_zip([f"{n:02}.mjs" for n in range(20)], bytes(900_000)))
