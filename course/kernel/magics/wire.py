"""HTTP/1.1 as it goes over the wire, read by hand: RFC 9112, with the framing kept for the reader instead of thrown away.

The kernel's own client, because every library hides what a lesson wants to show: how long each chunk was, whether the answer broke off,
what came before the final status, when the first byte arrived. It follows nothing, retries nothing and decompresses nothing.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field

BODY_BYTES_MAX = 16 * 1024 * 1024
HEAD_BYTES_MAX = 256 * 1024
CHUNKS_NAMED = 12


class NotHttp(Exception):
    """What came cannot be read as HTTP; the text says why."""


class TooLong(Exception):
    """The body is longer than BODY_BYTES_MAX."""


@dataclass
class Answer:
    """One answer, complete or as far as it came. Times in seconds since its request began to be sent."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    head: str
    body: bytearray = field(default_factory=bytearray)
    chunks: list[int] | None = None
    """Their sizes, when the body came in chunks."""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    length: int | None = None
    """As it was declared, when that counts."""
    no_body: str = ""
    """Why there can be none."""
    broken: str = ""
    """Why it is not complete; empty when it is."""
    first_byte: float = 0.0
    complete: float | None = None
    """None: it is not, so far."""

    @property
    def framing(self) -> str:
        """How the end of the body is known, in words."""
        came = len(self.body)
        if self.no_body:
            return f"no body: {self.no_body} never has one"
        if self.chunks is not None:
            declared = self.header("content-length")
            return _chunks_in_words(self.chunks) + (f"; its content-length ({declared}) does not count then" if declared else "")
        if self.length is not None:
            return f"content-length, {self.length:,} bytes" + (f", of which {came:,} came" if came < self.length else "")
        return f"{came:,} bytes, until the connection was closed (no length was declared)"

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").split(";")[0].strip().lower()


