"""The record of what a check sent and what came, with caps, as text for a person."""

import threading
import time
from dataclasses import dataclass, field

BYTES_KEPT = 2048
"""Of each side of an exchange. Enough for any head and a short body; the rest is counted, not kept."""
EXCHANGES_SHOWN = 3


def printable(text: str) -> str:
    """With escapes for every character that is none to look at, but the line feed: lone surrogates too, which no report can carry."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in text)


@dataclass
class Side:
    """One direction of an exchange."""

    kept: bytearray = field(default_factory=bytearray)
    total: int = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        self.kept += data[: BYTES_KEPT - len(self.kept)]

    def text(self) -> str:
        """UTF-8 where it is, escapes where it is not; no control character survives but the newline."""
        text = printable(bytes(self.kept).decode("utf-8", "backslashreplace").replace("\r\n", "\n"))
        return text + (f"\n… ({self.total} bytes in all)" if self.total > len(self.kept) else "")


@dataclass
class Entry:
    number: int
    request: Side = field(default_factory=Side)
    response: Side = field(default_factory=Side)
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def to_report(self) -> dict[str, object]:
        return {
            "request": self.request.text(),
            "response": self.response.text() or "(nothing came)",
            "seconds": round((self.ended or time.monotonic()) - self.began, 4),
            "truncated": any(side.total > len(side.kept) for side in (self.request, self.response)),
        }


class Journal:
    """All exchanges of the running check. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._count = 0

    def clear(self) -> None:
        with self._lock:
            self._entries = []
            self._count = 0

    def open(self) -> Entry:
        with self._lock:
            entry = Entry(self._count)
            self._count += 1
            self._entries.append(entry)
            if len(self._entries) > 512:  # a check that sends thousands keeps only the latest
                del self._entries[:256]
            return entry

    def unanswered(self) -> bool:
        """Whether something was sent that got no complete answer: the trace that a dying server leaves."""
        with self._lock:
            return any(e.request.total and e.ended is None for e in self._entries)

    def to_report(self, guilty: int | None) -> list[dict[str, object]]:
        """The exchange that shows the failure, after the few that led to it."""
        with self._lock:
            upto = [e for e in self._entries if e.request.total and (guilty is None or e.number <= guilty)]
        return [entry.to_report() for entry in upto[-EXCHANGES_SHOWN:]]
