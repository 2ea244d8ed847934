import zipfile
from pathlib import Path


def make(place: Path, server: bytes) -> None:
    with zipfile.ZipFile(place / "s.zip", "w") as archive:
        for n in range(70_000):
            archive.writestr(zipfile.ZipInfo(str(n)), b"")
