"""Pieces that several formats share: a check as plain text, and text made harmless for whoever prints it."""

import json
import re
import unicodedata

from grader.report import CheckResult

CI_COMMANDS = (
    "add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|notice|"
    "remove-matcher|save-state|set-env|set-output|stop-commands|warning"
)
COMMAND = re.compile(rf"(:)(?=:(?:{CI_COMMANDS})\b)|(#)(?=#[\w.]*\[)", re.IGNORECASE)
"""What GitHub Actions obeys in a line, behind spaces too: `::set-output …`, `##[…]`. And `##vso[`, `##teamcity[` of others."""


def feedback(check: CheckResult) -> str:
    """A failed check as plain text: what happened, the sentence of the contract, the exchange."""
    parts = [check.message, f"The contract: {check.rule}"]
    for exchange in check.exchange[-1:]:
        parts += [f"Sent:\n{exchange.request}", f"Came:\n{exchange.response}"]
    return "\n\n".join(parts)


def safe(text: str) -> str:
    """Text from a learner without anything that could drive a terminal or a CI system, or hide in it."""
    lines = text.replace("\r\n", "\n").replace("\t", "    ")
    return COMMAND.sub(r"\1\2 ", "".join(c if c == "\n" or not unicodedata.category(c).startswith("C") else "\ufffd" for c in lines))


def safe_json(data: bytes) -> bytes:
    """The same JSON value, in which strings name by an escape what `safe` takes out of text."""
    text = data.decode()
    unsafe = "".join(c for c in set(text) if not " " <= c <= "~" and c != "\n" and unicodedata.category(c).startswith("C"))
    if unsafe:
        text = re.sub(f"[{re.escape(unsafe)}]", lambda m: json.dumps(m[0])[1:-1], text)
    return COMMAND.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode()


def xml_safe(text: str) -> str:
    """`safe`, and without the characters that XML 1.0 forbids (section 2.2), which an escape cannot carry either."""
    return "".join(c if c == "\n" or "\x20" <= c <= "\ufffd" or c >= "\U00010000" else "\ufffd" for c in safe(text))
