"""A running kernel, spoken to as Jupyter speaks to it."""

import contextlib
import os
import queue
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

Message = dict[str, Any]
SECONDS = 60.0


@dataclass
class Ran:
    """What a cell came to."""

    outputs: list[Message] = field(default_factory=list)
    """The contents of streams, displays and results, in their order; neighbouring texts of one stream are one."""
    error: str | None = None
    """`Name: value`."""
    traceback: str = ""
    """Without colours."""

    def _text(self, name: str) -> str:
        return "".join(one["text"] for one in self.outputs if one.get("name") == name)

    @property
    def stdout(self) -> str:
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        return self._text("stderr")

    @property
    def displays(self) -> list[Message]:
        return [one["data"] for one in self.outputs if "data" in one and "execution_count" not in one]

    @property
    def metadata(self) -> list[Message]:
        """Of the displays."""
        return [one["metadata"] for one in self.outputs if "data" in one and "execution_count" not in one]

    @property
    def result(self) -> str | None:
        return next((str(one["data"]["text/plain"]) for one in self.outputs if "execution_count" in one), None)


class Notebook:
    """A kernel in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager, self.client = start_new_kernel(kernel_name="looplab-node", startup_timeout=60, cwd=str(folder))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=not self.manager.is_alive())
        self.manager.cleanup_resources()

    def run(self, code: str, *, interrupt_after: str = "", answers: tuple[str, ...] = ()) -> Ran:
        """Runs a cell to its end. Presses Stop when `interrupt_after` was written; answers questions with `answers`."""
        sent = self.client.execute(code, allow_stdin=bool(answers))
        ran, waiting, deadline = Ran(), list(answers), time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < deadline, f"{code!r} does not end; it came to {ran}"
            if waiting:
                with contextlib.suppress(queue.Empty):
                    self.client.get_stdin_msg(timeout=0.02)
                    self.client.input(waiting.pop(0))
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and ran.outputs and ran.outputs[-1].get("name") == content["name"]:
                ran.outputs[-1]["text"] += content["text"]
            elif kind in ("stream", "display_data", "execute_result"):
                ran.outputs.append(content)
            elif kind == "error":
                ran.error = f"{content['ename']}: {content['evalue']}"
                ran.traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                self._reply_to(sent)
                return ran
            if interrupt_after and interrupt_after in ran.stdout:
                interrupt_after = ""
                self.manager.interrupt_kernel()

    def _reply_to(self, sent: str) -> Message:
        while True:
            message: Message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == sent:
                return message

    def ask(self, what: str, *arguments: Any, **named: Any) -> Message:
        """The answer to another request, such as complete or history."""
        content: Message = self._reply_to(getattr(self.client, what)(*arguments, **named))["content"]
        return content

    def late(self, text: str) -> Message:
        """The first stream message with `text` in it."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                message: Message = self.client.get_iopub_msg(timeout=0.1)
                if message["msg_type"] == "stream" and text in message["content"]["text"]:
                    return message
        raise AssertionError(f"{text!r} never came")


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="session")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """One kernel for all tests of a process: a cell that ends badly must not spoil the next one."""
    opened = Notebook(tmp_path_factory.mktemp("notebook"))
    yield opened
    opened.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernels take their time: they belong to `make test`, not to the fast gate."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.notebook)
