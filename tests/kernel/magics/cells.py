"""A cell of the tests' own: it records what a magic writes, shows and sets, and is otherwise as good as the kernel's."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from course.kernel import magics
from grader.settings import read_settings

SETTINGS = read_settings()


class PlainCell:
    """Implements magics.Cell without Jupyter and without a Node process of its own."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.settings = SETTINGS
        self.session = magics.Session()
        self.interrupted = asyncio.Event()
        self.written: list[tuple[str, str]] = []
        self.shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.plots: list[dict[str, Any]] = []
        self.variables: dict[str, Any] = {}
        self.resets = 0

    def write(self, text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        self.written.append((stream, text))

    def display(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        assert data["text/plain"]
        self.shown.append((data, metadata or {}))

    def plot(self, spec: dict[str, Any]) -> None:
        self.plots.append(spec)

    async def set(self, name: str, value: Any) -> None:
        self.variables[name] = value

    async def get(self, expression: str) -> Any:
        return self.variables.get(expression)

    def reset(self) -> None:
        self.resets += 1

    # ---- what tests look at

    @property
    def out(self) -> str:
        """Standard output, without colours."""
        return re.sub(r"\x1b\[\d*m", "", "".join(text for stream, text in self.written if stream == "stdout"))

    @property
    def err(self) -> str:
        return "".join(text for stream, text in self.written if stream == "stderr")

    @property
    def html(self) -> str:
        return "".join(data.get("text/html", "") for data, _ in self.shown)

    @property
    def plain(self) -> str:
        return "\n".join(data["text/plain"] for data, _ in self.shown)

    def forget(self) -> None:
        """As in the next cell: nothing was written yet."""
        self.written.clear()
        self.shown.clear()
        self.plots.clear()


def run(cell: PlainCell, *codes: str) -> None:
    """Runs cells, one after the other. Servers go on between two calls."""

    async def all_of_them() -> None:
        cell.interrupted = asyncio.Event()
        for code in codes:
            assert magics.is_magic(code)
            await magics.run_magic(cell, code)

    asyncio.run(all_of_them())


def run_with(cell: PlainCell, code: str, beside: Callable[[], Awaitable[None]]) -> None:
    """Runs a cell while something else goes on, such as a finger on its way to the Stop button."""

    async def both() -> None:
        cell.interrupted = asyncio.Event()
        other = asyncio.ensure_future(beside())
        try:
            await magics.run_magic(cell, code)
        finally:
            other.cancel()

    asyncio.run(both())


def fails(cell: PlainCell, code: str) -> magics.CellError:
    """The error that the cell ends with."""
    try:
        run(cell, code)
    except magics.CellError as error:
        return error
    raise AssertionError(f"{code!r} should be an error; it wrote {cell.out!r}")
