"""What the benchmark measures, as a list that can be read, and the loop over it."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from grader.bench.commands import whole_commands
from grader.bench.kernel import kernel_flood
from grader.bench.machine import LOAD_MAX, machine_facts
from grader.bench.memory import memory
from grader.bench.nbgrader import nbgrader_ten
from grader.bench.phases import first_answers, phases
from grader.bench.run import Part, Run, Tick
from grader.bench.throughput import SLOW_SHARE, class_throughput
from grader.settings import Settings

FEW = 7
"""Rounds at most where one takes seconds."""


@dataclass(frozen=True)
class Plan:
    settings: Settings
    rounds: int
    count: int
    parallels: tuple[int, ...] = (1, 2, 4, 8)
    notebooks: int = 10

    @property
    def few(self) -> int:
        return min(self.rounds, FEW)

    @property
    def slow_count(self) -> int:
        return math.ceil(self.count / SLOW_SHARE)


@dataclass(frozen=True)
class Section:
    name: str
    doing: str
    steps: Callable[[Plan], int]
    measure: Callable[[Plan, Tick], Part]


SECTIONS = (
    Section("commands", "whole commands", lambda p: 2 * (p.few + 1), lambda p, tick: whole_commands(p.settings, p.few, tick)),
    Section("phases", "one grade in its phases", lambda p: p.rounds, lambda p, tick: phases(p.settings, p.rounds, tick)),
    Section("first-answer", "to the first answer", lambda p: p.rounds + 1, lambda p, tick: first_answers(p.settings, p.rounds, tick)),
    Section(
        "class",
        "a class",
        lambda p: (3 * p.count + 2 * p.slow_count) * len(p.parallels),
        lambda p, tick: class_throughput(p.settings, p.count, p.parallels, tick),
    ),
    Section("memory", "memory of a grade", lambda p: p.few + 1, lambda p, tick: memory(p.settings, p.few, tick)),
    Section("kernel", "flooding a notebook", lambda p: p.few + 2, lambda p, tick: kernel_flood(p.settings, p.few, tick)),
    Section("nbgrader", "notebooks, ours and nbgrader's", lambda p: 4, lambda p, tick: nbgrader_ten(p.settings, p.notebooks, tick)),
)
Shown = Callable[[Section, Plan], AbstractContextManager[Tick]]


def measure(plan: Plan, only: tuple[str, ...], shown: Shown) -> Run:
    """Measures the sections named in `only`, or all. `shown` opens a progress bar for one and gives what moves it."""
    machine = machine_facts(plan.settings)
    began = time.monotonic()
    run = Run(machine, plan.rounds, plan.count, plan.settings.container_uses, notes=(busy,) if (busy := not_idle(machine.load)) else ())
    for section in SECTIONS:
        if not only or section.name in only:
            with shown(section, plan) as tick:
                part = section.measure(plan, tick)
            run = msgspec.structs.replace(
                run,
                figures=(*run.figures, *part.figures),
                series=(*run.series, *part.series),
                notes=(*run.notes, *part.notes),
                differs=(*run.differs, *part.differs),
            )
    return msgspec.structs.replace(run, seconds=round(time.monotonic() - began, 1))


def not_idle(load: float) -> str:
    """A sentence for a machine whose figures are not to be trusted; empty for an idle one."""
    if load <= LOAD_MAX:
        return ""
    return f"The machine was not idle when the run began (load average {load:g}): compare ratios, and run it again on a quiet one."
