"""Runs a lesson from top to bottom under the Node kernel, in a fresh workspace, and says which of its claims held."""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from grader.errors import SettingsError
from grader.notebooks.cells import KERNELSPEC, as_file
from grader.notebooks.lessons import Lesson
from grader.notebooks.workspace import put_files, workspace_files
from grader.settings import Settings

LESSON_SECONDS = 180.0
"""What a lesson may take from top to bottom on a machine with two processors."""
READY_SECONDS = 60.0
"""For the kernel, and its Node, to start."""
SHOWN_FOLDER = "/home/you/node-course"
"""Stands in executed.ipynb for the workspace, which has another name in every run."""

Step = Callable[[int, int], None]


class Claim(msgspec.Struct, frozen=True):
    """What the kernel's `claim(…)` left in the metadata of an output."""

    statement: str
    held: bool
    measured: Any
    sentence: str
    """As the learner sees it, with the figure rounded."""


class Run(msgspec.Struct, frozen=True):
    lesson: str
    seconds: float
    cells: int
    claims: tuple[Claim, ...]
    troubles: tuple[str, ...]
    """Cells that failed and time that ran out, as sentences."""
    executed: bytes
    """executed.ipynb: the lesson's notebook with its outputs, and without what changes from run to run for no reason."""

    @property
    def good(self) -> bool:
        return not self.troubles and all(claim.held for claim in self.claims)


def run_lesson(lesson: Lesson, settings: Settings, limit: float = LESSON_SECONDS, step: Step = lambda at, of: None) -> Run:
    """Runs every cell; `step` hears which one begins (from 1) and how many there are. Raises SettingsError without the kernel."""
    with tempfile.TemporaryDirectory(prefix="looplab-lesson-") as place:
        folder = Path(place).resolve()
        folder.chmod(0o755)  # as a learner's is; when we are root, the suite's process is somebody else
        put_files(folder, workspace_files(settings, [lesson.slug]), settings.packages)
        notebook = (folder / f"{lesson.slug}.ipynb").read_text("utf-8")
        began = time.monotonic()
        outputs, troubles = _execute(notebook, folder, settings, limit, step)
        seconds = time.monotonic() - began
    executed = as_file(_with_outputs(msgspec.json.decode(lesson.notebook), outputs)).replace(str(folder).encode(), SHOWN_FOLDER.encode())
    return Run(lesson.slug, seconds, len(outputs), tuple(_claims(outputs)), tuple(troubles), executed)


def _execute(notebook: str, folder: Path, settings: Settings, limit: float, step: Step) -> tuple[list[dict[str, Any]], list[str]]:
    """The cells with their outputs, and what went wrong as sentences."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    document = nbformat.reads(notebook, as_version=4)  # type: ignore[no-untyped-call]
    at = 0

    async def execute() -> None:
        nonlocal at
        async with _kernel(folder, settings, channel_folder) as (manager, channels), asyncio.timeout(limit):
            client = NotebookClient(
                document,
                km=manager,
                timeout=None,  # the limit is on the whole lesson
                allow_errors=True,
                coalesce_streams=True,
                record_timing=False,
            )
            client.kc = channels
            for at, cell in enumerate(document.cells):  # read when this ends early
                step(at + 1, len(document.cells))
                try:
                    await client.async_execute_cell(cell, at)
                except DeadKernelError:
                    task = asyncio.current_task()
                    if task and task.cancelling():  # nbclient takes our time limit, and Ctrl-C, for a dead kernel
                        raise asyncio.CancelledError from None
                    raise

    troubles: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="looplab-kernel-") as channel_folder:
            asyncio.run(execute())
    except TimeoutError:
        troubles.append(f"{_cell(at, document.cells[at])} was still running when the {limit:g} s of a lesson were over.")
    except DeadKernelError:
        troubles.append(f"{_cell(at, document.cells[at])} ended the kernel itself.")
    cells: list[dict[str, Any]] = [dict(cell) for cell in document.cells]
    return cells, [*_errors(cells), *troubles]


@asynccontextmanager
async def _kernel(folder: Path, settings: Settings, channel_folder: str) -> AsyncIterator[tuple[Any, Any]]:
    """A kernel that has started in `folder`, and the channels to it; both end with the context, also when it is interrupted."""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import AsyncKernelManager

    name = KERNELSPEC["name"]
    manager = AsyncKernelManager(kernel_name=name, transport="ipc", ip=f"{channel_folder}/ipc")  # nothing of it is on a port
    try:
        await manager.start_kernel(cwd=str(folder), env={**os.environ, "LOOPLAB_HOME": str(settings.home)})
    except NoSuchKernel:
        raise SettingsError(f"Jupyter does not know the kernel {name}. Run `make setup`.") from None
    channels = manager.client()
    try:
        channels.start_channels()
        try:
            await channels.wait_for_ready(timeout=READY_SECONDS)
        except RuntimeError as error:
            raise SettingsError(f"The kernel {name} did not start: {error}. `looplab doctor` may know more.") from None
        channels.allow_stdin = False
        yield manager, channels
    finally:
        channels.stop_channels()
        await manager.shutdown_kernel()


def _errors(cells: list[dict[str, Any]]) -> Iterator[str]:
    for n, cell in enumerate(cells):
        wanted = "raises-exception" in cell["metadata"].get("tags", [])
        failed = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
        if failed and not wanted:
            yield f"{_cell(n, cell)} failed: {failed[0]['ename']}: {failed[0]['evalue']}".rstrip(": ")
        elif wanted and not failed:
            yield f"{_cell(n, cell)} is tagged raises-exception, but nothing was thrown."


def _cell(n: int, cell: dict[str, Any]) -> str:
    first = next((line for line in cell["source"].split("\n") if line.strip()), "")
    return f"Cell {n + 1} ({first[:60]}{'…' if len(first) > 60 else ''})"


def _claims(cells: list[dict[str, Any]]) -> Iterator[Claim]:
    for cell in cells:
        for output in cell.get("outputs", []):
            said = output.get("metadata", {}).get("looplab", {})
            if "claim" in said:
                sentence = re.sub(r"\x1b\[[\d;]*m", "", output["data"].get("text/plain", said["claim"]))
                yield Claim(said["claim"], bool(said.get("held")), said.get("measured"), sentence)


def _with_outputs(notebook: dict[str, Any], cells: list[dict[str, Any]]) -> dict[str, Any]:
    for cell, run in zip(notebook["cells"], cells, strict=True):
        if cell["cell_type"] == "code":
            cell["execution_count"] = run.get("execution_count")
            cell["outputs"] = [_as_written(output) for output in run.get("outputs", [])]
    return notebook


def _as_written(output: dict[str, Any]) -> dict[str, Any]:
    """Long texts as lists of lines, as Jupyter writes them."""
    if "text" in output:
        return {**output, "text": output["text"].splitlines(keepends=True)}
    if "data" in output:
        data = {kind: value.splitlines(keepends=True) if isinstance(value, str) else value for kind, value in output["data"].items()}
        return {**output, "data": data}
    return dict(output)
