"""Programs that a magic starts: in a session of their own, with a keeper (keeper.py), and gone when the kernel is gone."""

import asyncio
import codecs
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from course.kernel.errors import CellError
from course.kernel.magics.cell import Cell, interrupted
from grader.settings import Settings

KEEPER = Path(__file__).with_name("keeper.py")
DRAIN_SECONDS = 0.5
"""How long output may still come after the program ended: somebody else may hold its pipes open."""


@dataclass(frozen=True)
class Ending:
    code: int | None
    """None when a signal ended it."""
    signal: str | None
    ms: float
    max_rss_mb: float
    """Peak resident memory of the program itself, in MB (1024 * 1024 bytes)."""

    def words(self, output: str = "") -> str:
        """How it ended, for a sentence; `output` is where V8 says that it had to give up."""
        if self.code != 0 and "heap out of memory" in output:
            return "ran out of memory and was ended by V8"
        return f"was ended by {self.signal}" if self.signal else f"exited with code {self.code}"


def node_environment(settings: Settings, extra: dict[str, str]) -> dict[str, str]:
    """This process's environment, with the course's Node first in PATH."""
    return {**os.environ, "PATH": f"{settings.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **extra}


class Child:
    """A running program. Its methods may be called from any event loop."""

    def __init__(self, command: Sequence[str | Path], *, cwd: Path, env: dict[str, str], stdout: int, stderr: int) -> None:
        """Starts `command`; `stdout` and `stderr` are descriptors that it writes to. Raises CellError when it cannot be started."""
        self._report, report = os.pipe()
        self._said = b""
        self.ending: Ending | None = None
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", KEEPER, str(report), *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[report],
                start_new_session=True,  # what ends the kernel's group must not end the one who tidies up
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            os.close(self._report)
            raise CellError("ProgramError", f"{Path(command[0]).name} cannot be started: {error}") from None
        finally:
            os.close(report)
        first = self._line().split()
        if first[:1] != [b"started"]:
            self._close()
            number = int(first[1]) if len(first) > 1 else 0
            raise CellError(
                "ProgramError", f"{Path(command[0]).name} cannot be started: {os.strerror(number) if number else 'no reason given'}"
            )
        self.pid = int(first[1])

    def _line(self) -> bytes:
        """The keeper's next line; blocks until it comes. Empty when the keeper was killed."""
        while b"\n" not in self._said:
            data = os.read(self._report, 4096)
            if not data:
                break
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line

    def signal(self, number: Signals) -> None:
        """To the whole process group."""
        if self.ending is None and self._keeper.stdin is not None:
            with suppress(BrokenPipeError):
                self._keeper.stdin.write(bytes([number]))

    def poll(self) -> Ending | None:
        """How it ended, or None while it runs."""
        if self.ending is None and select.select([self._report], [], [], 0)[0]:
            parts = self._line().split()
            if len(parts) == 4:
                status, kilobytes, milliseconds = map(int, parts[1:])
                code = os.waitstatus_to_exitcode(status)
                name = None if code >= 0 else _signal_name(-code)
                self.ending = Ending(None if name else code, name, milliseconds, round(kilobytes / 1024, 1))
            else:
                self.ending = Ending(None, "SIGKILL", 0, 0)
            self._close()
        return self.ending

    def _close(self) -> None:
        os.close(self._report)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        self._keeper.wait()  # it has said its last word

    def kill(self) -> None:
        """Ends it at once, and waits for that: for a way out that cannot await."""
        self.signal(SIGKILL)
        if self.ending is None and select.select([self._report], [], [], 1.0)[0]:
            self.poll()

    async def ended(self, seconds: float | None = None) -> Ending | None:
        """Waits for its end, at most `seconds`; None when it still runs then."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            await _readable(self._report, left)
        return self.ending

    async def stop(self, first: Signals = SIGTERM, patience: float = 2.0) -> Ending:
        """Signals it with `first`, and with SIGKILL when it has not ended `patience` seconds later."""
        self.signal(first)
        ending = await self.ended(patience)
        if ending is None:
            self.signal(SIGKILL)
            ending = await self.ended()
        assert ending is not None
        return ending


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _readable(descriptor: int, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, ready)
    try:
        await asyncio.wait([ready], timeout=seconds)
    finally:
        loop.remove_reader(descriptor)
        ready.cancel()


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class _Pump(asyncio.Protocol):
    """Hands on what comes through a pipe, decoded, as it comes."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if text := self._decoder.decode(data):
            self._take(text)

    def connection_lost(self, error: Exception | None) -> None:
        if text := self._decoder.decode(b"", final=True):
            self._take(text)
        _settle(self.closed)


async def run_program(
    cell: Cell,
    command: Sequence[str | Path],
    *,
    env: dict[str, str],
    seconds: float,
    stdout: Callable[[str], None],
    stderr: Callable[[str], None],
    stop_with: Signals = SIGKILL,
) -> tuple[Ending, bool]:
    """Runs a program to its end and hands on its output as it comes. True: it was ended because `seconds` were over.

    Raises CellError when the person presses Stop. Nothing of the program is left then, or ever.
    """
    loop = asyncio.get_running_loop()
    pipes = [os.pipe(), os.pipe()]
    transports: list[asyncio.ReadTransport] = []
    try:
        child = Child(command, cwd=cell.cwd, env=env, stdout=pipes[0][1], stderr=pipes[1][1])
    except BaseException:
        for reader, _ in pipes:
            os.close(reader)
        raise
    finally:
        for _, writer in pipes:
            os.close(writer)
    pumps = []
    for (reader, _), take in zip(pipes, (stdout, stderr), strict=True):
        transport, pump = await loop.connect_read_pipe(lambda take=take: _Pump(take), os.fdopen(reader, "rb", buffering=0))  # type: ignore[misc]
        transports.append(transport)
        pumps.append(pump)
    stop = asyncio.ensure_future(cell.interrupted.wait())
    ended = asyncio.ensure_future(child.ended())
    try:
        await asyncio.wait([ended, stop], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        overtime = False
        if not ended.done():
            overtime = not cell.interrupted.is_set()
            child.signal(stop_with)
            await asyncio.wait([ended], timeout=1.0)
            child.signal(SIGKILL)
        ending = await ended
        assert ending is not None
        await asyncio.wait([pump.closed for pump in pumps], timeout=DRAIN_SECONDS)
        if cell.interrupted.is_set() and not overtime:
            raise interrupted()
        return ending, overtime
    finally:
        for task in (stop, ended):
            task.cancel()
        child.kill()
        for transport in transports:
            transport.close()
        await asyncio.wait([pump.closed for pump in pumps], timeout=1.0)
