from pathlib import Path
from typing import Any

from tests.packing import tamper


def make(place: Path, server: bytes) -> None:
    def lie(content: dict[str, Any]) -> None:
        content["cells"] = []
        content["metadata"]["looplab"] = {"exercise": "\x1b[2J" + "x" * 1_000_000, "version": "\n" * 1000}

    tamper(place / "json-echo.ipynb", lie)
