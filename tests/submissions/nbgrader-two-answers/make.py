from pathlib import Path

from tests.packing import tamper


def make(place: Path, server: bytes) -> None:
    tamper(
        place / "json-echo.ipynb",
        lambda content: content["cells"].extend([{**cell, "source": "other"} for cell in content["cells"] if cell["cell_type"] == "code"]),
    )
