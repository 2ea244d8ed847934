"""What a benchmark came to: plain data with every single sample, which becomes raw.json and is read again from it."""

import math
import time
from collections.abc import Callable, Sequence

import msgspec

Tick = Callable[[str], None]
"""Called after each step with what is done next: for the progress bar."""


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the result. `unit` is of both values; smaller is better unless the unit says "a second"."""

    section: str
    name: str
    value: float
    baseline: float
    baseline_is: str
    unit: str
    goal: str = ""

    @property
    def ratio(self) -> float:
        """NaN when the baseline could not be told from nothing."""
        return self.value / self.baseline if self.baseline else math.nan


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All samples of one thing that was measured in one way, in the order in which they were taken."""

    section: str
    name: str
    way: str
    unit: str
    samples: tuple[float, ...]
    baseline: str = ""
    """The way that this one is to be compared with; empty when it is a baseline itself."""
    parallel: int = 0
    part: str = ""
    """Of a whole that was split, such as the processor time of a grade."""

    def percentile(self, share: float) -> float:
        return percentile(self.samples, share)


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be known to compare two runs."""

    date: str
    cores: int
    cpu: str
    memory_gb: float
    kernel: str
    cgroups: str
    docker: str
    node: str
    python: str
    load: float
    """Load average of the last minute when the run began."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    machine: Machine
    rounds: int
    count: int
    container_uses: int
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()
    """What was seen beside the figures, as sentences."""
    differs: tuple[str, ...] = ()
    """Outcomes that were not the same in all ways of grading the class: there must be none."""
    seconds: float = 0.0
    schema: int = 1

    def of(self, section: str) -> tuple[list[Figure], list[Series]]:
        return [f for f in self.figures if f.section == section], [s for s in self.series if s.section == section]


class Part(msgspec.Struct):
    """What one section adds to a Run."""

    figures: list[Figure] = []
    series: list[Series] = []
    notes: list[str] = []
    differs: list[str] = []


def to_json(run: Run) -> bytes:
    return msgspec.json.format(msgspec.json.encode(run), indent=1)


def from_json(data: bytes) -> Run:
    """Raises msgspec.DecodeError for anything that is not such a run."""
    return msgspec.json.decode(data, type=Run)


def percentile(samples: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest sample that at least `share` percent of all do not exceed. Always one that was really seen."""
    if not samples:
        raise ValueError("There is no percentile of nothing.")
    return sorted(samples)[max(1, math.ceil(share / 100 * len(samples))) - 1]


def median(samples: Sequence[float]) -> float:
    """By nearest rank as well, so that a figure and the table of percentiles say the same."""
    return percentile(samples, 50)


def alternating(rounds: int, *ways: Callable[[], None], tick: Tick = lambda text: None) -> list[list[float]]:
    """Seconds of each round of each way, after one that is not counted; taking turns, so that a slow moment of the machine hits all."""
    times: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for run, kept in zip(ways, times, strict=True):
            began = time.monotonic()
            run()
            if number:
                kept.append(time.monotonic() - began)
        tick("")
    return times


def compared(section: str, name: str, times: Sequence[Sequence[float]], baseline_is: str, unit: str, goal: str = "") -> Part:
    """Two ways to do one thing: the medians beside each other, and the samples of both. `times`: ours, theirs."""
    ours, theirs = times
    figure = Figure(section, name, median(ours), median(theirs), baseline_is, unit, goal)
    return Part(
        [figure],
        [Series(section, name, "ours", unit, tuple(ours), baseline_is), Series(section, name, baseline_is, unit, tuple(theirs))],
    )


def joined(parts: Sequence[Part]) -> Part:
    return Part(
        [f for part in parts for f in part.figures],
        [s for part in parts for s in part.series],
        [n for part in parts for n in part.notes],
        [d for part in parts for d in part.differs],
    )
