"""One Node process with the agent in it: commands go in, frames come out, and it is always ended with everything that it started."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Protocol

from course.kernel.errors import CellError

AGENT = Path(__file__).parent / "agent" / "agent.cjs"
HEAP_MB = 2048
START_SECONDS = 20.0
INTERRUPT_SECONDS = 1.5
"""How long running JavaScript may take to end after an interrupt before the process is ended instead."""
PONG_SECONDS = 0.15
"""A process that answers within this is not busy: it waits."""
FRAME_BYTES_MAX = 64 * 1024 * 1024
DEBUGGER_GREETING = "Waiting for the debugger to disconnect...\n"
"""Node says so at its end, to the agent's own inspector."""
Frame = dict[str, Any]


class Events(Protocol):
    """What happens in the process without being asked for. Called in the kernel's event loop."""

    def on_frame(self, frame: Frame) -> None:
        """Something to show."""

    def on_raw(self, stream: str, text: str) -> None:
        """Written past `process.stdout`: by child processes, or by Node itself."""

    def on_end(self, reason: str) -> None:
        """The process has ended; `reason` is a sentence."""


class NodeProcess:
    """Start it, ask it, interrupt it, end it. Every method belongs to the event loop's thread."""

    def __init__(self, node: Path, cwd: Path, events: Events) -> None:
        self._node, self._cwd, self._events = node, cwd, events
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._next = 0
        self._buffer = b""
        self._outgoing = b""
        self._commands = -1
        self._last_words = ""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Its result is the sentence that says how the process ended."""

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    async def start(self) -> None:
        """Raises CellError with a sentence when Node or the agent do not come up."""
        if not self._node.is_file():
            raise CellError("NodeMissing", f"There is no Node at {self._node}. Run `make setup` in the project, or set LOOPLAB_NODE.")
        if not (AGENT.parent.parent / "node_modules" / "acorn").is_dir():
            raise CellError("SetupError", "The kernel's own package (acorn) is not installed. Run `make setup` in the project.")
        command_read, self._commands = os.pipe()
        self._frames, frame_write = os.pipe()
        self._interrupts, interrupt_end = socket.socketpair()
        theirs = (command_read, frame_write, interrupt_end.fileno())
        try:
            self._process = subprocess.Popen(
                [
                    self._node,
                    f"--max-old-space-size={HEAP_MB}",
                    "--disable-warning=ExperimentalWarning",
                    AGENT,
                    *map(str, theirs),
                ],
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=theirs,
                start_new_session=True,  # an interrupt of the kernel is not an interrupt of Node
            )
        except OSError as error:
            os.close(self._commands)
            os.close(self._frames)
            self._interrupts.close()
            raise CellError(
                "NodeMissing", f"Node did not start ({error.strerror}): {self._node}. Run `make setup` in the project."
            ) from None
        finally:
            os.close(command_read)
            os.close(frame_write)
            interrupt_end.close()
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Frame] = loop.create_future()
        assert self._process.stdout and self._process.stderr
        self._raw = {"stdout": self._process.stdout.fileno(), "stderr": self._process.stderr.fileno()}
        for fd in (self._commands, self._frames, *self._raw.values()):
            os.set_blocking(fd, False)
        loop.add_reader(self._frames, self._read_frames)
        for name in self._raw:
            loop.add_reader(self._raw[name], self._read_raw, name)
        await first_of(self._ready, self.ended, timeout=START_SECONDS)
        if not self._ready.done():
            self.kill()
            raise CellError("NodeMissing", f"Node did not come up: {self._last_words.strip()[-500:] or 'it said nothing'}")

    async def ask(self, op: str, **parameters: Any) -> Frame | None:
        """The agent's reply, or None when the process ended instead."""
        reply = self.send(op, **parameters)
        await first_of(reply, self.ended)
        return reply.result() if reply.done() else None

    def send(self, op: str, **parameters: Any) -> "asyncio.Future[Frame]":
        self._next += 1
        reply = self._asked[self._next] = asyncio.get_running_loop().create_future()
        self.tell(op, id=self._next, **parameters)
        return reply

    def tell(self, op: str, **parameters: Any) -> None:
        """Without a reply."""
        self._outgoing += json.dumps({"op": op, **parameters}).encode("ascii") + b"\n"
        self._write_commands()

    def _write_commands(self) -> None:
        # Never blocks: a process that is blocked itself, in writing to us, must find a reader.
        loop = asyncio.get_running_loop()
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[os.write(self._commands, self._outgoing[: 64 * 1024]) :]
        except BlockingIOError:
            loop.add_writer(self._commands, self._write_commands)
            return
        except OSError:
            self._outgoing = b""  # it has ended: `ended` tells
        if self._commands >= 0:
            loop.remove_writer(self._commands)

    async def interrupt(self, running: "asyncio.Future[Frame]") -> str:
        """Ends what runs. `idle`: nothing ran, something waits; `ended`: JavaScript was ended; `killed`: only ending the process helped."""
        pong = self.send("ping")
        await first_of(pong, running, self.ended, timeout=PONG_SECONDS)
        if pong.done():
            return "idle"
        with contextlib.suppress(OSError):
            self._interrupts.send(b"!")
        await first_of(pong, self.ended, timeout=INTERRUPT_SECONDS)
        if pong.done():
            return "ended"
        self.kill()
        return "killed"

    def drain(self) -> None:
        """Takes what is in the pipes: child processes have written it before the cell ended."""
        for name in list(self._raw):
            self._read_raw(name)

    def kill(self) -> None:
        """Ends the process and all that it started, and waits for it."""
        process = getattr(self, "_process", None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._close()

    # ---- reading

    def _read_frames(self) -> None:
        data = _read(self._frames)
        if data is None:
            return
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._on_line(line)
        if not data or len(self._buffer) > FRAME_BYTES_MAX:
            self._finish()

    def _on_line(self, line: bytes) -> None:
        frame = json.loads(line)
        if "ready" in frame:
            self._ready.set_result(frame)
        elif "id" in frame:
            reply = self._asked.pop(frame["id"], None)
            if reply and not reply.done():
                reply.set_result(frame)
        else:
            self._events.on_frame(frame)

    def _read_raw(self, name: str) -> None:
        while data := _read(self._raw[name]):
            text = data.decode("utf-8", "replace").replace(DEBUGGER_GREETING, "")
            self._last_words = (self._last_words + text)[-8192:]
            if "<--- Last few GCs" not in self._last_words and "FATAL ERROR" not in self._last_words:
                self._events.on_raw(name, text)
        if data == b"":
            asyncio.get_running_loop().remove_reader(self._raw[name])

    def _finish(self) -> None:
        """The process has closed its frames: it is ending or gone."""
        asyncio.get_running_loop().remove_reader(self._frames)
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        self.drain()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it started does not outlive it
        self._process.wait()
        reason = _reason(code, self._last_words)
        if not self.ended.done():
            self.ended.set_result(reason)
            self._events.on_end(reason)
        self._close()

    def _close(self) -> None:
        """Lets go of every descriptor. Safe to call twice."""
        if self._commands < 0:
            return
        loop = asyncio.get_running_loop()
        for fd in (self._frames, *self._raw.values()):
            loop.remove_reader(fd)
        loop.remove_writer(self._commands)
        os.close(self._frames)
        os.close(self._commands)
        self._commands = -1
        self._interrupts.close()
        assert self._process.stdout and self._process.stderr
        self._process.stdout.close()
        self._process.stderr.close()
        self._raw = {}
        if not self.ended.done():
            self.ended.set_result("Node was ended by the kernel.")


async def first_of(*futures: "asyncio.Future[Any]", timeout: float | None = None) -> None:
    """Waits until one of them is done, or `timeout` seconds are over."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


def _read(fd: int) -> bytes | None:
    """Up to 256 KiB; empty at the end of the pipe, None when there is nothing now."""
    try:
        return os.read(fd, 256 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _reason(code: int, last_words: str) -> str:
    if "heap out of memory" in last_words:
        return f"Node ran out of memory (a cell may use {HEAP_MB} MB of heap) and was ended."
    if code < 0:
        return f"Node was ended by {signal.Signals(-code).name}."
    return f"Node ended with exit code {code}."
