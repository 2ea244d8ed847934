from pathlib import Path

from tests.packing import gz, pax, tar_entry


def make(place: Path, server: bytes) -> None:
    (place / "s.tar.gz").write_bytes(
        gz(
            tar_entry("server.mjs", server),
            pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize="1099511627776"),
            tar_entry("GNUSparseFile.0/a.mjs", b"0\n"),
        )
    )
