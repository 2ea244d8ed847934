"""The door: whatever is handed in becomes names and bytes, or a sentence for the learner. Nothing else ever comes of it."""

import io
import json
import os
import re
import tarfile
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grader.errors import SubmissionRejected
from grader.submission import Submission, read_submission
from grader.submission.rules import (
    ARCHIVE_BYTES_MAX,
    DEPTH_MAX,
    ENTRIES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    NAME_BYTES_MAX,
    NOTEBOOK_BYTES_MAX,
)

ENTRIES = ("server.mjs", "server.js")
SERVER = b"listen();\n"
RTL = "\u202e"
MIB = 1024 * 1024


def read(path: Path) -> Submission:
    return read_submission(path, ENTRIES)


def refusal(path: Path) -> str:
    with pytest.raises(SubmissionRejected) as caught:
        read(path)
    said = str(caught.value)
    assert said.isprintable(), said
    assert said.endswith((".", "?", "`."))
    return said


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "s"


def zip_of(root: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with exactly these names; one that ends in / is a folder."""
    path = root / "s.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def change_flags(path: Path, change: Callable[[int], int]) -> None:
    """Changes the general purpose flags of a zip's only entry, in both of its headers."""
    data = bytearray(path.read_bytes())
    for at in (6, data.index(b"PK\x01\x02") + 8):
        data[at : at + 2] = change(int.from_bytes(data[at : at + 2], "little")).to_bytes(2, "little")
    path.write_bytes(data)


def tar_of(root: Path, files: dict[str, bytes], style: int = tarfile.PAX_FORMAT) -> Path:
    path = root / "s.tar.gz"
    with tarfile.open(path, "w:gz", format=style) as archive:
        for name, data in files.items():
            archive.addfile(tar_item(name, size=len(data)), io.BytesIO(data))
    return path


def tar_item(name: str, **fields: Any) -> tarfile.TarInfo:
    item = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(item, field, value)
    return item


def raw_tar(root: Path, *blocks: bytes) -> Path:
    """A tar.gz of hand-made blocks."""
    packer = zlib.compressobj(wbits=31)
    path = root / "s.tgz"
    path.write_bytes(b"".join([*(packer.compress(block) for block in blocks), packer.flush()]))
    return path


def header(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """A header and its bytes, as a tar has them."""
    return tar_item(name, **{"size": len(data), **fields}).tobuf(tarfile.GNU_FORMAT) + data + b"\0" * (-len(data) % 512)


def notebook_of(root: Path, *sources: object, **more: object) -> Path:
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None} for source in sources]
    return notebook_text(root, json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}))


def notebook_text(root: Path, text: str | bytes) -> Path:
    path = root / "s.ipynb"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def notebook_with(root: Path, files: dict[str, bytes]) -> Path:
    return notebook_of(root, *(f"%%file {name}\n{data.decode()}" for name, data in files.items()))


Maker = Callable[[Path, dict[str, bytes]], Path]
ARCHIVES: list[Maker] = [zip_of, tar_of]
SOURCES: list[Maker] = [folder_of, zip_of, tar_of, notebook_with]


# ---- what is read


@pytest.mark.parametrize("make", SOURCES)
def test_every_source_gives_the_same_submission(tmp_path: Path, make: Maker) -> None:
    files = {"server.mjs": SERVER, "lib/größe.mjs": "größer\n".encode()}

    submission = read(make(tmp_path, files))

    assert submission.files == files
    assert submission.entry == "server.mjs"
    assert submission.digest == read(folder_of(tmp_path, files)).digest


def test_the_digest_tells_names_and_bytes_apart(tmp_path: Path) -> None:
    variants = [
        {"server.mjs": b"ab", "x": b"c"},
        {"server.mjs": b"a", "x": b"bc"},
        {"server.mjs": b"ab", "y": b"c"},
        {"server.mjs": b"abxc"},
    ]

    digests = {read(folder_of(tmp_path / str(n), files)).digest for n, files in enumerate(variants)}

    assert len(digests) == len(variants)


