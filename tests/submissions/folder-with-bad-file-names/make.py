from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s").mkdir()
    (place / "s" / "server.mjs").write_bytes(server)
    for name in ("<img src=x onerror=alert(1)>.mjs", "=cmd()|'x'!A1.mjs", "-rf", "--json", "$(touch escaped)", "%s%n.mjs"):
        (place / "s" / name).write_bytes(b"")
