"""The report: what one grading of one submission came to. Frozen; schema 1 is published as site/docs/reference/report.schema.json."""

import re
from typing import Any, Literal

import msgspec

Verdict = Literal["passed", "partial", "failed", "did_not_start", "rejected", "not_graded"]
Outcome = Literal["passed", "failed", "skipped"]


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request and its answer, as text for a person; bytes that are not text are escaped."""

    request: str
    response: str
    seconds: float
    truncated: bool


class CheckResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    title: str
    rule: str
    task: int
    visible: bool
    outcome: Outcome
    points: float
    max_points: float
    message: str = ""
    hint: str = ""
    misconception: str | None = None
    exchange: tuple[Exchange, ...] = ()
    seconds: float = 0.0


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sandbox saw of the learner's program, beside its answers."""

    sandbox: Literal["docker", "local"]
    message: str = ""
    """Why there are no checks: the sentence that goes with did_not_start, rejected or not_graded."""
    exit_code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False
    timed_out: bool = False
    """The suite's total time ran out."""
    listening_on: tuple[int, ...] = ()
    output: str = ""
    output_truncated: bool = False
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds of wall time."""

    start: float = 0.0
    """Until the sandbox was there."""
    ready: float = 0.0
    """From the start of the program until it accepted connections."""
    checks: float = 0.0
    stop: float = 0.0
    total: float = 0.0


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    learner: str | None
    exercise: str
    exercise_digest: str
    submission_digest: str
    """Empty when the submission could not be read."""
    verdict: Verdict
    points: float | None
    """None when nothing was graded: a machine's fault is never a 0."""
    max_points: float
    seed: int
    checks: tuple[CheckResult, ...]
    facts: Facts
    timings: Timings
    schema: Literal[1] = 1

    def to_json(self) -> bytes:
        """One line that any terminal can be shown: JSON lets DEL and the C1 controls stand, and a terminal takes U+009B for ESC [."""
        return re.sub(rb"\x7f|\xc2[\x80-\x9f]", lambda found: b"\\u%04x" % ord(found[0].decode()), msgspec.json.encode(self))


def verdict_of(checks: tuple[CheckResult, ...], expected: set[str]) -> Verdict:
    """passed only when every expected check reported a pass; failed when no point was earned."""
    if expected and {c.id for c in checks if c.outcome == "passed"} >= expected:
        return "passed"
    return "partial" if any(c.points > 0 for c in checks) else "failed"


def from_json(data: bytes) -> Report:
    """Raises msgspec.DecodeError for anything that is not a report of schema 1 (its subclass ValidationError when it is JSON at all)."""
    return msgspec.json.decode(data, type=Report)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the report."""
    schema = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Looplab report, schema 1", **schema}
