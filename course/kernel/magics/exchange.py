"""One request on a connection of its own, and whatever comes back: sent, read, shown to a person, given to a variable."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Awaitable
from html import escape
from typing import Any, NoReturn, TypeVar

from course.kernel.magics.cell import Cell
from course.kernel.magics.wire import Answer, Wire, read_answer
from grader.formats.html import BAD, DIM, GOOD, PRE, WARN
from grader.formats.text import safe

T = TypeVar("T")
SHOWN_CHARACTERS = 256 * 1024
HEX_BYTES = 256
PIPELINED_MAX = 20
PIPELINE_SECONDS = 0.25
"""How long a raw request waits for a further answer: nobody knows how many were asked for."""


class Exchange:
    """One connection, from before it is made until it is closed."""

    def __init__(self, method: str, raw: bool) -> None:
        self._method, self._raw = method, raw
        self._wire: Wire | None = None
        self.connected: float | None = None
        """Seconds."""
        self.interim: list[Answer] = []
        self.answers: list[Answer] = []

    @property
    def began(self) -> bool:
        """A part of an answer has come."""
        return bool(self._wire and self._wire.first_byte is not None)

    async def run(self, host: str, port: int, data: bytes) -> None:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection(host, port, limit=1024 * 1024)
        self.connected = time.perf_counter() - began
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire = wire = Wire(reader, writer)
        sending = asyncio.ensure_future(wire.send(data))
        try:
            await self._read(wire)
        finally:
            sending.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await sending

    async def _read(self, wire: Wire) -> None:
        while len(self.answers) < PIPELINED_MAX:
            if not await read_answer(wire, self._method, self.interim, self.answers):
                return
            if not self._raw or self.answers[-1].broken or (not wire.unread and not await _soon(wire.more())):
                return

    def close(self) -> None:
        if self._wire:
            self._wire.writer.transport.abort()


async def _soon(work: Awaitable[T]) -> T | None:
    try:
        return await asyncio.wait_for(work, PIPELINE_SECONDS)
    except TimeoutError:
        return None


def show_exchange(cell: Cell, exchange: Exchange, added: list[str], trouble: str) -> None:
    """The answers with their framing and times; `added` are headers that the person did not write, `trouble` is why something lacks."""
    plain, html = [], []
    if added:
        plain.append(f"(added: {', '.join(added)})")
        html.append(f'<div style="font-size:.85em;{DIM}">added to your request: {escape(", ".join(added))}</div>')
    for answer in exchange.interim + exchange.answers:
        line, _, headers = answer.head.partition("\n")
        body, what = _shown_body(answer)
        facts = []
        if answer in exchange.answers:
            connected = f"connected in {_ms(exchange.connected or 0)}" if answer is exchange.answers[0] else ""
            complete = f"complete after {_ms(answer.complete)}" if answer.complete and not answer.broken else "not complete"
            facts = [answer.framing, what, connected, f"first byte after {_ms(answer.first_byte)}", complete]
        trailers = [f"{name}: {value}" for name, value in answer.trailers]
        facts += [f"trailers: {', '.join(trailers)}"] if trailers else []
        summary = " · ".join(safe(fact) for fact in facts if fact)
        plain.append(safe("\n".join([line, *([headers] if headers else []), *(["", body] if body else [])])) + f"\n\n({summary})")
        colour = GOOD if answer.status < 400 else WARN if answer.status < 500 else BAD
        head = f'<strong style="{colour}">{escape(safe(line))}</strong>\n<span style="opacity:.8">{escape(safe(headers))}</span>'
        scroll = ";max-height:32em;overflow:auto"
        html.append(f'<pre style="{PRE}{scroll}">{head}{chr(10) * 2 if body else ""}{escape(safe(body))}</pre>')
        html.append(f'<div style="font-size:.85em;margin-bottom:.5em;{DIM}">{escape(summary)}</div>')
    if trouble:
        html.append(f'<div style="{BAD}">{escape(safe(trouble))}</div>')
        plain.append(safe(trouble))
    if exchange.interim or exchange.answers:
        cell.display({"text/plain": "\n".join(plain), "text/html": "".join(html)})
    elif trouble:
        cell.write(f"{safe(trouble)}\n", "stderr")


def _shown_body(answer: Answer) -> tuple[str, str]:
    """The body as it came, and what must be said about it."""
    data = bytes(answer.body)
    if not data:
        return "", ""
    text = _as_text(data)
    if text is None or _is_binary(text):
        return _hex(data[:HEX_BYTES]), f"binary{f', the first {HEX_BYTES} bytes are shown' if len(data) > HEX_BYTES else ''}"
    if len(text) > SHOWN_CHARACTERS:
        return text[:SHOWN_CHARACTERS] + "…", f"the first {SHOWN_CHARACTERS // 1024} kB are shown"
    return text, ""


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_binary(text: str) -> bool:
    return bool(re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text[:4096]))


def _hex(data: bytes) -> str:
    rows = [data[at : at + 16] for at in range(0, len(data), 16)]
    texts = [re.sub("[^ -~]", ".", row.decode("latin-1")) for row in rows]
    numbered = enumerate(zip(rows, texts, strict=True))
    return "\n".join(f"{n * 16:04x}  {row.hex(' ').ljust(47)}  {text}" for n, (row, text) in numbered)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def exchange_value(exchange: Exchange, trouble: str) -> dict[str, Any]:
    """What a notebook's variable says about the (first) answer. Times in ms; status 0: there was none."""
    if not exchange.answers:
        nothing = {"status": 0, "reason": "", "headers": {}, "body": "", "json": None, "ms": None, "firstByteMs": None, "framing": ""}
        return {**nothing, "error": trouble}
    answer = exchange.answers[0]
    data = bytes(answer.body)
    text = _as_text(data)
    return {
        "status": answer.status,
        "reason": answer.reason,
        "headers": _joined(answer.headers),
        "body": data.decode("latin-1") if text is None else text,
        "json": _parsed(text) if re.fullmatch(r"application/(.+\+)?json", answer.media_type) and text is not None else None,
        "ms": None if answer.complete is None else round(answer.complete * 1000, 3),
        "firstByteMs": round(answer.first_byte * 1000, 3),
        "framing": answer.framing,
        "error": trouble or None,
    }


def _joined(headers: list[tuple[str, str]]) -> dict[str, Any]:
    """As Node gives them: lower-case names, values of one name joined by a comma, but set-cookie a list."""
    joined: dict[str, Any] = {}
    for name, value in headers:
        key = name.lower()
        if key == "set-cookie":
            joined.setdefault(key, []).append(value)
        else:
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _parsed(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)  # NaN and Infinity are Python's, not JSON's

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
