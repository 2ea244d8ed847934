from pathlib import Path

from tests.packing import notebook, server_cell


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text(notebook(server_cell(server), metadata={"a": float("nan"), "b": float("-inf")}))
