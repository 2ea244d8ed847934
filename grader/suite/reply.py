"""What came back, and what a check may expect of it: each expectation fails with a sentence for the learner."""

import json
from typing import Any, Literal, NoReturn

from grader.suite.expect import CheckFailed, expect_same, shown

Why = Literal["refused", "timeout", "closed", "incomplete", "invalid", "too long"]


class NoReply(CheckFailed):
    """There was no complete answer. `kind` says how it went wrong."""

    def __init__(self, kind: Why, message: str, exchange: int | None) -> None:
        super().__init__(message, exchange)
        self.kind = kind


class Reply:
    """A complete answer. Header names compare without case; the body is raw bytes."""

    def __init__(
        self, what: str, status: int, headers: list[tuple[str, str]], body: bytes, seconds: float, exchange: int, reason: str = ""
    ) -> None:
        self.what = what
        """The request in short, such as `POST /echo`."""
        self.status, self.headers, self.body = status, headers, body
        self.seconds = seconds
        """From the first byte sent to the last byte received."""
        self.exchange = exchange
        self.reason = reason
        """The words after the status, which nobody needs and everybody can read."""

    def header(self, name: str) -> str | None:
        """The value of a header; several of one name are joined by a comma, as RFC 9110 section 5.3 allows."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").split(";")[0].strip().lower()

    def fail(self, message: str, *, because: str = "") -> NoReturn:
        raise CheckFailed(f"{message} {because}".strip(), self.exchange)

    def expect_status(self, *allowed: int, because: str = "") -> "Reply":
        if self.status not in allowed:
            self.fail(f"{self.what} should be answered with {_either(allowed)}, but {self.status} came.", because=because)
        return self

    def expect_json(self, *allowed: int, because: str = "") -> Any:
        """The parsed body of an answer that should be JSON with one of the given statuses (default 200)."""
        self.expect_status(*(allowed or (200,)), because=because)
        if self.media_type != "application/json" and not (self.status >= 400 and self.media_type.endswith("+json")):
            self.fail(
                f"{self.what} should be answered with content-type application/json, but it is {self.header('content-type') or 'missing'}."
            )
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            self.fail(f"The answer to {self.what} says it is JSON, but it cannot be parsed: {shown(self.body)}")

    def expect_object(self, *allowed: int, because: str = "") -> dict[str, Any]:
        """Like `expect_json`, for an answer that should be a JSON object."""
        value = self.expect_json(*allowed, because=because)
        if not isinstance(value, dict):
            self.fail(f"The answer to {self.what} should be a JSON object, but it is {shown(value)}.")
        assert isinstance(value, dict)
        return value

    def expect_field(self, name: str, expected: object, *, because: str = "") -> None:
        """One field of a JSON object answer, by value. It has to be a success: what else came is said with `expect_object` first."""
        value = self.expect_object(self.status if 200 <= self.status < 300 else 200, because=because)
        if name not in value:
            self.fail(
                f"The answer to {self.what} should have a field `{name}`; it has {', '.join(map(str, value)) or 'none'}.", because=because
            )
        try:
            expect_same(f"`{name}` in the answer to {self.what}", value[name], expected, because=because)
        except CheckFailed as failure:
            failure.exchange = self.exchange
            raise

    def expect_error(self, *allowed: int, because: str = "") -> "Reply":
        """An error answer: one of the statuses, and a JSON object with a message where any framework puts it (SYLLABUS 5.3)."""
        value = self.expect_json(*allowed, because=because)
        if not (isinstance(value, dict) and _has_message(value)):
            self.fail(
                f"The error answer to {self.what} should be a JSON object with a message at `error`, `error.message`, "
                f"`message`, `detail` or `title`, but it is {shown(value)}."
            )
        return self


def _has_message(value: dict[str, Any]) -> bool:
    error = value.get("error")
    places = [
        error,
        error.get("message") if isinstance(error, dict) else None,
        value.get("message"),
        value.get("detail"),
        value.get("title"),
    ]
    errors = value.get("errors")
    return any(isinstance(place, str) and place.strip() for place in places) or (isinstance(errors, list) and bool(errors))


def _either(statuses: tuple[int, ...]) -> str:
    return " or ".join(["status " + str(statuses[0]), *map(str, statuses[1:])])
