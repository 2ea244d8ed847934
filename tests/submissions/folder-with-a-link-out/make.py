from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    (place / "s" / "lib.mjs").symlink_to("/etc/passwd")
