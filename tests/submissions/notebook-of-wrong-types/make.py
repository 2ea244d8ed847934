import json
from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "s.ipynb").write_text(
        json.dumps({"cells": [{"cell_type": ["code"], "source": 5}, {"cell_type": "code", "source": [[1], {"a": 2}]}], "metadata": 7})
    )