@pytest.mark.parametrize("name", ["server.mjs", "solution.mjs", "ex 1 (2).mjs"])
def test_a_single_file_is_the_server_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SERVER)

    assert read(tmp_path / name).files == {"server.mjs": SERVER}


@pytest.mark.parametrize("make", ARCHIVES)
def test_one_folder_around_everything_is_no_part_of_the_names(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, {"handed-in/server.mjs": SERVER, "handed-in/lib/a.mjs": b""})

    assert set(read(path).files) == {"server.mjs", "lib/a.mjs"}


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
def test_packages_and_hidden_files_are_passed_over(tmp_path: Path, make: Maker) -> None:
    unwanted = ["node_modules/express/index.js", ".env", ".git/config", "__MACOSX/server.mjs", "lib/.npmrc", "lib/node_modules/x.js"]

    path = make(tmp_path, {"server.mjs": SERVER, **dict.fromkeys(unwanted, b"x")})

    assert set(read(path).files) == {"server.mjs"}


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_keeps_its_long_names(tmp_path: Path, style: int) -> None:
    name = f"{'a' * 60}/{'b' * 60}.mjs"

    path = tar_of(tmp_path, {"server.mjs": SERVER, name: b"x"}, style)

    assert read(path).files[name] == b"x"


def test_a_zip_from_a_mac_keeps_its_names(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"größe.mjs": SERVER})
    change_flags(path, lambda flags: flags & ~0x800)  # macOS writes UTF-8 without saying so

    assert 'found "größe.mjs"' in refusal(path)


def test_a_hard_link_in_a_folder_is_the_file_that_it_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER})
    os.link(folder / "server.mjs", folder / "again.mjs")

    assert read(folder).files["again.mjs"] == SERVER


# ---- what is no submission at all


def test_a_place_where_nothing_is_says_so(tmp_path: Path) -> None:
    assert 'There is no file or folder "gone.zip"' in refusal(tmp_path / "gone.zip")
    assert "There is no file or folder" in refusal(tmp_path / "nul\0.zip")


@pytest.mark.parametrize("name", ["server.py", "s.rar", "README", "s.7z", "s.tar"])
def test_a_file_of_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SERVER)

    said = refusal(tmp_path / name)

    assert f'"{name}" is not something to submit' in said
    assert ".zip" in said


@pytest.mark.parametrize("name", ["server.mjs", "s.zip", "s.ipynb", "s.tar.gz"])
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    assert "neither a file nor a folder" in refusal(tmp_path / name)


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
def test_an_empty_submission_says_what_belongs_into_it(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "s").mkdir()

    said = refusal(make(tmp_path, {}))

    assert "empty" in said
    assert "server.mjs" in said


# ---- the entry


def test_a_missing_entry_names_what_was_looked_for_and_what_was_found(tmp_path: Path) -> None:
    said = refusal(folder_of(tmp_path, {"Server.mjs": SERVER, "notes.txt": b""}))

    assert "looked for server.mjs, server.js" in said
    assert '"Server.mjs", "notes.txt"' in said
    assert 'Rename "Server.mjs" to server.mjs?' in said


def test_the_first_of_several_entries_is_taken(tmp_path: Path) -> None:
    assert read(folder_of(tmp_path, {"server.js": b"", "server.mjs": SERVER})).entry == "server.mjs"


@pytest.mark.parametrize("main", ["src/app.js", "./src/app.js", "src//app.js"])
def test_main_of_package_json_is_an_entry(tmp_path: Path, main: str) -> None:
    folder = folder_of(tmp_path, {"package.json": json.dumps({"main": main}).encode(), "src/app.js": SERVER})

    assert read(folder).entry == "src/app.js"


@pytest.mark.parametrize("main", ["../../../etc/passwd", "/etc/passwd", "node_modules/x.js", "gone.js", "", ".", 5, None, ["a"], {"a": 1}])
def test_a_main_that_leads_elsewhere_is_no_entry(tmp_path: Path, main: object) -> None:
    folder = folder_of(tmp_path, {"package.json": json.dumps({"main": main}).encode(), "node_modules/x.js": SERVER})

    assert "There is no entry file" in refusal(folder)


