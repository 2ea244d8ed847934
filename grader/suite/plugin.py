"""The pytest plugin: a plain object that runs the wanted checks against one box and reports each as it ends.

Each check gets a running server with its environment, its own deadline, its own random numbers and an empty journal. Whatever
goes wrong is put to the right account: the learner's server (failed), the author's check (a defect), or our machine (a fault).
"""

import contextlib
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest
from _pytest.runner import runtestprotocol

from grader.errors import SandboxFault, exhausted
from grader.exercise import Check
from grader.quiet import Noise, Quiet
from grader.sandbox.link import Link
from grader.suite.expect import CheckFailed
from grader.suite.job import Job, Result
from grader.suite.journal import Journal, printable
from grader.suite.reply import NoReply
from grader.suite.server import Server, last_words
from grader.suite.upstream import Upstream

MESSAGE_CHARACTERS_MAX = 2000


NOISY_SHARE = 0.25
"""A check that measures alone, and fails while others take this share of the machine, is run again: half of one core of two."""
NOISY_TRIES = 2
SILENCE_SECONDS = 2.0
AGAIN_SECONDS = 0.5
"""A check that swallowed its Overtime gets another one."""
EXIT_SECONDS = 0.15


class Overtime(CheckFailed):
    """The check's deadline passed."""


Emit = Callable[[Result], None]
Run = Callable[[Job, Emit, Callable[[], None]], None]
"""Runs a job, telling each result; calls the third as soon as it needs no more rights."""


