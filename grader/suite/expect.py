"""How a check speaks: failures are sentences for the learner, never Python."""

import json
from typing import Any, NoReturn

SHOWN_MAX = 200
"""Characters of a value quoted inside a sentence; the whole exchange is shown beside it."""


class CheckFailed(AssertionError):
    """A check's verdict against the server. The text is a sentence for the learner."""

    def __init__(self, message: str, exchange: int | None = None) -> None:
        super().__init__(message)
        self.exchange = exchange
        """Number of the recorded exchange that shows it, or None for the last one."""


def fail(message: str, *, because: str = "") -> NoReturn:
    """Ends the check. `message` says what was expected and what came, `because` why it matters to a user of the server."""
    raise CheckFailed(f"{message} {because}".strip())


def expect(condition: object, message: str, *, because: str = "") -> None:
    """Ends the check with `message` when `condition` does not hold."""
    if not condition:
        fail(message, because=because)


def expect_same(what: str, came: object, expected: object, *, because: str = "") -> None:
    """Compares by value (1 = 1.0, key order free, but true is not 1); `what` names the thing as the learner knows it."""
    if not _same(came, expected):
        fail(f"{what} should be {shown(expected)}, but it is {shown(came)}.", because=because)


def _same(a: Any, b: Any) -> bool:
    pending = [(a, b)]
    while pending:
        left, right = pending.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pending += [(left[key], right[key]) for key in left]
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pending += zip(left, right, strict=True)
        elif isinstance(left, bool) != isinstance(right, bool) or left != right:
            return False
    return True


def shown(value: object) -> str:
    """A value as JSON, short enough for a sentence. Half a surrogate pair, which JSON can carry and UTF-8 cannot, is escaped."""
    try:
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a value that is nested too deep to be shown"
    except (TypeError, ValueError):
        text = str(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}… ({len(text)} characters)"