@pytest.mark.parametrize("data", [b"[]", b'"main"', b"5", b"{", b"\xff", b"null", b"[" * 100_000, '{"main":1}'.encode("utf-16")])
def test_a_package_json_of_any_kind_does_no_harm(tmp_path: Path, data: bytes) -> None:
    assert "There is no entry file" in refusal(folder_of(tmp_path, {"package.json": data}))


@pytest.mark.parametrize("data", ["x".encode("utf-16"), b"\xfe\xff\0x", "x".encode("utf-32-le"), b"a\0b", b"\xe9t\xe9", b"\xed\xa0\x80"])
def test_an_entry_that_is_not_utf8_is_refused(tmp_path: Path, data: bytes) -> None:
    said = refusal(folder_of(tmp_path, {"server.mjs": data}))

    assert '"server.mjs"' in said
    assert "Save it as UTF-8" in said


# ---- names


@pytest.mark.parametrize("make", [*ARCHIVES, notebook_with])
@pytest.mark.parametrize(
    "name", ["../server.mjs", "a/../../server.mjs", "/etc/passwd", "C:/x.mjs", "c:x.mjs", "a\\b.mjs", "..\\x.mjs", "//x/y.mjs", "a/.."]
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, make: Maker, name: str) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, name: b"x"})

    assert "leads out of the submission" in refusal(path)


@pytest.mark.parametrize("name", ["a\\b.mjs", "C:x.mjs"])
def test_a_name_that_leads_out_elsewhere_is_refused_in_a_folder_too(tmp_path: Path, name: str) -> None:
    assert "leads out of the submission" in refusal(folder_of(tmp_path, {"server.mjs": SERVER, name: b""}))


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
@pytest.mark.parametrize(
    "name", ["a\x1b[31m.mjs", "a\nb.mjs", "a\x7f.mjs", f"a{RTL}sjm.exe", "a\u200b.mjs", "a\u2028.mjs", "a\x85.mjs", "a\ue000"]
)
def test_a_name_with_characters_that_cannot_be_seen_is_refused_and_shown_escaped(tmp_path: Path, make: Maker, name: str) -> None:
    said = refusal(make(tmp_path, {"server.mjs": SERVER, name: b""}))

    assert "characters that cannot be shown" in said
    assert "\\u" in said


def test_a_nul_in_a_name_does_not_end_it(tmp_path: Path) -> None:
    data = zip_of(tmp_path, {"server.mjsX.txt": SERVER}).read_bytes().replace(b"mjsX", b"mjs\0")
    (tmp_path / "s.zip").write_bytes(data)

    assert "characters that cannot be shown" in refusal(tmp_path / "s.zip")


def test_a_name_in_a_folder_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER})
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mjs")).write_bytes(b"")

    assert "not UTF-8" in refusal(folder)


def test_a_name_in_a_zip_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    data = zip_of(tmp_path, {"server.mjs": SERVER, "cafX.mjs": b""}).read_bytes().replace(b"cafX", b"caf\xe9")
    (tmp_path / "s.zip").write_bytes(data)

    assert "not UTF-8" in refusal(tmp_path / "s.zip")


def test_a_name_in_a_tar_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = raw_tar(tmp_path, header("server.mjs", SERVER), header("caf\udce9.mjs"))

    assert "cannot be shown" in refusal(path)


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
@pytest.mark.parametrize("pair", [("lib/a.mjs", "lib/A.mjs"), ("straße.mjs", "STRASSE.mjs"), ("caf\u00e9.mjs", "cafe\u0301.mjs")])
def test_names_that_are_one_on_another_computer_are_refused(tmp_path: Path, make: Maker, pair: tuple[str, str]) -> None:
    said = refusal(make(tmp_path, {"server.mjs": SERVER, pair[0]: b"1", pair[1]: b"2"}))

    assert "differ only in case or in how an accent is written" in said
    assert pair[0] in said
    assert pair[1] in said


@pytest.mark.parametrize("make", [*ARCHIVES, notebook_with])
def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, "lib/x/y.mjs": b"1", "lib": b"2"})

    assert '"lib" is a file and a folder at once' in refusal(path)


