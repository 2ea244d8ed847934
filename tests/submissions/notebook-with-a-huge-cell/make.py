from pathlib import Path

from tests.packing import code, notebook, server_cell


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text(notebook(server_cell(server), code(["ab"] * 1_300_000)))
