"""What a magic may use of the cell that it runs in, and what lives on from one cell to the next."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from course.kernel.errors import CellError
from grader.report import Report
from grader.settings import Settings

if TYPE_CHECKING:
    from course.kernel.magics.background import RunningServer

T = TypeVar("T")


@dataclass
class Session:
    """Lives as long as the kernel."""

    servers: dict[str, "RunningServer"] = field(default_factory=dict)
    """By name. A server that has ended stays until its name is used again, so that its last words can be read."""
    predictions: dict[str, str] = field(default_factory=dict)
    """What was written under `%%predict NAME`. No entry: no prediction."""
    hints: dict[tuple[str, int], int] = field(default_factory=dict)
    """How many hints of a task (exercise, number) were shown."""
    reports: dict[str, Report] = field(default_factory=dict)
    """The last `%check` of an exercise."""

    async def close(self) -> None:
        """Ends every server, at most about a second later."""
        await asyncio.gather(*(server.stop(patience=0.5) for server in self.servers.values()))


class Cell(Protocol):
    """What a magic may use of the cell that it runs in."""

    @property
    def cwd(self) -> Path:
        """The notebook's folder."""

    @property
    def settings(self) -> Settings: ...

    @property
    def session(self) -> Session: ...

    @property
    def interrupted(self) -> asyncio.Event:
        """Set when the person presses Stop."""

    def write(self, text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        """Capped and sanitised by the kernel."""

    def display(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """A mime bundle; always give text/plain too."""

    def plot(self, spec: dict[str, Any]) -> None:
        """A Vega-Lite chart, as plot(spec) in a cell."""

    async def set(self, name: str, value: Any) -> None:
        """A JavaScript variable, from JSON."""

    async def get(self, expression: str) -> Any:
        """Its value as JSON."""

    def reset(self) -> None:
        """The next cell gets a fresh Node process."""


def interrupted() -> CellError:
    return CellError("Interrupted", "The program was ended.")


async def unless_interrupted(cell: Cell, work: Awaitable[T], seconds: float | None = None) -> T:
    """Waits for `work`. Raises TimeoutError after `seconds`, and CellError when the person presses Stop; both cancel the work."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(cell.interrupted.wait())
    try:
        await asyncio.wait([task, stop], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if cell.interrupted.is_set():
            raise interrupted()
        raise TimeoutError
    finally:
        task.cancel()
        stop.cancel()
        await asyncio.wait([task, stop])
        if not task.cancelled():
            task.exception()  # seen: it was raised above, or came while the work was being cancelled


def dim(text: str) -> str:
    """A remark of ours between what programs write."""
    return f"\x1b[90m{text}\x1b[0m"