class SuitePlugin:
    """Collects a suite, hands `run` to `serve`, and runs one job's checks when that is called (in a child of its own: once)."""

    def __init__(self) -> None:
        self.serve: Callable[[Run], None]
        self._broken: list[str] = []
        self._session: pytest.Session
        self._upstream: Upstream | None = None
        self._used = 0.0
        self._failure: BaseException | None = None
        self._given_up = ""

    # ---- collection

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(f"The suite cannot be imported:\n{report.longrepr}")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._session = session
        self.serve(self.run)
        return True

    # ---- one job

    def run(self, job: Job, emit: Emit, drop_rights: Callable[[], None]) -> None:
        self._quiet = Quiet(Path(job.run_dir))
        drop_rights()
        self._job, self._emit = job, emit
        self._wanted = {check.id: check for check in job.checks}
        self._journal = Journal()
        self._link = Link(Path(job.box), job.port if job.direct else None)
        self._server = Server(self._link, job.entry, job.port, job.temp, dict(job.env), self._journal)
        self._total_time = f"The {job.seconds:g} seconds for all checks were used up by the ones before."
        for defect in self._broken:
            emit(Result(defect=defect))
        if self._broken:
            return
        items = self._items()
        if any("upstream" in getattr(item, "fixturenames", ()) for item in items):
            self._upstream = Upstream(Path(job.box) / "upstream.sock")
            port = self._link.forward("upstream.sock")
            self._server._base_env["UPSTREAM_URL"] = f"http://127.0.0.1:{port}"
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._one(item, following)

    def _items(self) -> list[pytest.Item]:
        items = [item for item in self._session.items if item.name in self._wanted]
        random.Random(self._job.seed).shuffle(items)  # a server that knows the order of the checks should not gain by it
        return sorted(items, key=self._order)  # stable: checks of one environment share a server

    def _order(self, item: pytest.Item) -> str:
        return repr(sorted(_environment(item).items()))

    # ---- fixtures

    @pytest.fixture
    def server(self) -> Server:
        return self._server

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> random.Random:
        return random.Random(f"{self._job.seed} {request.node.name}")

    @pytest.fixture
    def upstream(self) -> Upstream:
        assert self._upstream is not None
        return self._upstream

    # ---- one check

    def _one(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        check = self._wanted[item.name]
        left = self._job.seconds - self._used
        if self._given_up or left <= 0.2:
            reason = self._given_up or self._total_time
            self._emit(Result(check=check.id, outcome="skipped", message=reason, overtime=not self._given_up))
            return
        began = 0.0
        turns = [False] * (not check.quiet) + [True] * (1 + NOISY_TRIES) * (check.quiet or check.bounded)
        for turn, alone in enumerate(turns, start=1):
            with self._turn(alone, again=turn > 1):
                began = time.monotonic()
                noise = Noise(self._our_processor_seconds) if alone else None
                result = self._run(item, nextitem, check, min(check.seconds, left))
                excused = noise is None or noise.share() > NOISY_SHARE
            if result.outcome != "failed" or turn == len(turns) or not excused:
                break
        self._used += time.monotonic() - began
        self._emit(Result(waiting=False))
        self._emit(result)

    def _our_processor_seconds(self) -> float:
        own = os.times()
        try:
            return own.user + own.system + self._link.stats().cpu_seconds
        except SandboxFault:  # the box is gone; what that means for the check is seen elsewhere
            return own.user + own.system

    @contextmanager
    def _turn(self, alone: bool, *, again: bool) -> Iterator[None]:
        """What is measured again costs nothing of the suite's time: to the grader it is waiting."""
        self._emit(Result(waiting=True))
        with self._quiet.hold(alone=alone):
            if not again:
                self._emit(Result(waiting=False))
            yield

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None, check: Check, limit: float) -> Result:
        self._journal.clear()
        self._failure = None
        if self._upstream:
            self._upstream.forget()
        failure: BaseException | None = None
        began = time.monotonic()
        try:
            self._bring_up(_environment(item))  # bounded by itself, and not taken from the check's time
            began = time.monotonic()
            with _deadline(limit):
                runtestprotocol(item, log=False, nextitem=nextitem)
            failure = self._failure
        except CheckFailed as down:  # the server did not come up for this check, or the check overran
            failure = self._failure or down
        except SandboxFault as fault:
            failure = fault
        if isinstance(failure, Exception):
            failure = exhausted(failure) or failure  # connections or threads of ours, not of the learner's
        if isinstance(failure, Overtime) and limit < check.seconds:
            message = f"The {self._job.seconds:g} seconds for all checks ended in the middle of this one."
            return Result(check=check.id, outcome="skipped", message=message, seconds=round(limit, 4), overtime=True)
        crash = None
        if not isinstance(failure, SandboxFault):
            try:
                crash = self._crash()
            except SandboxFault as fault:  # the box is gone: what failed may have failed for that reason
                failure = failure and fault
        seconds = round(time.monotonic() - began, 4)
        result = self._result(check, failure, crash, seconds)
        if not crash and (isinstance(failure, Overtime) or getattr(failure, "kind", "") == "timeout"):
            self._look_for_life()
        return result

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is not None and self._failure is None:
            self._failure = call.excinfo.value

    def _bring_up(self, environment: dict[str, str]) -> None:
        """A check finds a running server with its own environment, whatever the one before it did."""
        wanted = self._server.full_env(environment)
        if self._link.state() == "running" and self._server.env == wanted and not self._server.exit_is_expected:
            return
        self._link.stop()
        try:
            self._server.start(environment)
        except CheckFailed:
            if not environment:
                self._given_up = "Your server did not come up again after an earlier check ended it."
            raise

    def _look_for_life(self) -> None:
        """After silence: when even /health is silent, the next check gets a fresh server; when that is silent too, no check can pass."""
        for last in (False, True):
            if not isinstance(self._server.attempt("GET", "/health", timeout=SILENCE_SECONDS), NoReply):
                return
            if not last:
                self._link.stop()
                with contextlib.suppress(CheckFailed):
                    self._server.start()
        self._given_up = f"Your server does not answer even GET /health, freshly started, within {SILENCE_SECONDS:g} seconds."

    def _crash(self) -> str | None:
        if self._server.exit_is_expected:
            return None
        if self._journal.unanswered():  # a connection closes a moment before its process is known to have ended
            self._link.wait_exit(EXIT_SECONDS)
        return last_words(self._link.status()) if self._link.state() == "exited" else None

    def _result(self, check: Check, failure: BaseException | None, crash: str | None, seconds: float) -> Result:
        if isinstance(failure, SandboxFault):
            self._given_up = "not graded"
            return Result(check=check.id, fault=str(failure), seconds=seconds)
        if failure is None and not crash:
            return Result(check=check.id, outcome="passed", seconds=seconds)
        defect = ""
        if crash:
            message = f"Your server ended while it was being used: {crash.removesuffix('.')}. No request may end the process."
        elif isinstance(failure, CheckFailed) or (isinstance(failure, AssertionError) and failure.args):
            message = str(failure)
        else:
            assert failure is not None
            message = "Your server's answer has not the shape that the contract gives, so the check could not go on."
            defect = "".join(traceback.format_exception(failure.with_traceback(_from_suite(failure.__traceback__))))
        return Result(
            check=check.id,
            outcome="failed",
            message=printable(message)[:MESSAGE_CHARACTERS_MAX],
            exchange=tuple(self._journal.to_report(getattr(failure, "exchange", None))),
            seconds=seconds,
            defect=printable(defect),
        )


def _environment(item: pytest.Item) -> dict[str, str]:
    return dict(getattr(getattr(item, "function", None), "looplab_environment", {}))


def _from_suite(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the suite: pytest's own frames say nothing to an author."""
    while trace and not Path(trace.tb_frame.f_code.co_filename).name.startswith("test_"):
        trace = trace.tb_next
    return trace


@contextmanager
def _deadline(limit: float) -> Iterator[None]:
    """Raises Overtime in the main thread after `limit` seconds. Blocking calls are interrupted by the signal."""

    def overran(*_: object) -> None:
        raise Overtime(f"The check was not done after {limit:g} seconds. Does your server answer every request?")

    before = signal.signal(signal.SIGALRM, overran)
    signal.setitimer(signal.ITIMER_REAL, limit, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