@pytest.mark.parametrize("make", [*ARCHIVES, notebook_with])
@pytest.mark.parametrize("name", [".", "./"])
def test_a_name_that_names_nothing_is_passed_over(tmp_path: Path, make: Maker, name: str) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, name: b""})

    assert set(read(path).files) == {"server.mjs"}


def test_a_zip_entry_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": SERVER, "": b"x"})

    assert set(read(path).files) == {"server.mjs"}


@pytest.mark.parametrize("make", [*ARCHIVES, notebook_with])
@pytest.mark.parametrize("name", ["a" * (NAME_BYTES_MAX + 1), "é" * (NAME_BYTES_MAX // 2 + 1), "a/" * DEPTH_MAX + "b.mjs"])
def test_a_name_that_is_too_long_or_too_deep_is_refused(tmp_path: Path, make: Maker, name: str) -> None:
    said = refusal(make(tmp_path, {"server.mjs": SERVER, name: b""}))

    assert "too long or too deep" in said
    assert str(DEPTH_MAX) in said


def test_a_folder_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER, "a/" * 60 + "b.mjs": b""})

    assert "too long or too deep" in refusal(folder)


# ---- what is no plain file


@pytest.mark.parametrize("target", ["/etc/passwd", "server.mjs", "gone", "."])
def test_a_symbolic_link_in_a_folder_is_refused(tmp_path: Path, target: str) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER})
    (folder / "lib.mjs").symlink_to(target)

    assert '"lib.mjs" is a symbolic link' in refusal(folder)


def test_a_pipe_in_a_folder_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER})
    os.mkfifo(folder / "pipe.mjs")

    assert '"pipe.mjs" is neither a file nor a folder' in refusal(folder)


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("lib.mjs")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("server.mjs", SERVER)
        archive.writestr(link, "/etc/passwd")

    assert '"lib.mjs" is a symbolic link' in refusal(tmp_path / "s.zip")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_anything_but_files_and_folders_in_a_tar_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = raw_tar(tmp_path, header("server.mjs", SERVER), header("lib.mjs", type=kind, linkname="/etc/passwd"))

    assert '"lib.mjs" is not a plain file' in refusal(path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, {"server.mjs": SERVER, "secret/a.mjs": b""})
    opening = os.open

    def refuse(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "secret":
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)  # as root, no folder refuses by itself
    assert '"secret/" cannot be read: Permission denied' in refusal(folder)


# ---- too much


@pytest.mark.parametrize("make", SOURCES)
def test_a_file_that_is_too_big_is_named(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, "data.json": b"x" * (FILE_BYTES_MAX + 1)})

    assert '"data.json" is larger than 1 MiB' in refusal(path)


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
def test_a_submission_that_is_too_big_altogether_is_refused(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, **{f"{n}.json": b"x" * FILE_BYTES_MAX for n in range(5)}})

    assert "larger than 4 MiB" in refusal(path)


@pytest.mark.parametrize("name", ["server.mjs", "s.zip", "s.tar.gz", "s.ipynb", "s/data.bin"])
def test_a_sparse_file_of_a_gigabyte_is_refused_without_reading_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    with (tmp_path / name).open("wb") as file:
        file.truncate(1024 * MIB)

    assert "larger than" in refusal(tmp_path / name.removesuffix("/data.bin"))


@pytest.mark.parametrize("make", SOURCES)
def test_too_many_files_are_refused(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, {"server.mjs": SERVER, **{f"{n}.mjs": b"" for n in range(FILES_MAX)}})

    assert f"more than {FILES_MAX} files" in refusal(path)


