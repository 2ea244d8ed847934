"""Pieces that several plain formats share."""

from grader.report import CheckResult


def feedback(check: CheckResult) -> str:
    """A failed check as plain text: what happened, the sentence of the contract, the exchange."""
    parts = [check.message, f"The contract: {check.rule}"]
    for exchange in check.exchange[-1:]:
        parts += [f"Sent:\n{exchange.request}", f"Came:\n{exchange.response}"]
    return "\n\n".join(parts)


def xml_safe(text: str) -> str:
    """Without the characters that XML 1.0 forbids (section 2.2), which an escape cannot carry either."""
    return "".join(
        c if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "\ufffd" for c in text
    )
