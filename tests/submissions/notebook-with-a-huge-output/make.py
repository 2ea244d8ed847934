from pathlib import Path

from tests.packing import notebook, server_cell


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text(
        notebook(server_cell(server, outputs=[{"output_type": "stream", "name": "stdout", "text": "x" * 20_000_000}]))
    )
