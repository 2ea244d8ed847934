"""What a cell ends with when it does not end well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class CellError(Exception):
    """Shown below the cell: `name: value`, or `lines` where there is more to say (they may hold ANSI colours)."""

    def __init__(self, name: str, value: str, lines: Sequence[str] = ()) -> None:
        super().__init__(f"{name}: {value}")
        self.name = name
        self.value = value
        self.lines = list(lines)


def code_frame(at: dict[str, Any], cell: str | None) -> list[str]:
    """The line that threw, with its neighbours. `at` is {file, line, column} counted from 1; `cell` its source when the file is a cell."""
    lines = (_source(at["file"]) if cell is None else cell).split("\n")
    line, column = at["line"], at["column"]
    if not 0 < line <= len(lines):
        return []
    name = at["file"] if cell is None else at["file"].removesuffix(".js").replace("-", " ")
    frame = [f"\x1b[90m{name}, line {line}\x1b[0m"]
    for number in range(max(1, line - 2), min(len(lines), line + 1) + 1):
        shown = lines[number - 1][:300]
        frame.append(f"{'▶' if number == line else ' '} \x1b[90m{number:>3} │\x1b[0m {shown}")
        if number == line and 0 < column <= len(shown) + 1:
            frame.append(f"      \x1b[90m│\x1b[0m {' ' * (column - 1)}\x1b[31m^\x1b[0m")
    return [*frame, ""]


def red_first(lines: list[str]) -> list[str]:
    """The first line in red, as terminals show errors."""
    return [f"\x1b[31m{lines[0]}\x1b[0m", *lines[1:]] if lines else []


def _source(file: str) -> str:
    """A local file that threw, or nothing: the frame is a help, not a promise."""
    path = Path(file.removeprefix("file://"))
    try:
        return path.read_text("utf-8") if path.is_file() and path.stat().st_size < 1 << 20 else ""
    except (OSError, UnicodeDecodeError):
        return ""
