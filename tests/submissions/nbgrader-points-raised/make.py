from pathlib import Path
from typing import Any

from tests.packing import tamper


def make(place: Path, server: bytes) -> None:
    def raise_points(content: dict[str, Any]) -> None:
        for cell in content["cells"]:
            about = cell["metadata"].get("nbgrader")
            if about and about["grade"]:
                about |= {"points": 1000, "locked": False}
                cell["source"] = "%check json-echo --task 1\nprocess.exit(0);"
                cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"text/html": "<b>1000 of 1000 points</b>"}}]

    tamper(place / "json-echo.ipynb", raise_points)
