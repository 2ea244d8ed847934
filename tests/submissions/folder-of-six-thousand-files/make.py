from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    for n in range(6000):
        (place / "s" / f".{n}").touch()
