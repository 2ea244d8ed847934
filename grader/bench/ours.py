"""Our own grader under measurement: its containers are looked at just before they are given back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from grader.bench.machine import container_group, group_of, group_peak, group_seconds, present_seconds
from grader.errors import SandboxFault
from grader.exercise import Limits
from grader.grade import Grader
from grader.sandbox import Box
from grader.sandbox.docker import DockerSandbox, Engine, sweep
from grader.sandbox.image import image_tag
from grader.sandbox.workplace import Workplace
from grader.settings import Settings
from grader.submission import Submission
from grader.suite.host import SuiteHost
from grader.warm import start_suite_process

REFILL_SECONDS = 30.0


@dataclass
class Used:
    """What a container has used so far."""

    all_seconds: float = 0.0
    """Everything in it since its start, the supervisor's own start included."""
    learner_seconds: float = 0.0
    """Of all the submissions that were in it."""
    peak_bytes: int = 0
    supervisor_seconds: float = field(default=0.0, repr=False)


class MeasuredSandbox(DockerSandbox):
    """Notes what each container used. Where its control group cannot be read, the sums stay 0."""

    def __init__(self, engine: Engine, image: str, workplace: Workplace, *, uses: int = 1, spares: int = 0) -> None:
        super().__init__(engine, image, workplace, uses=uses, spares=spares)
        self.used: dict[str, Used] = {}

    @contextmanager
    def open(self, submission: Submission, limits: Limits, packages: tuple[str, ...]) -> Iterator[Box]:
        with super().open(submission, limits, packages) as box:
            container = self._open[box.link.folder].id
            used = self.used.setdefault(container, Used())
            group, memory = container_group(container, "cpuacct"), container_group(container, "memory")
            before, supervisor = group_seconds(group), present_seconds(group)  # the supervisor and init: no learner has started yet
            yield box
            used.all_seconds = group_seconds(group)
            used.learner_seconds += max(0.0, used.all_seconds - before - (present_seconds(group) - supervisor))
            used.peak_bytes = max(used.peak_bytes, group_peak(memory))

    def sums(self) -> tuple[float, float]:
        """Processor seconds of all containers so far: the learners', and everything else in them."""
        learners = sum(used.learner_seconds for used in self.used.values())
        return learners, sum(used.all_seconds for used in self.used.values()) - learners

    def spread_ages(self) -> None:
        """Makes the containers that wait of all ages, as in the middle of a long run: then as many come to their end as always do."""
        with self._lock:
            for number, container in enumerate(self._idle):
                container.used = max(container.used, number * self._uses // len(self._idle))

    def await_spares(self, limits: Limits) -> None:
        """Returns when all spare containers wait. Raises SandboxFault when they do not come."""
        self.warm(limits)
        deadline = time.monotonic() + REFILL_SECONDS
        while True:
            with self._lock:
                there = sum(container.limits == limits for container in self._idle)
                busy = any(not future.done() for made in self._making.values() for future in made)
            if there >= self._spares and not busy:
                return
            if time.monotonic() > deadline:
                raise SandboxFault(f"The spare containers did not come back within {REFILL_SECONDS:g} s.")
            time.sleep(0.005)


@dataclass
class Bench:
    """One warm suite process for all that is measured, and where its processor time is counted."""

    settings: Settings
    suites: SuiteHost
    suites_pid: int
    group: Path | None

    def suite_seconds(self) -> float:
        return group_seconds(self.group)

    @contextmanager
    def sandbox(self, *, uses: int = 1, spares: int = 0) -> Iterator[MeasuredSandbox]:
        with Workplace(self.settings.run_dir) as workplace:
            sandbox = MeasuredSandbox(Engine(), image_tag(self.settings), workplace, uses=uses, spares=spares)
            with sandbox:
                yield sandbox

    def grader(self, sandbox: MeasuredSandbox) -> Grader:
        return Grader(sandbox, self.suites, self.settings.run_dir)


@contextmanager
def open_bench(settings: Settings) -> Iterator[Bench]:
    """Begins like every grader: with a sweep of what a killed one left, which would otherwise take processor time here."""
    with Workplace(settings.run_dir) as workplace:
        workplace.sweep()
        sweep(Engine(), workplace)
    started = start_suite_process(warm=True)
    with group_of(started.process.pid) as group, SuiteHost(started=started) as suites:
        yield Bench(settings, suites, started.process.pid, group)


def milliseconds(seconds: list[float]) -> tuple[float, ...]:
    return tuple(round(1000 * value, 3) for value in seconds)