@pytest.mark.parametrize("make", [folder_of, *ARCHIVES])
def test_too_many_entries_are_refused_even_where_they_are_passed_over(tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.submission.rules.ENTRIES_MAX", 100)
    path = make(tmp_path, {"server.mjs": SERVER, **{f".{n}": b"" for n in range(100)}})

    assert "more than 100 entries" in refusal(path)


# ---- hostile zips


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": b"\0" * 16 * MIB})

    assert path.stat().st_size < ARCHIVE_BYTES_MAX
    assert '"server.mjs" is larger than 1 MiB' in refusal(path)


def test_a_zip_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": b"\0" * 8 * MIB})
    path.write_bytes(path.read_bytes().replace((8 * MIB).to_bytes(4, "little"), (10).to_bytes(4, "little")))

    assert "damaged" in refusal(path)


def test_a_zip_bomb_of_many_files_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {f"{n}.mjs": b"\0" * FILE_BYTES_MAX for n in range(20)})

    assert "larger than 4 MiB" in refusal(path)


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": SERVER})
    change_flags(path, lambda flags: flags | 1)

    assert "encrypted" in refusal(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_of_an_unusual_method_is_refused(tmp_path: Path, method: int) -> None:
    path = zip_of(tmp_path, {"server.mjs": SERVER}, method)

    assert "Make an ordinary zip" in refusal(path)


def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": SERVER})
    path.write_bytes(path.read_bytes()[:-30])

    assert "damaged" in refusal(path)


def test_a_zip_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"server.mjs": SERVER}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(SERVER, SERVER.upper()))

    assert "damaged" in refusal(path)


# ---- hostile tars


def test_a_tar_bomb_is_refused(tmp_path: Path) -> None:
    path = raw_tar(tmp_path, header("server.mjs", SERVER), *[b"\0" * MIB] * 16)

    assert path.stat().st_size < ARCHIVE_BYTES_MAX
    assert "unpacks to more than 8 MiB" in refusal(path)


@pytest.mark.parametrize(
    "records",
    [
        b"1" * 4 * MIB,  # tarfile searches such a header in quadratic time (CVE-2024-6232)
        b"5 a=\n" * 100_000 + b"junk",
        b"99999999 path=x\n",
        b"0 path=x\n",
        b"-1 path=x\n",
        b" path=x\n",
        b"11 path=\xff\xff\n",
    ],
    ids=["digits", "many", "long", "zero", "negative", "none", "latin"],
)
def test_a_hostile_pax_header_is_refused(tmp_path: Path, records: bytes) -> None:
    path = raw_tar(tmp_path, header("pax", records, type=tarfile.XHDTYPE), header("server.mjs", SERVER))

    assert "damaged" in refusal(path)


def test_a_name_in_a_pax_header_obeys_the_same_rules(tmp_path: Path) -> None:
    path = raw_tar(tmp_path, header("pax", b"21 path=../../passwd\n", type=tarfile.XHDTYPE), header("a", SERVER))

    assert "leads out" in refusal(path)


def test_headers_upon_headers_are_walked_without_recursion(tmp_path: Path) -> None:
    path = raw_tar(tmp_path, header("pax", b"5 a=\n", type=tarfile.XHDTYPE) * 5000, header("server.mjs", SERVER))

    assert set(read(path).files) == {"server.mjs"}


@pytest.mark.parametrize("size", [-1, -1024, 2**40, 2**62])
@pytest.mark.parametrize("name", ["server.mjs", ".ignored"])
def test_a_tar_entry_of_an_impossible_size_is_refused_at_once(tmp_path: Path, size: int, name: str) -> None:
    path = raw_tar(tmp_path, header(name, size=size), header("server.mjs", SERVER))

    assert "cut off" in refusal(path)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"PK\x03\x04", b"server.mjs" * 100])
def test_a_tar_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.tgz").write_bytes(data)

    assert "damaged" in refusal(tmp_path / "s.tgz")


def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path, {"server.mjs": os.urandom(4096)})
    path.write_bytes(path.read_bytes()[:-100])

    assert "cut off" in refusal(path)


# ---- notebooks


def test_a_file_is_what_its_last_cell_says(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, "%%file server.mjs\nold\n", "1 + 1", ["%%writefile server.mjs\n", "new\n"])

    assert read(path).files == {"server.mjs": b"new\n"}


