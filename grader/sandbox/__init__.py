"""The only place that knows containers and processes. A Sandbox opens a Box around one submission; a Box is spoken to by its Link."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from grader.exercise import Limits
from grader.sandbox.link import Link
from grader.submission import Submission


@dataclass(frozen=True)
class Box:
    """An open sandbox with one submission in it. The program is not started yet."""

    link: Link
    temp: str
    """Folder that the program may write to, as the program sees it."""
    app: str
    """Folder of the submission, as the program sees it: cut out of messages."""
    port: int | None
    """The port the program should listen on, or None where any is free."""
    network: int | None = None
    """Descriptor of the program's network namespace, where the suite may enter it; else it goes through the supervisor."""


SandboxName = Literal["docker", "local"]


class Sandbox(AbstractContextManager["Sandbox"], Protocol):
    """Opens boxes; leaving it as a context manager removes whatever it keeps ready.

    Implementations pass tests/sandbox/test_contract.py, one list of behaviours for all.
    """

    name: SandboxName

    def open(self, submission: Submission, limits: Limits, packages: tuple[str, ...]) -> AbstractContextManager[Box]:
        """A box for one submission; leaving it kills and removes everything. Raises SandboxFault, EngineGone."""
        ...

    def ran_out_of_memory(self, box: Box) -> bool:
        """Whether a box whose supervisor fell silent was ended for its memory: then it is the learner's doing."""
        ...
