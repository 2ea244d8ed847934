from pathlib import Path


def make(place: Path, server: bytes) -> None:
    (place / "json-echo.ipynb").write_text('{"nbformat":4,"cells":[' + "{}," * 5_500_000 + "{}]}")
