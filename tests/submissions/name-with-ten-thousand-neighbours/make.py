from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "eve").mkdir()
    for n in range(10_000):
        (place / "eve" / f"{n}.txt").touch()
