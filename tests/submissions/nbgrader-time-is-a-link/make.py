from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "timestamp.txt").unlink()
    (place / "timestamp.txt").symlink_to("/etc/hostname")