class Wire:
    """One connection, and what was read ahead of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._ahead = bytearray()
        self.began = 0.0
        self.first_byte: float | None = None
        """Of the answer that is being read."""
        self.closed = False

    async def send(self, data: bytes) -> None:
        self.began = time.perf_counter()
        self.writer.write(data)
        await self.writer.drain()

    async def more(self) -> bool:
        """Reads on; False at the end of the connection."""
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            data = b""
        if data and self.first_byte is None:
            self.first_byte = time.perf_counter() - self.began
        self._ahead += data
        self.closed = self.closed or not data
        return bool(data)

    @property
    def unread(self) -> bytes:
        return bytes(self._ahead)

    def take(self, count: int) -> bytes:
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        return data

    async def line(self) -> bytes | None:
        """The next line without its end (CRLF, or a bare LF as RFC 9112 section 2.2 tolerates); None when the connection ended before."""
        at = 0
        while (end := self._ahead.find(b"\n", at)) < 0:
            at = len(self._ahead)
            if at > HEAD_BYTES_MAX:
                raise NotHttp(f"a line is longer than {HEAD_BYTES_MAX // 1024} kB")
            if not await self.more():
                return None
        return self.take(end + 1)[:-1].removesuffix(b"\r")


async def read_answer(wire: Wire, method: str, interim: list[Answer], answers: list[Answer]) -> bool:
    """The next final answer goes to `answers`, as soon as its head is there; 1xx answers before it go to `interim`.

    False when the connection ended instead. Raises NotHttp or TooLong. An answer that breaks off has `broken` set.
    """
    wire.first_byte = time.perf_counter() - wire.began if wire.unread else None
    while True:
        answer = await _head(wire)
        if answer is None or not 100 <= answer.status <= 199 or answer.status == 101:
            break
        interim.append(answer)
    if answer is None:
        return False
    answers.append(answer)
    answer.first_byte = wire.first_byte or 0.0
    await _body(wire, answer, method)
    answer.complete = time.perf_counter() - wire.began
    return True


async def _head(wire: Wire) -> Answer | None:
    first = await wire.line()
    if first is None:
        if wire.unread:
            raise NotHttp(f"the connection ended after {_excerpt(wire.unread)}")
        return None
    found = re.fullmatch(r"(HTTP/\d\.\d) (\d{3})(?: (.*))?", first.decode("latin-1"))
    if not found:
        raise NotHttp(f"it begins with {_excerpt(first)}")
    lines = [found[0]]
    headers = await _fields(wire, lines)
    if headers is None:
        raise NotHttp("its head was not complete when the connection ended")
    return Answer(found[1], int(found[2]), found[3] or "", headers, "\n".join(lines))


async def _fields(wire: Wire, lines: list[str]) -> list[tuple[str, str]] | None:
    """Header or trailer fields up to the empty line, which also go to `lines` as they came. None when the connection ended before."""
    fields: list[tuple[str, str]] = []
    size = 0
    while line := await wire.line():
        size += len(line)
        if size > HEAD_BYTES_MAX:
            raise NotHttp(f"its head is longer than {HEAD_BYTES_MAX // 1024} kB")
        text = _text(line)
        name, colon, value = text.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise NotHttp(f"this line of its head is no header: {_excerpt(line)}")
        lines.append(text)
        fields.append((name, value.strip()))
    return None if line is None else fields


async def _body(wire: Wire, answer: Answer, method: str) -> None:
    """RFC 9112 section 6.3, in its order."""
    if method == "HEAD" or answer.status in (101, 204, 304):
        answer.no_body = "an answer to HEAD" if method == "HEAD" else f"status {answer.status}"
        return
    coding, length = answer.header("transfer-encoding"), answer.header("content-length")
    if coding and coding.lower().split(",")[-1].strip() == "chunked":
        await _chunked(wire, answer, [])
        return
    if coding is None and length is not None:
        values = {value.strip() for value in length.split(",")}
        if len(values) != 1 or not length.split(",")[0].strip().isdecimal():
            raise NotHttp(f"its content-length is {length!r}")
        await _sized(wire, answer, int(values.pop()))
        return
    while wire.unread or await wire.more():
        _add(answer, wire.take(65536))


async def _sized(wire: Wire, answer: Answer, length: int) -> None:
    answer.length = length
    while len(answer.body) < length and (wire.unread or await wire.more()):
        _add(answer, wire.take(length - len(answer.body)))
    if len(answer.body) < length:
        answer.broken = f"The answer broke off: {length:,} bytes were declared, {len(answer.body):,} came before the connection was closed."


async def _chunked(wire: Wire, answer: Answer, sizes: list[int]) -> None:
    answer.chunks = sizes
    while True:
        line = await wire.line()
        if line is None:
            answer.broken = "The answer broke off: the last chunk, which has the size 0, never came."
            break
        found = re.fullmatch(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?", line)
        if not found:
            raise NotHttp(f"a chunk should begin with its size, but there is {_excerpt(line)}")
        size = int(found[1], 16)
        if size == 0:
            trailers = await _fields(wire, [])
            if trailers is None:
                answer.broken = "The answer broke off: the empty line after the last chunk never came."
            answer.trailers = trailers or []
            break
        want = len(answer.body) + size
        while len(answer.body) < want and (wire.unread or await wire.more()):
            _add(answer, wire.take(want - len(answer.body)))
        sizes.append(size - (want - len(answer.body)))
        if len(answer.body) < want:
            answer.broken = f"The answer broke off inside a chunk of {size:,} bytes."
            break
        if await wire.line():
            raise NotHttp(f"a chunk of {size} bytes is followed by more than its line end")


def _chunks_in_words(sizes: list[int]) -> str:
    if not sizes:
        return "chunked, no chunk but the last (0 bytes)"
    named = " + ".join(f"{size:,}" for size in sizes[:CHUNKS_NAMED]) + (" + …" if len(sizes) > CHUNKS_NAMED else "")
    total = f" = {sum(sizes):,}" if len(sizes) > 1 else ""
    return f"chunked, {len(sizes):,} {'chunk' if len(sizes) == 1 else 'chunks'}: {named}{total} bytes"


def _add(answer: Answer, data: bytes) -> None:
    answer.body += data
    if len(answer.body) > BODY_BYTES_MAX:
        raise TooLong


def _text(data: bytes) -> str:
    """Header fields are bytes; most are ASCII, some UTF-8, and what is neither is at least shown."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _excerpt(data: bytes) -> str:
    shown = data[:60].decode("ascii", "backslashreplace")
    return f"“{shown}{'…' if len(data) > 60 else ''}”"
