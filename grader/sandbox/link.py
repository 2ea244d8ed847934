"""The host's end of the supervisor's two sockets (the protocol is at the top of supervisor.mjs).

Used by the grader, which starts and stops a box, and by the suite's process, which may do no more than this.
Whatever arrives here was written by the supervisor, but quotes the learner's program: bytes with a cap, never trusted as a score.
"""

import base64
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from grader.errors import SandboxFault
from grader.submission import Submission

CONTROL_REPLY_MAX = 16 * 1024 * 1024
"""Bytes. The largest honest reply is `read_data` with 8 MiB of data in base64."""
FULL_NAMES = (b"WebSocket", b"CloseEvent", b"MessageEvent")
"""A submission that has none of these in any file may be started without them (lean.cjs)."""
LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
"""Learners listen on either."""


class ServerStatus(msgspec.Struct, frozen=True):
    """What the supervisor knows of the learner's program."""

    state: str
    """not_started, running or exited."""
    code: int | None = None
    signal: str | None = None
    reachable: bool = False
    """Somebody accepts connections on PORT."""
    starts: int = 0
    listening_on: tuple[int, ...] = ()
    """PORT when it is reachable; else every port that the program listens on."""
    out_of_memory: bool = False
    output: str = ""
    output_truncated: bool = False
    pid: int | None = None


class ProcessStats(msgspec.Struct, frozen=True):
    """Sums over the learner's whole process tree."""

    rss_bytes: int
    """Pages that several processes share count once."""
    peak_memory_bytes: int
    cpu_seconds: float
    """User and system time since the submission was laid in."""
    processes: int
    threads: int
    open_files: int


