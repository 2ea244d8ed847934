from pathlib import Path


def make(place: Path, server: bytes) -> None:
    with (place / "submission_secret.txt").open("wb") as file:
        file.truncate(100_000_000)
