"""What an author imports to write a suite. The fixtures are `server`, `rng` and `upstream`; see site/docs/authors/suite.md."""

from collections.abc import Callable
from typing import Any, TypeVar

from grader.suite.client import Answer, Connection
from grader.suite.expect import CheckFailed, expect, expect_same, fail, shown
from grader.suite.reply import NoReply, Reply
from grader.suite.server import HealthWatch, Server
from grader.suite.upstream import Hit, Upstream

F = TypeVar("F", bound=Callable[..., None])


def _mark(name: str, value: Any) -> Callable[[F], F]:
    def decorate(check: F) -> F:
        setattr(check, f"looplab_{name}", value)
        return check

    return decorate


def task(number: int) -> Callable[[F], F]:
    """The task of prompt.md that the check belongs to; its points are shared by the task's checks."""
    return _mark("task", number)


def rule(sentence: str) -> Callable[[F], F]:
    """The sentence of prompt.md, word for word, that the check proves."""
    return _mark("rule", sentence)


def visible(check: F) -> F:
    """Learners get this check in their own copy; the others stay hidden."""
    return _mark("visible", True)(check)


def hint(text: str) -> Callable[[F], F]:
    """Offered after a failure: a question, not the answer."""
    return _mark("hint", text)


def seconds(limit: float) -> Callable[[F], F]:
    """The check's own deadline, where 5 seconds do not do."""
    return _mark("seconds", limit)


def quiet(check: F) -> F:
    """The check measures time or memory: it runs while no other check of this machine does."""
    return _mark("quiet", True)(check)


def bounded(check: F) -> F:
    """The check compares time or memory with an upper bound, and nothing else that it measures.

    Others can only push such a figure up: a pass beside them counts, and a failure is measured again alone. That leaves the machine
    to all others nearly always, which `quiet` does not.
    """
    return _mark("bounded", True)(check)


def environment(**variables: str) -> Callable[[F], F]:
    """The check runs against a server started with these environment variables on top of the exercise's."""
    return _mark("environment", variables)


__all__ = [
    "Answer", "CheckFailed", "Connection", "HealthWatch", "Hit", "NoReply", "Reply", "Server", "Upstream",
    "bounded", "environment", "expect", "expect_same", "fail", "hint", "quiet", "rule", "seconds", "shown", "task", "visible",
]  # fmt: skip
