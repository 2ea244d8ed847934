from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "eve").symlink_to("ada")