def test_outputs_and_other_cells_are_never_looked_at(tmp_path: Path) -> None:
    text = "%%file server.mjs\nx"
    cells: list[object] = [
        {"cell_type": "markdown", "source": "%%file evil.mjs\nx"},
        {"cell_type": "raw", "source": "%%file evil.mjs\nx"},
        {"cell_type": "code", "source": "# %%file evil.mjs\nx"},
        {"cell_type": "code", "source": text, "outputs": [{"text": "%%file evil.mjs\n" * 1000}], "metadata": {"id": "a", "x": text}},
    ]

    assert set(read(notebook_text(tmp_path, json.dumps({"cells": cells}))).files) == {"server.mjs"}


@pytest.mark.parametrize(
    "source", [None, 5, {}, [5, None, {}], [["%%file server.mjs\n"]], "", "%%file", "%%file server.mjs", "%%file a b\nx"]
)
def test_a_cell_of_an_odd_shape_holds_no_file(tmp_path: Path, source: object) -> None:
    assert "no cell that begins with `%%file server.mjs`" in refusal(notebook_of(tmp_path, source))


@pytest.mark.parametrize("text", ["", "{", "print(1)", b"\xff\xfe\xff", b"PK\x03\x04", "[" * 200_000, '{"cells":' * 100_000, "1" * 10_000])
def test_a_notebook_that_is_not_json_is_refused(tmp_path: Path, text: str | bytes) -> None:
    assert re.search("not valid JSON|UTF-16|not a notebook of format 4", refusal(notebook_text(tmp_path, text)))


@pytest.mark.parametrize(
    "text", ["[]", "null", '"cells"', "5", "{}", '{"cells":{}}', '{"worksheets":[]}', '{"cells":null}', '{"cells":"ab"}']
)
def test_json_without_cells_is_no_notebook(tmp_path: Path, text: str) -> None:
    assert "not a notebook of format 4" in refusal(notebook_text(tmp_path, text))


@pytest.mark.parametrize("cell", ["null", "5", '"%%file server.mjs"', "[]", "{}", '{"cell_type":["code"]}', '{"cell_type":"code"}'])
def test_cells_of_wrong_types_hold_no_file(tmp_path: Path, cell: str) -> None:
    assert re.search("no cell that begins with|not a notebook of format 4", refusal(notebook_text(tmp_path, f'{{"cells":[{cell}]}}')))


def test_a_notebook_of_too_many_cells_is_refused(tmp_path: Path) -> None:
    cell = '{"cell_type":"raw"}'

    assert f"more than {ENTRIES_MAX} cells" in refusal(notebook_text(tmp_path, f'{{"cells":[{f"{cell}," * 100_000}{cell}]}}'))


def test_a_notebook_with_a_huge_output_is_refused(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, "%%file server.mjs\nx", metadata={"output": "x" * NOTEBOOK_BYTES_MAX})

    assert '"s.ipynb" is larger than 16 MiB' in refusal(path)
    assert "Clear Outputs of All Cells" in refusal(path)


def test_of_a_lesson_only_the_exercises_own_files_are_taken(tmp_path: Path) -> None:
    cells = ["%%file demo.mjs\nd", "%%file json-echo/server.mjs\nold", "%%file json-echo/lib/a.mjs\na", "%%file other/server.mjs\no"]
    path = notebook_of(tmp_path, *cells, "%%file ./json-echo/server.mjs\nnew", "%%file /tmp/scratch.mjs\ns")

    submission = read_submission(path, ENTRIES, "json-echo")

    assert submission.files == {"server.mjs": b"new", "lib/a.mjs": b"a"}


def test_a_notebook_without_a_folder_for_the_exercise_is_taken_whole(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, "%%file server.mjs\nx", "%%file json-echo\ny", "%%file json-echos/a.mjs\nz")

    submission = read_submission(path, ENTRIES, "json-echo")

    assert submission.files == {"server.mjs": b"x", "json-echo": b"y", "json-echos/a.mjs": b"z"}


@pytest.mark.parametrize("name", ["json-echo/../server.mjs", "json-echo/../../server.mjs", "json-echo/a\\b.mjs"])
def test_a_name_below_the_exercise_may_not_lead_out_of_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(SubmissionRejected, match="leads out of the submission"):
        read_submission(notebook_of(tmp_path, f"%%file {name}\nx"), ENTRIES, "json-echo")


