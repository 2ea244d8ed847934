"""Untrusted text on its way to a page: without what breaks JSON, a terminal or the reader, and not without end."""

import re
from typing import Any

LINES_MAX = 2_000
CHARACTERS_MAX = 256 * 1024
"""Of one cell. The agent has the same limits for what goes through `process.stdout` (agent/output.cjs)."""

_COLOUR = r"\x1b\[[0-9;]*m"
_UNWANTED = re.compile(rf"({_COLOUR})|\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]{{0,200}}(?:\x07|\x1b\\)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Keeps line ends, tabs and colours; other control characters become �, and so do halves of surrogate pairs."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _UNWANTED.sub(lambda match: match[1] or ("" if match[0].startswith("\x1b[") or match[0].startswith("\x1b]") else "�"), text)


def clean_json(value: Any) -> Any:
    """The same for every text inside of a JSON value, which Jupyter could not encode otherwise. Control characters may stay."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [clean_json(one) for one in value]
    if isinstance(value, dict):
        return {clean_json(key): clean_json(one) for key, one in value.items()}
    return value


class Allowance:
    """How much a cell may still write."""

    def __init__(self, lines: int = LINES_MAX, characters: int = CHARACTERS_MAX) -> None:
        self._lines, self._characters = lines, characters
        self.lost_lines = 0
        self.lost_characters = 0

    def take(self, text: str) -> str:
        """The part of `text` that may be written; the rest is counted."""
        kept = text[: max(0, self._characters)] if self._lines else ""
        lines = kept.count("\n")
        if lines >= self._lines > 0:
            kept = "".join(kept.splitlines(keepends=True)[: self._lines])
            lines = kept.count("\n")
        self._lines -= lines
        self._characters -= len(kept)
        self.lost_lines += text.count("\n", len(kept))
        self.lost_characters += len(text) - len(kept)
        return kept


def truncation(lines: int, characters: int) -> str:
    """The sentence below an output that was cut."""
    size = f"{characters / 1024 / 1024:.1f} MB" if characters >= 1024 * 1024 else f"{max(1, round(characters / 1024))} kB"
    return f"… truncated: {lines:,} more lines ({size}) are not shown. Print less, or write to a file.\n"
