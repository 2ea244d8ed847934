"""The learner's server as a check sees it: requests, restarts, signals, and what can be measured from outside."""

import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, TypeVar

from grader.sandbox.link import Link, ProcessStats, ServerStatus
from grader.suite.client import BODY_BYTES_MAX, TIMEOUT, Connection, Headers
from grader.suite.expect import CheckFailed
from grader.suite.journal import Journal
from grader.suite.reply import NoReply, Reply

READY_SECONDS = 10.0
PARALLEL_MAX = 128
T = TypeVar("T")


class Server:
    """Handed to every check as the fixture `server`. It runs, with the check's environment, when the check begins."""

    def __init__(self, link: Link, entry: str, port: int, temp: str, env: dict[str, str], journal: Journal) -> None:
        self._link, self._entry, self._journal = link, entry, journal
        self._temp, self._base_env = temp, env
        self._generation = 0
        self.port = port
        self.env = env
        """What the program was started with, beside PORT."""
        self.exit_is_expected = False
        """Set by `signal` and `kill`: the end of the program is then no crash."""

    # ---- requests

    def connect(self, timeout: float = TIMEOUT) -> Connection:
        """A new connection, for kept-alive requests or raw bytes. Close it, or use it in a `with`."""
        return Connection(self._link.connect, self._link.reset, self._journal, timeout)

    def request(
        self,
        method: str,
        path: str,
        headers: Headers | None = None,
        body: bytes | Iterable[bytes] | None = None,
        *,
        json: Any = ...,
        timeout: float = TIMEOUT,
        max_bytes: int = BODY_BYTES_MAX,
    ) -> Reply:
        """One request on a connection of its own. Raises NoReply when no complete answer came within `timeout` seconds."""
        with self.connect(timeout) as connection:
            return connection.request(method, path, headers, body, json=json, timeout=timeout, max_bytes=max_bytes)

    def get(self, path: str, headers: Headers | None = None, **options: Any) -> Reply:
        return self.request("GET", path, headers, **options)

    def post(self, path: str, headers: Headers | None = None, body: bytes | Iterable[bytes] | None = None, **options: Any) -> Reply:
        return self.request("POST", path, headers, body, **options)

    def attempt(self, method: str, path: str, headers: Headers | None = None, body: Any = None, **options: Any) -> Reply | NoReply:
        """Like `request`, for where no answer is an answer: returns the NoReply instead of raising it."""
        try:
            return self.request(method, path, headers, body, **options)
        except NoReply as nothing:
            return nothing

    def parallel(self, calls: Iterable[Callable[[], T]]) -> list[T]:
        """Runs calls at the same time, each in a thread of its own (at most 128), and returns their results in order."""
        pending = list(calls)
        with ThreadPoolExecutor(min(len(pending), PARALLEL_MAX)) as pool:
            return [future.result() for future in [pool.submit(call) for call in pending]]

    # ---- life

    @property
    def data_file(self) -> str:
        """DB_PATH of the running program."""
        return str(PurePosixPath(self._temp) / f"data-{self._generation}.db")

    def full_env(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        return {**self._base_env, **(extra or {})}

    def start(self, env: dict[str, str] | None = None, *, keep_data: bool = False) -> None:
        """Starts the program when it does not run, with `env` on top of the exercise's, and waits until it listens."""
        if not keep_data:
            self._generation += 1
        self.env = self.full_env(env)
        self.exit_is_expected = False
        self._link.start(self.port, self._entry, {**self.env, "DB_PATH": self.data_file})
        status = self._link.ready(READY_SECONDS, READY_SECONDS)
        if not status.reachable:
            raise CheckFailed(f"Your server did not come up again: {last_words(status)}")

    def restart(self, env: dict[str, str] | None = None, *, keep_data: bool = True) -> None:
        """Kills the program (SIGKILL) and starts it again, by default with the same data."""
        self._link.stop()
        self.start(env, keep_data=keep_data)

    def start_expecting_exit(self, env: dict[str, str], timeout: float) -> ServerStatus:
        """Starts the stopped program with a complete environment that it should refuse, and waits for it to end."""
        self._link.stop()
        self._generation += 1
        self.exit_is_expected = True
        self._link.start(self.port, self._entry, {**env, "DB_PATH": self.data_file})
        return self._link.wait_exit(timeout)

    def signal(self, name: str) -> None:
        """Sends a signal such as SIGTERM to the main process. Its end is then expected."""
        self.exit_is_expected = True
        self._link.signal(name)

    def kill(self) -> None:
        """SIGKILL to everything, as when the power fails."""
        self.exit_is_expected = True
        self._link.stop()

    def wait_exit(self, timeout: float) -> ServerStatus:
        """Waits until the main process ended, at most `timeout` seconds; look at `state` of the result."""
        return self._link.wait_exit(timeout)

    def status(self) -> ServerStatus:
        return self._link.status()

    # ---- what can be seen from outside

    def stats(self) -> ProcessStats:
        """Memory, CPU, threads and open files of the whole process tree, now."""
        return self._link.stats()

    def read_data(self) -> bytes:
        """Every byte of the database file and its journals, one after the other: for "is it stored anywhere?"."""
        return b"".join(self._link.read_data(self.data_file).values())

    def data_files(self) -> dict[str, bytes]:
        """The same by file name, to look into a copy: `data-1.db`, `data-1.db-wal`, …"""
        return self._link.read_data(self.data_file)

    def lock_data(self, seconds: float) -> None:
        """Somebody else writes to the database for `seconds`; returns when the lock is held. Fails the check when it cannot be had."""
        if why := self._link.lock_database(self.data_file, seconds):
            raise CheckFailed(f"The database at DB_PATH could not be opened and locked by another process, as a backup would do it: {why}.")

    def watch_health(self, every: float = 0.01) -> "HealthWatch":
        """Samples `GET /health` every `every` seconds while a `with` lasts: event-loop lag as a user feels it."""
        return HealthWatch(self, every)


def last_words(status: ServerStatus) -> str:
    """Why a program is not there, with the line of its output that says most."""
    if status.state == "running":
        return "it runs, but nobody listens on its port."
    if status.out_of_memory:
        return "it ran out of memory."
    how = f"it was ended by {status.signal}" if status.signal else f"it exited with code {status.code}"
    telling = error_line(status.output)
    return f"{how}, saying: {telling}" if telling else f"{how}."


def error_line(output: str) -> str:
    """The line in which Node names an uncaught error, such as `TypeError: x is not a function`; "" when there is none."""
    found = re.search(r"^(?:Uncaught )?(\w*(?:Error|Exception)\b.*)$", output, re.MULTILINE)
    return found[1][:300] if found else ""


class HealthWatch:
    """Latencies of /health in seconds, corrected for coordinated omission: one blocked second is a hundred late samples, not one."""

    def __init__(self, server: Server, every: float) -> None:
        self._server, self._every = server, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[float] = []
        self.failure: CheckFailed | None = None

    def __enter__(self) -> "HealthWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT + 1)

    def _watch(self) -> None:
        try:
            connection = self._server.connect()
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    reply = connection.request("GET", "/health")
                except NoReply as gone:
                    if gone.kind != "closed":
                        raise
                    connection.close()  # a kept connection may be closed between two requests
                    connection = self._server.connect()
                    reply = connection.request("GET", "/health")
                reply.expect_status(200, because="A health check that fails takes your server out of service.")
                took = time.monotonic() - began
                missed = int(took / self._every)
                self.samples += [took - n * self._every for n in range(max(1, missed))]
                if reply.header("connection") == "close":
                    connection.close()
                    connection = self._server.connect()
                self._stop.wait(max(0.0, self._every - took))
            connection.close()
        except CheckFailed as failure:
            self.failure = failure

    def percentile(self, share: float) -> float:
        """Nearest rank, in seconds. Fails the check when /health did not answer at all."""
        if self.failure:
            raise self.failure
        if not self.samples:
            raise CheckFailed("GET /health did not answer even once while the work went on.")
        ordered = sorted(self.samples)
        return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
