"""What a cell ends with when it does not end well."""

from collections.abc import Sequence


class CellError(Exception):
    """Shown below the cell: `name: value`, or `lines` where there is more to say (they may hold ANSI colours)."""

    def __init__(self, name: str, value: str, lines: Sequence[str] = ()) -> None:
        super().__init__(f"{name}: {value}")
        self.name = name
        self.value = value
        self.lines = list(lines)
