from pathlib import Path
from typing import Any

from tests.packing import tamper


def make(place: Path, server: bytes) -> None:
    def lead_out(content: dict[str, Any]) -> None:
        for cell in content["cells"]:
            if "%%file" in str(cell["source"]):
                cell["source"] = "%%file ../../../escaped.mjs\nout"

    tamper(place / "json-echo.ipynb", lead_out)
