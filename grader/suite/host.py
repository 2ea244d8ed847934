"""The grader's end: starts the warm process, hands it jobs, and takes in results, trusting nothing but what arrived in time."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

import msgspec

from grader.errors import SandboxFault
from grader.suite.job import Job, Result
from grader.warm import Started, start_suite_process

LINE_BYTES_MAX = 256 * 1024
GRACE_SECONDS = 10.0
"""After the suite's own time: for collecting, and for a check that cannot be interrupted."""
WAITING_SECONDS_MAX = 600.0
"""For a quiet machine, in all."""


@dataclass
class SuiteRun:
    """What the suite's process reported."""

    results: dict[str, Result] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    """For the author: checks that crashed, suites that could not be imported."""
    timed_out: bool = False


class SuiteStopped(SandboxFault):
    """The machinery failed in the middle of a check; what was reported before it stands in `run`."""

    def __init__(self, why: str, run: SuiteRun, check: str) -> None:
        super().__init__(why)
        self.run = run
        self.check = check


class SuiteHost:
    """Owns the warm process. Thread-safe: many gradings may run at the same time. Use as a context manager."""

    def __init__(self, *, warm: bool = True, started: Started | None = None) -> None:
        self._warm = warm
        self._process, self._channel = started or start_suite_process(warm=warm)
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._aborted = False

    def __enter__(self) -> "SuiteHost":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abort(self) -> None:
        """Ends every running suite, and every later one at once: their gradings become faults, never verdicts."""
        self._aborted = True
        with self._lock:
            for pid in self._running:
                _kill(pid)

    def run(self, job: Job, network: int | None = None) -> SuiteRun:
        """Runs one suite to its end or its limit, in the network namespace behind descriptor `network` when there is one.

        Raises SandboxFault when our own machinery failed.
        """
        if self._aborted:
            raise SandboxFault("The grading was interrupted.")
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            with self._lock:
                if self._process.poll() is not None:  # somebody killed it: the others need one
                    self._channel.close()
                    self._process, self._channel = start_suite_process(warm=self._warm)
                socket.send_fds(self._channel, [msgspec.json.encode(job)], [writer] if network is None else [writer, network])
        except OSError as error:
            os.close(reader)
            raise SandboxFault(f"The process that runs suites is gone: {error}.") from error
        finally:
            os.close(writer)
        try:
            return self._collect(reader, job.seconds)
        finally:
            os.close(reader)

    def _collect(self, reader: int, seconds: float) -> SuiteRun:
        run = SuiteRun()
        pid = 0
        pending = b""
        left = seconds + GRACE_SECONDS
        waiting, waited = False, 0.0
        try:
            while True:
                began = time.monotonic()
                budget = WAITING_SECONDS_MAX - waited if waiting else left
                readable = budget > 0 and bool(select.select([reader], [], [], budget)[0])
                took = time.monotonic() - began
                waited, left = (waited + took, left) if waiting else (waited, left - took)
                if not readable:
                    if waiting:
                        raise SandboxFault("The machine did not get quiet enough to measure. Grade fewer at a time.")
                    run.timed_out = True
                    return run
                chunk = os.read(reader, 65536)
                if not chunk:
                    raise SandboxFault("The grading was interrupted." if self._aborted else "The suite's process ended before its time.")
                pending += chunk
                *lines, pending = pending.split(b"\n")
                if len(pending) > LINE_BYTES_MAX:
                    raise SandboxFault("The suite reported a line without end.")
                for line in lines:
                    if not pid:
                        pid = int(line)
                        with self._lock:
                            self._running.add(pid)
                        continue
                    result = msgspec.json.decode(line, type=Result)
                    if result.complete:
                        return run
                    run.timed_out |= result.overtime
                    if result.waiting is not None:
                        waiting = result.waiting
                    if result.fault:
                        raise SuiteStopped(result.fault, run, result.check)
                    if result.defect:
                        run.defects.append(f"{result.check}: {result.defect}" if result.check else result.defect)
                    if result.check and result.outcome:
                        run.results[result.check] = result
        finally:
            if pid:
                with self._lock:
                    self._running.discard(pid)
                _kill(pid)


def _kill(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
