"""Archives and notebooks as no honest tool would make them: for the make.py of tests/submissions."""

import json
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes], mode: int = 0) -> bytes:
    """A zip with exactly these names. `mode`: Unix mode of the last entry, such as 0o120777 for a link."""
    packed = BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "w") as archive:  # of the same name twice
        for n, (name, data) in enumerate(entries):
            item = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            if mode and n == len(entries) - 1:
                item.create_system, item.external_attr = 3, mode << 16
            archive.writestr(item, data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def overlapping_zip(names: list[str], kernel: bytes) -> bytes:
    """Each entry's data holds the header of the next one and all of its data (D. Fifield, "A better zip bomb", 2019)."""
    packer = zlib.compressobj(9, wbits=-15)
    stream, data = packer.compress(kernel) + packer.flush(), kernel
    entries: list[tuple[str, bytes, int]] = []
    for name in reversed(names):
        known = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, zlib.crc32(data), len(stream), len(data), len(name), 0)
        local = b"PK\x03\x04" + known + name.encode()
        entries.insert(0, (name, known, len(local)))
        whole = local + stream
        stream = b"\0" + struct.pack("<HH", len(local), len(local) ^ 0xFFFF) + local + stream  # a stored block that quotes the header
        data = local + data
    central, at = b"", 0
    for name, known, size in entries:
        central += b"PK\x01\x02" + struct.pack("<H", 20) + known + struct.pack("<HHHII", 0, 0, 0, 0, at) + name.encode()
        at += size + 5
    return whole + central + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(names), len(names), len(central), len(whole), 0)


def tar_entry(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """A header of GNU tar and its bytes."""
    item = tarfile.TarInfo(name)
    for field, value in {"size": len(data), **fields}.items():
        setattr(item, field, value)
    return item.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data + b"\0" * (-len(data) % 512)


def pax(**records: str) -> bytes:
    """An extended header for the next entry; `_` in a key stands for `.`."""
    lines = b""
    for key, value in records.items():
        rest = f" {key.replace('_', '.')}={value}\n".encode()
        size = len(rest) + len(str(len(rest) + 3))
        lines += str(size).encode() + rest
    return tar_entry("pax", lines, type=tarfile.XHDTYPE)


def gz(*blocks: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(block) for block in blocks), packer.flush()])


def zeros_gz(gigabytes: int) -> bytes:
    """A gzip of that many zeros, made of one piece again and again. Its checksum is wrong; nobody gets that far."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + piece * (16 * gigabytes) + b"\x03\0" + bytes(8)


def code(source: object, **more: object) -> dict[str, object]:
    return {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": source, **more}


def notebook(*cells: object, **more: object) -> str:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more})


def server_cell(server: bytes, **more: object) -> dict[str, object]:
    return code(f"%%file json-echo/server.mjs\n{server.decode()}", **more)


def tamper(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a notebook as its learner might."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
