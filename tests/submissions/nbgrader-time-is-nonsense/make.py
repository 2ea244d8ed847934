from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "timestamp.txt").write_text("\x1b[2J yesterday, of course")