class Link:
    """A box that runs. Thread-safe: control calls wait for each other, connections do not.

    `direct` is the learner's port where this process can reach it; else connections go through the supervisor.
    """

    def __init__(self, folder: Path, direct: int | None = None) -> None:
        self.folder = folder
        self.failed = False
        """A call failed: nobody knows what the supervisor is doing."""
        self._direct = direct
        self._addresses = LOOPBACK
        self._control: socket.socket | None = None
        self._pending = b""
        self._calls = 0
        self._lock = threading.Lock()

    # ---- control

    def open(self, deadline: float) -> None:
        """Waits for the control socket until `deadline` (time.monotonic). Raises SandboxFault when it does not come."""
        while True:
            control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                control.connect(str(self.folder / "control.sock"))
            except (FileNotFoundError, ConnectionRefusedError):
                control.close()
                if time.monotonic() > deadline:
                    raise SandboxFault("The supervisor did not open its control socket in time.") from None
                time.sleep(0.002)
                continue
            self._control = control
            return

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        self._pending = b""

    def call(self, op: str, timeout: float = 10.0, **arguments: Any) -> dict[str, Any]:
        """One request to the supervisor and its answer. `timeout` in seconds. Raises SandboxFault."""
        with self._lock:
            try:
                return self._call(op, timeout, arguments)
            except BaseException:
                # Also when a check's deadline interrupts the wait: the answer that still comes must not be taken for the next one's.
                self.failed = True
                self.close()
                raise

    def _call(self, op: str, timeout: float, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._control is None:
            self.open(time.monotonic() + 5)
        assert self._control is not None
        self._calls += 1
        request = json.dumps({"id": self._calls, "op": op, **arguments}).encode() + b"\n"
        deadline = time.monotonic() + timeout
        try:
            self._control.sendall(request)
            while b"\n" not in self._pending:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SandboxFault(f"The supervisor did not answer `{op}` within {timeout:g} s.")
                self._control.settimeout(left)
                chunk = self._control.recv(1 << 16)
                if not chunk or len(self._pending) > CONTROL_REPLY_MAX:
                    raise SandboxFault(f"The supervisor went away during `{op}`.")
                self._pending += chunk
        except OSError as error:
            raise SandboxFault(f"The supervisor could not be asked to `{op}`: {error}.") from error
        line, _, self._pending = self._pending.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        if reply.get("id") != self._calls:
            raise SandboxFault(f"The supervisor answered out of turn to `{op}`.")
        if not reply.pop("ok"):
            raise SandboxFault(f"The supervisor could not `{op}`: {reply['error']}")
        return reply

    def prepare(self, submission: Submission, uid: int | None = None) -> int:
        """Begins with a submission, which lies in the box's folder. Returns the inode of the box's network namespace."""
        lean = not any(name in data for data in submission.files.values() for name in FULL_NAMES)
        return int(self.call("prepare", uid=uid, lean=lean)["network"])

    def scrub(self) -> list[str]:
        """Ends with a submission and takes away all that it left. Returns what is still there, as words: nothing when the box is as new."""
        return [str(word) for word in self.call("scrub")["remains"]]

    def start(self, port: int, entry: str, env: dict[str, str]) -> None:
        """Starts the learner's program; it does not wait until it listens."""
        self.call("start", port=port, entry=entry, env=env)

    def ready(self, timeout: float, elsewhere: float) -> ServerStatus:
        """Polls until PORT accepts, the program ended, `timeout` s passed, or it listened on another port for `elsewhere` s."""
        reply = self.call("ready", timeout=timeout + 5, timeout_ms=timeout * 1000, elsewhere_ms=elsewhere * 1000)
        return msgspec.convert(reply, ServerStatus)

    def status(self) -> ServerStatus:
        return msgspec.convert(self.call("status"), ServerStatus)

    def state(self) -> str:
        """not_started, running or exited: the part of `status` that costs nothing."""
        return str(self.call("state")["state"])

    def stats(self) -> ProcessStats:
        return msgspec.convert(self.call("stats"), ProcessStats)

    def signal(self, name: str) -> None:
        """Sends a signal such as SIGTERM to the learner's main process."""
        self.call("signal", name=name)

    def wait_exit(self, timeout: float) -> ServerStatus:
        return msgspec.convert(self.call("wait_exit", timeout=timeout + 5, timeout_ms=timeout * 1000), ServerStatus)

    def stop(self) -> tuple[ServerStatus, ProcessStats]:
        """Kills every process of the learner; what was seen of them just before."""
        reply = self.call("stop")
        return msgspec.convert(reply, ServerStatus), msgspec.convert(reply, ProcessStats)

    def forward(self, socket_name: str) -> int:
        """Opens a loopback port inside the box that leads to `socket_name` in the box's folder; returns the port."""
        return int(self.call("forward", socket=socket_name)["port"])

    def read_data(self, file: str) -> dict[str, bytes]:
        """The bytes of a data file and of its neighbours (`x.db`, `x.db-wal`, …), 8 MiB at most in all."""
        return {name: base64.b64decode(text) for name, text in self.call("read_data", file=file)["files"].items()}

    def lock_database(self, file: str, seconds: float) -> str:
        """Holds SQLite's write lock on `file`; returns "" when it is held, else why it cannot be."""
        reply = self.call("lock_database", file=file, ms=seconds * 1000)
        return "" if reply["locked"] else str(reply["why"])

    # ---- data

    def connect(self, timeout: float) -> tuple[socket.socket, int | None]:
        """A new connection to the learner's port and, where the supervisor holds its other end, its number (for `reset`).

        Raises ConnectionRefusedError when nobody listens there, TimeoutError after `timeout` seconds.
        """
        return (self._dial(self._direct, timeout), None) if self._direct else self._through_the_supervisor(timeout)

    def _dial(self, port: int, timeout: float) -> socket.socket:
        for family, host in self._addresses:
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.settimeout(timeout)
            try:
                connection.connect((host, port))
            except TimeoutError:
                connection.close()
                raise
            except OSError:  # nobody there; or, with a program that has opened all the sockets there are, no address left
                connection.close()
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what a check sends as two packets arrives as two
            if host != self._addresses[0][1]:
                self._addresses = self._addresses[::-1]  # it listens there; ask there first from now on
            return connection
        raise ConnectionRefusedError(f"nobody listens on port {port}")

    def _through_the_supervisor(self, timeout: float) -> tuple[socket.socket, int]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self.folder / "server.sock"))
            line = b""
            while not line.endswith(b"\n"):
                byte = connection.recv(1)
                if not byte or len(line) > 64:
                    raise ConnectionRefusedError("the supervisor closed the connection")
                line += byte
        except (FileNotFoundError, BlockingIOError) as error:
            connection.close()
            raise ConnectionRefusedError(str(error)) from error
        except BaseException:
            connection.close()
            raise
        if line.startswith(b"+"):
            return connection, int(line[1:])
        connection.close()
        raise ConnectionRefusedError(line[1:].strip().decode("ascii", "replace"))

    def reset(self, connection: int) -> None:
        """Ends connection number `connection` with RST, as a crashed client or a pulled cable would."""
        self.call("reset", connection=connection)
