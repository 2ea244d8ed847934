import socket
from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "s" / "lib.mjs"))
