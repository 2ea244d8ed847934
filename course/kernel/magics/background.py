"""Servers that run in the background: started, waited for, listened to, stopped."""

import asyncio
import contextlib
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

from course.kernel.errors import CellError
from course.kernel.magics.cell import Cell, dim, interrupted
from course.kernel.magics.processes import Child, Ending, node_environment

READY_SECONDS = 10.0
ELSEWHERE_SECONDS = 1.0
"""How long a server may listen on a wrong port before we say so."""
LOG_BYTES = 1024 * 1024
LAST_LINES = 12
HOSTS = ("127.0.0.1", "::1")


class Log:
    """What a server wrote: the last megabyte, and how far somebody has read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data = bytearray()
        self._start = 0
        """Position of the first kept byte in all that was written."""
        self._read = 0

    def add(self, data: bytes) -> None:
        with self._lock:
            self._data += data
            if len(self._data) > 2 * LOG_BYTES:
                self._start += len(self._data) - LOG_BYTES
                del self._data[:-LOG_BYTES]

    def unread(self) -> tuple[str, int]:
        """What was not read yet, which is read now, and how many bytes of it were dropped."""
        with self._lock:
            begin = max(self._read, self._start, self._start + len(self._data) - LOG_BYTES)
            lost = begin - self._read
            data = bytes(self._data[begin - self._start :])
            self._read = self._start + len(self._data)
        return data.decode("utf-8", "replace"), lost

    def tail(self, lines: int = LAST_LINES) -> list[str]:
        with self._lock:
            data = bytes(self._data[-64 * 1024 :])
        return data.decode("utf-8", "replace").rstrip().split("\n")[-lines:] if data.strip() else []


class RunningServer:
    """A server in the background. It stays a RunningServer when it has ended: `ending` says how."""

    def __init__(self, name: str, file: str, port: int, child: Child, output: int) -> None:
        self.name, self.file, self.port, self.child = name, file, port, child
        self.host = HOSTS[0]
        self.log = Log()
        self.began = time.monotonic()
        self._reader = threading.Thread(target=self._read, args=(output,), name=f"log of {name}", daemon=True)
        self._reader.start()

    def _read(self, output: int) -> None:
        """In a thread: a server must not wait for a busy kernel before it can go on writing."""
        with os.fdopen(output, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                self.log.add(data)

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def variable(self) -> dict[str, Any]:
        """What a notebook's variable says about it."""
        return {"url": self.url, "port": self.port, "pid": self.child.pid}

    @property
    def ending(self) -> Ending | None:
        return self.child.poll()

    async def stop(self, patience: float = 2.0) -> Ending:
        """SIGTERM, and after `patience` seconds SIGKILL, to it and all its children."""
        ending = await self.child.stop(patience=patience)
        await self.settle()
        return ending

    async def settle(self) -> None:
        """Waits a moment for the last words of a server that has ended."""
        deadline = time.monotonic() + 0.5
        while self._reader.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    def last_words(self) -> str:
        """How it ended, with the line of its log that says most."""
        ending = self.ending
        if ending is None:
            return "still runs"
        output = "\n".join(self.log.tail(60))
        telling = error_line(output)
        return ending.words(output) + (f", saying: {telling}" if telling else "")


def error_line(output: str) -> str:
    """The line in which Node names an uncaught error; "" when there is none."""
    found = re.search(r"^(?:Uncaught )?(\w*(?:Error|Exception)\b.*)$", output, re.MULTILINE)
    return found[1][:300] if found else ""


# ---- until it listens


async def start_server(cell: Cell, name: str, file: str, port: int | None, env: dict[str, str], flags: tuple[str, ...]) -> RunningServer:
    """Starts a server and waits until it listens on `port` (None: a free one). Raises CellError with the reason when it does not."""
    if port and await _listening_host(port):
        raise CellError("ServerError", f"Another program listens on port {port} already. End it, or leave --port away to get a free port.")
    port = port or _free_port()
    reader, writer = os.pipe()
    try:
        command: list[str | Path] = [cell.settings.node, *flags, file]
        child = Child(command, cwd=cell.cwd, env=node_environment(cell.settings, {**env, "PORT": str(port)}), stdout=writer, stderr=writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    server = RunningServer(name, file, port, child, reader)
    try:
        server.host = await _until_ready(cell, server)
    except BaseException:
        await server.stop(patience=0)
        raise
    return server


async def _until_ready(cell: Cell, server: RunningServer) -> str:
    """The host on which it listens. Raises CellError with the reason why it does not."""
    deadline = time.monotonic() + READY_SECONDS
    elsewhere_since: float | None = None
    while True:
        if server.ending is not None:
            await server.settle()
            raise _did_not_start(server, _why_it_ended(server, server.ending))
        if host := await _listening_host(server.port):
            return host
        if cell.interrupted.is_set():
            raise interrupted()
        now = time.monotonic()
        ports = _listening_ports(server.child.pid)
        elsewhere_since = (elsewhere_since or now) if ports else None
        asked = f"{server.file} did not open port {server.port}, which PORT names"
        if elsewhere_since and now - elsewhere_since > ELSEWHERE_SECONDS:
            raise _did_not_start(server, f"{asked}. It listens on {' and '.join(map(str, ports))}: use process.env.PORT.")
        if now > deadline:
            raise _did_not_start(server, f"{asked}, within {READY_SECONDS:g} seconds. Does it call listen(process.env.PORT)?")
        await asyncio.sleep(0.02)


def _why_it_ended(server: RunningServer, ending: Ending) -> str:
    output = "\n".join(server.log.tail(60))
    if ending.code == 0:
        return f"{server.file} ended by itself, without an error, before it listened. Does it call listen()?"
    telling = error_line(output)
    return f"{server.file} {ending.words(output)} before it listened" + (f": {telling}" if telling else ".")


def _did_not_start(server: RunningServer, text: str) -> CellError:
    tail = server.log.tail()
    return CellError("ServerError", text, [f"\x1b[31mServerError:\x1b[0m {text}", *(["", dim("It wrote:"), *tail] if tail else [])])


async def _listening_host(port: int) -> str | None:
    for host in HOSTS:
        with contextlib.suppress(OSError, TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.0)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return host
    return None


def _listening_ports(pid: int) -> list[int]:
    """The TCP ports on which a process listens, from /proc; nothing where there is no /proc."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    except OSError:
        return []
    listening = {f"socket:[{row[9]}]": int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
    return sorted({listening[link] for link in links if link in listening})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOSTS[0], 0))
        port: int = probe.getsockname()[1]
        return port
