"""Small hand-made nouns for tests that need one and do not care which."""

from pathlib import Path
from typing import Any

import msgspec

from grader.exercise import Check, Exercise, Manifest, Task, Wrong
from grader.report import CheckResult, Exchange, Facts, Report, Timings


def check(id: str = "test_echo", **changes: Any) -> CheckResult:
    """A check that passed."""
    passed = CheckResult(
        id=id, title="What was sent comes back", rule="It comes back.", task=1, visible=True, outcome="passed", points=1.0, max_points=1.0
    )
    return msgspec.structs.replace(passed, **changes)


def failed(id: str = "test_echo", **changes: Any) -> CheckResult:
    exchange = (Exchange("GET / HTTP/1.1\n", "HTTP/1.1 500 Oh\n", 0.01, False),)
    return check(id, **{"outcome": "failed", "points": 0.0, "message": "500 came.", "hint": "Why?", "exchange": exchange, **changes})


def report(*checks: CheckResult, facts: dict[str, Any] | None = None, **changes: Any) -> Report:
    """A report of a passed submission, or of one with these checks."""
    made = Report(
        learner="ada",
        exercise="echo",
        exercise_digest="sha256:e",
        submission_digest="sha256:s",
        verdict="passed",
        points=1.0,
        max_points=1.0,
        seed=7,
        checks=checks or (check(),),
        facts=Facts(sandbox="local", **(facts or {})),
        timings=Timings(total=0.5),
    )
    return msgspec.structs.replace(made, **changes)


def not_graded(message: str = "The engine is gone.", **changes: Any) -> Report:
    return msgspec.structs.replace(report(facts={"message": message}), **{"verdict": "not_graded", "points": None, "checks": (), **changes})


def unusable(verdict: str, message: str, **changes: Any) -> Report:
    """A report without checks: `rejected` or `did_not_start`."""
    return msgspec.structs.replace(report(facts={"message": message}), **{"verdict": verdict, "points": 0.0, "checks": (), **changes})


def exercise(
    *ids: str, slug: str = "echo", folder: Path = Path("/nowhere"), wrong: tuple[Wrong, ...] = (), points: float = 1.0
) -> Exercise:
    """An exercise with one task and one visible check for each id."""
    manifest = Manifest(
        id="1",
        title="Echo",
        summary="Echo.",
        module="m00",
        difficulty=1,
        minutes=5,
        tasks=(Task(number=1, title="Echo what was sent", points=points),),
        wrong=wrong,
    )
    checks = tuple(
        Check(
            id=id,
            title="What was sent comes back",
            rule="It comes back.",
            task=1,
            visible=True,
            hint="",
            seconds=5.0,
            quiet=False,
            bounded=False,
        )
        for id in ids or ("test_echo",)
    )
    return Exercise(slug, folder, manifest, checks, "sha256:e")
