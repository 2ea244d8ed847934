from pathlib import Path

from tests.packing import notebook, server_cell


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text(notebook(server_cell(b"process.exit(0);", id="a"), server_cell(server, id="a")))
