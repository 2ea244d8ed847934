"""%%file: a cell becomes a file, whole or not at all."""

import pytest

from tests.kernel.magics.cells import PlainCell, fails, run


def test_a_cell_becomes_a_file_with_a_line_end(cell: PlainCell) -> None:
    run(cell, "%%file demo/deep/greet.mjs\nexport const hello = 'größe';\n\nhello;")

    assert (cell.cwd / "demo/deep/greet.mjs").read_text("utf-8") == "export const hello = 'größe';\n\nhello;\n"
    assert cell.out == "Wrote demo/deep/greet.mjs (3 lines, 40 bytes).\n"


def test_it_says_whether_something_changed(cell: PlainCell) -> None:
    run(cell, "%%file a.mjs\n1", "%%file a.mjs\n1\n", "%%file a.mjs\n2")

    assert [line.split(" (")[0] for line in cell.out.splitlines()] == ["Wrote a.mjs", "a.mjs has not changed", "Changed a.mjs"]


def test_names_with_spaces_are_quoted(cell: PlainCell) -> None:
    run(cell, "%%file 'my file.txt'\nx")

    assert (cell.cwd / "my file.txt").read_text() == "x\n"


def test_an_empty_cell_is_an_empty_file(cell: PlainCell) -> None:
    run(cell, "%%file empty.txt")

    assert (cell.cwd / "empty.txt").read_bytes() == b""


@pytest.mark.parametrize("name", ["folder", "folder/"])
def test_a_folder_is_refused(cell: PlainCell, name: str) -> None:
    (cell.cwd / "folder").mkdir()

    assert fails(cell, f"%%file {name}\nx").value == f"{name} is a folder. Name a file in it, such as folder/server.mjs."


def test_a_path_through_a_file_is_refused_and_says_what_to_do(cell: PlainCell) -> None:
    (cell.cwd / "plain").write_text("kept")

    error = fails(cell, "%%file plain/inside.mjs\nx")

    assert error.name == "FileError"
    assert "A part of this path is a file" in error.value
    assert (cell.cwd / "plain").read_text() == "kept"


def test_a_place_where_nobody_may_write_is_named_and_nothing_is_left_there(cell: PlainCell) -> None:
    error = fails(cell, "%%file /proc/looplab.mjs\nx")

    assert error.name == "FileError"
    assert "/proc/looplab.mjs cannot be written" in error.value
