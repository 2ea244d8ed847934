"""%%file: a cell that becomes a file."""

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic
from course.kernel.magics.cell import Cell
from grader.errors import SettingsError
from grader.notebooks.files import write_whole


async def file(cell: Cell, given: Given) -> None:
    """Writes the cell to a file, whole or not at all.

    The path starts at the notebook's folder; missing folders are made. When you import the file again, you get the new version.

    ```text
    %%file demo/greet.mjs
    export const greet = (name) => `Hello, ${name}`;
    ```

    Then, in another cell: `import { greet } from './demo/greet.mjs'`.
    """
    name = given.words[0]
    path = cell.cwd / name
    # Jupyter gives the last line of a cell without its line end; a text file has one.
    data = given.body.encode("utf-8", "surrogatepass") + (b"\n" if given.body and not given.body.endswith("\n") else b"")
    if path.is_dir() or name.endswith("/"):
        raise CellError("FileError", f"{name} is a folder. Name a file in it, such as {name.rstrip('/')}/server.mjs.")
    known = path.is_file()
    if known and path.read_bytes() == data:
        cell.write(f"{name} has not changed ({_size(data)}).\n")
        return
    try:
        write_whole(path, data)
    except SettingsError as error:
        raise CellError("FileError", str(error).replace("run the same command again", "run the cell again")) from None
    cell.write(f"{'Changed' if known else 'Wrote'} {name} ({_size(data)}).\n")


def _size(data: bytes) -> str:
    lines = data.count(b"\n")
    return f"{lines} {'line' if lines == 1 else 'lines'}, {len(data):,} bytes"


FILE = Magic("%%file", file, words=("<path>",))
