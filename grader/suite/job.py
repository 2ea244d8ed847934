"""What passes between the grader and the process that runs a suite."""

from typing import Any

import msgspec

from grader.exercise import Check


class Job(msgspec.Struct, frozen=True):
    """Everything that the suite's process is told. No secrets: no learner's name, no paths but its own."""

    tests: tuple[str, ...]
    """Paths of the suite's files."""
    checks: tuple[Check, ...]
    """The ones to run."""
    box: str
    """Folder with the sockets."""
    run_dir: str
    entry: str
    port: int
    direct: bool
    """The suite's process reaches that port itself; else through the supervisor."""
    temp: str
    env: dict[str, str]
    seed: int
    seconds: float
    """For the whole suite, without the time spent waiting for a quiet machine."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that the suite's process writes. `check` is empty for a line about the suite as a whole."""

    check: str = ""
    outcome: str = ""
    message: str = ""
    exchange: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    defect: str = ""
    """The check itself failed in a way no check should: for its author."""
    fault: str = ""
    """Our machine failed: nothing can be said about the submission."""
    overtime: bool = False
    """The check was skipped because the suite's total time was used up."""
    complete: bool = False
    """The suite came to its end: without this line, what is missing is our fault."""
    waiting: bool | None = None
    """The suite begins (true) or ends (false) to wait for a quiet machine."""
