from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "eve").mkdir(mode=0)
