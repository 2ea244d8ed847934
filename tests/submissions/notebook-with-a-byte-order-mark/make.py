from pathlib import Path

from tests.packing import notebook, server_cell


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text("\ufeff" + notebook(server_cell(server)))