def test_half_a_surrogate_pair_in_a_cell_is_not_utf8(tmp_path: Path) -> None:
    assert "holds half a character" in refusal(notebook_of(tmp_path, "%%file server.mjs\n\ud800"))


# ---- anything at all


def outcome(path: Path) -> Submission | str:
    try:
        return read(path)
    except SubmissionRejected as refused:
        return str(refused)


def survives(path: Path) -> None:
    """Either a submission that fits every rule, or a sentence."""
    submission = outcome(path)
    if isinstance(submission, str):
        assert submission.isprintable()
        return
    assert submission.entry in submission.files
    for name in submission.files:
        parts = name.split("/")
        assert not {unicodedata.category(c) for c in name} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        assert not {"", ".", ".."} & set(parts)
        assert len(parts) <= DEPTH_MAX
        assert len(name.encode()) <= NAME_BYTES_MAX


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


NAMES = st.text(max_size=30) | st.lists(st.sampled_from(["a", "A", ".", "..", "", "é", "e\u0301", RTL, "\0", "C:", "\\"]), max_size=6).map(
    "/".join
)


@given(names=st.lists(NAMES, max_size=4))
def test_names_of_any_kind_in_a_zip_do_no_harm(place: Path, names: list[str]) -> None:
    usable = [name for name in names if name.isascii() or "\0" not in name]
    survives(zip_of(place, {"server.mjs": SERVER, **{name.encode("utf-8", "replace").decode(): b"x" for name in usable}}))


@given(names=st.lists(NAMES, max_size=4), style=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_names_of_any_kind_in_a_tar_do_no_harm(place: Path, names: list[str], style: int) -> None:
    survives(tar_of(place, {"server.mjs": SERVER, **dict.fromkeys(names, b"x")}, style))


@given(suffix=st.sampled_from([".zip", ".tgz", ".ipynb", ".mjs"]), data=st.binary(max_size=600))
def test_files_of_any_bytes_do_no_harm(place: Path, suffix: str, data: bytes) -> None:
    path = place / f"s{suffix}"
    path.write_bytes(data)

    survives(path)


@given(data=st.binary(max_size=1200))
def test_a_tar_of_any_bytes_does_no_harm(place: Path, data: bytes) -> None:
    survives(raw_tar(place, header("server.mjs", SERVER), data))
    survives(raw_tar(place, header("pax", data, type=tarfile.XHDTYPE), header("server.mjs", SERVER)))


CHANGES = st.lists(
    st.tuples(st.integers(0, 5000), st.sampled_from([b"\0", b"\x01", b"\xff", b"\xff" * 8, b"/", b"\x0e", b"PK"])), max_size=5
)


@given(changes=CHANGES, method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
@example(changes=[(0, b"PK\x05\x06" + b"\xff" * 18)], method=zipfile.ZIP_STORED)
def test_a_zip_that_was_tampered_with_does_no_harm(place: Path, changes: list[tuple[int, bytes]], method: int) -> None:
    path = zip_of(place, {"server.mjs": SERVER * 20, "lib/": b"", "lib/größe.mjs": b"x" * 300, ".env": b""}, method)
    data = bytearray(path.read_bytes())
    for at, new in changes:
        at %= len(data)
        data[at : at + len(new)] = new
    path.write_bytes(data)

    survives(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("%%file server.mjs\nx") | st.just("code"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["cells", "cell_type", "source", "metadata"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_notebook_of_any_json_does_no_harm(place: Path, value: object) -> None:
    survives(notebook_text(place, json.dumps(value)))
    survives(notebook_text(place, json.dumps({"cells": value})))
    survives(notebook_text(place, json.dumps({"cells": [{"cell_type": "code", "source": value}]})))


@given(NAMES)
def test_a_notebook_file_of_any_name_does_no_harm(place: Path, name: str) -> None:
    survives(notebook_of(place, f"%%file {name}\nx", "%%file server.mjs\nx"))
