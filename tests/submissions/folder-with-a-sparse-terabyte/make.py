from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    with (place / "s" / "data.mjs").open("wb") as file:
        file.truncate(10**12)
