"""One run of one cell: what it has shown, how much it may still show, and where that goes."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from course.kernel import magics
from course.kernel.plot import chart
from course.kernel.text import Allowance, clean, clean_json, truncation
from grader.settings import Settings, read_settings

if TYPE_CHECKING:
    from course.kernel.kernel import NodeKernel

Message = dict[str, Any]
"""The content of a Jupyter message, or a part of it."""


class RunningCell:
    """One run of one cell; implements magics.Cell."""

    def __init__(self, kernel: "NodeKernel", code: str, parent: Message, silent: bool, allow_stdin: bool) -> None:
        self._kernel = kernel
        self.code = code
        self.parent = parent
        self.silent = silent
        self.allow_stdin = allow_stdin
        self.number = 0
        self.url = f"cell-{kernel.execution_count}.js"
        self.cwd = Path.cwd()
        self.settled = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._allowance = Allowance()

    @property
    def settings(self) -> Settings:
        return read_settings()

    @property
    def session(self) -> magics.Session:
        return self._kernel._magics

    @property
    def interrupted(self) -> asyncio.Event:
        return self._kernel.interrupted

    def stream(self, name: str, text: str) -> None:
        """Already cut and clean."""
        if text and not self.silent:
            self._kernel.publish(self, "stream", {"name": name, "text": text})

    def write(self, text: str, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        """Cut at the limits of a cell."""
        self.stream(stream, self._allowance.take(clean(text)))

    def settle(self) -> None:
        """The cell has ended: says how much of its output was left out."""
        self.settled = True
        if self._allowance.lost_characters:
            self.stream("stdout", truncation(self._allowance.lost_lines, self._allowance.lost_characters))
            self._allowance = Allowance(0, 0)

    def display(self, data: Message, metadata: Message | None = None) -> None:
        if not self.silent:
            self._kernel.publish(self, "display_data", {"data": clean_json(data), "metadata": metadata or {}, "transient": {}})

    def plot(self, spec: Message) -> None:
        self.display(chart(clean_json(spec)))

    async def set(self, name: str, value: Any) -> None:
        node = await self._kernel.node()
        await node.ask("set", name=name, value=value)

    async def get(self, expression: str) -> Any:
        node = await self._kernel.node()
        reply = await node.ask("get", expression=expression)
        return reply.get("value") if reply else None

    def reset(self) -> None:
        self._kernel.reset()
