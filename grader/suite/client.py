"""A guarded HTTP/1.1 client over raw connections: the tester's shield against a hostile server.

Every operation has a total deadline, every body a byte cap; nothing is decompressed, followed or retried; each exchange is
recorded. What a server sends is parsed by h11 and stays bytes until a check asks for more.
"""

import json
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import h11

from grader.suite.journal import Entry, Journal
from grader.suite.reply import NoReply, Reply, Why

BODY_BYTES_MAX = 2 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
TIMEOUT = 4.0
"""Seconds for one request and its whole answer, unless a check says otherwise."""

RST_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all (socket(7))."""

Headers = dict[str, str] | list[tuple[str, str]]


class Connection:
    """One connection to the server: whole requests, or bytes as rude as a check needs."""

    def __init__(
        self, dial: Callable[[float], tuple[socket.socket, int | None]], reset: Callable[[int], None], journal: Journal, timeout: float
    ) -> None:
        self._journal = journal
        self._reset = reset
        self._unread = b""
        self.entry = journal.open()
        try:
            self._socket, self._number = dial(timeout)
        except (ConnectionError, TimeoutError) as error:
            kind: Why = "timeout" if isinstance(error, TimeoutError) else "refused"
            raise NoReply(kind, "Your server does not accept a connection on its port any more.", self.entry.number) from None

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def half_close(self) -> None:
        """Says "no more from me" (FIN) and goes on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with RST."""
        if self._number is None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        else:
            self._reset(self._number)
        self._socket.close()

    # ---- sending

    def send(self, data: bytes, timeout: float = TIMEOUT) -> None:
        """Sends raw bytes. Raises NoReply when the server has closed or does not read within `timeout` seconds."""
        if self.send_some(data, timeout) < len(data):
            raise NoReply("timeout", f"Your server did not read what was sent within {timeout:g} s.", self.entry.number)

    def send_some(self, data: bytes, timeout: float) -> int:
        """Sends as much as the server takes within `timeout` seconds and returns how many bytes that was."""
        self.entry.request.add(data)
        deadline = time.monotonic() + timeout
        sent = 0
        view = memoryview(data)
        self._socket.setblocking(False)
        while sent < len(data):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self._socket], [], left)[1]:
                break
            try:
                sent += self._socket.send(view[sent : sent + 65536])
            except BlockingIOError:
                continue
            except OSError:
                raise NoReply("closed", "Your server closed the connection while it was being sent to.", self.entry.number) from None
        return sent

    def send_request(
        self, method: str, path: str, headers: Headers | None = None, body: bytes | None = None, *, chunked: bool = False
    ) -> None:
        """Sends a request's head and, with `body`, all of it; with `chunked` the body follows by `send_chunk`."""
        self.send(request_head(method, path, headers, None if body is None else len(body), chunked) + (body or b""))

    def send_chunk(self, data: bytes, timeout: float = TIMEOUT) -> None:
        """One chunk of a chunked body; b"" is the last."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data), timeout)

    # ---- receiving

    def receive(self, timeout: float, at_most: int = 65536) -> bytes:
        """What comes next, raw; b"" when the server closed. Raises NoReply after `timeout` seconds of nothing."""
        if self._unread:
            data, self._unread = self._unread[:at_most], self._unread[at_most:]
            return data
        if timeout <= 0 or not select.select([self._socket], [], [], timeout)[0]:
            raise NoReply("timeout", "Nothing came from your server in time.", self.entry.number)
        try:
            data = self._socket.recv(at_most)
        except OSError:
            data = b""
        self.entry.response.add(data)
        return data

    def answer(self, method: str = "GET", what: str = "", timeout: float = TIMEOUT) -> "Answer":
        """Reads the head of the next answer; its body is then read from the result. `method` is that of the request (HEAD has no body)."""
        return Answer(self, method, what or method, time.monotonic() + timeout, timeout)

    def request(
        self,
        method: str,
        path: str,
        headers: Headers | None = None,
        body: bytes | Iterable[bytes] | None = None,
        *,
        json: Any = ...,
        timeout: float = TIMEOUT,
        max_bytes: int = BODY_BYTES_MAX,
    ) -> Reply:
        """One request and its whole answer on this connection. An iterable body is sent chunked, and no further than the server's answer.

        Raises NoReply when no complete answer came within `timeout` seconds.
        """
        if self.entry.request.total:  # a further exchange on a kept connection
            self.entry = self._journal.open()
            self.entry.response.add(self._unread)  # the server had said more than it was asked for
        started = time.monotonic()
        headers, body = with_json(headers, body, json)
        what = f"{method} {path if len(path) < 80 else path[:77] + '…'}"
        try:
            if body is None or isinstance(body, bytes):
                self._send_watching([request_head(method, path, headers, None if body is None else len(body), False), body or b""], timeout)
            else:
                pieces = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body if piece)
                self._send_watching(_chain(request_head(method, path, headers, None, True), pieces, b"0\r\n\r\n"), timeout)
        except NoReply as gone:
            if gone.kind != "closed" or not self._readable():
                raise  # else the server answered before it closed
        answer = Answer(self, method, what, started + timeout, timeout)
        return answer.read_all(max_bytes, started)

    def _readable(self) -> bool:
        return bool(self._unread or select.select([self._socket], [], [], 0)[0])

    def _send_watching(self, pieces: Iterable[bytes], timeout: float) -> None:
        """Sends pieces until all are out or an answer begins: a server may refuse a body before its end."""
        deadline = time.monotonic() + timeout
        self._socket.setblocking(False)
        for piece in pieces:
            self.entry.request.add(piece)
            view = memoryview(piece)
            while view:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NoReply(
                        "timeout", f"Your server neither read the whole request nor answered within {timeout:g} s.", self.entry.number
                    )
                readable, writable, _ = select.select([self._socket], [self._socket], [], left)
                if readable and not self._is_interim():
                    return
                if writable:
                    try:
                        view = view[self._socket.send(view[:65536]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        raise NoReply(
                            "closed", "Your server closed the connection before it had read the request.", self.entry.number
                        ) from None

    def _is_interim(self) -> bool:
        """Takes in what came; True while that is nothing but 1xx answers."""
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            raise NoReply("closed", "Your server closed the connection before it had read the request.", self.entry.number)
        self.entry.response.add(data)
        self._unread += data
        before, *heads = self._unread.split(b"HTTP/1.1 ")
        return not before and all(head.startswith(b"1") for head in heads) and len(self._unread) < HEAD_BYTES_MAX


class Answer:
    """An answer whose head has come and whose body is being read."""

    def __init__(self, connection: Connection, method: str, what: str, deadline: float, timeout: float) -> None:
        self._connection, self.what = connection, what
        self._deadline, self._timeout = deadline, timeout
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        # The parser needs to know what was asked, not to write it: its bytes are thrown away.
        self._parser.send(h11.Request(method=method, target="/", headers=[("host", "looplab")]))
        self._parser.send(h11.EndOfMessage())
        self.complete = False
        head = self._next_event()
        while isinstance(head, h11.InformationalResponse):
            head = self._next_event()
        assert isinstance(head, h11.Response)
        self.status = head.status_code
        self.reason = head.reason.decode("latin-1")
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]

    def header(self, name: str) -> str | None:
        return Reply(self.what, self.status, self.headers, b"", 0, 0).header(name)

    def read(self, timeout: float | None = None) -> bytes:
        """The next piece of the body as it arrives; b"" at its end. `timeout` in seconds from now replaces the answer's own deadline."""
        if timeout is not None:
            self._timeout, self._deadline = timeout, time.monotonic() + timeout
        while not self.complete:
            event = self._next_event()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                self.complete = True
                self._connection._unread = self._parser.trailing_data[0]
        return b""

    def pieces(self, timeout: float | None = None) -> Iterator[bytes]:
        """The body piece by piece; `timeout` in seconds for each."""
        while piece := self.read(timeout):
            yield piece

    def read_all(self, max_bytes: int = BODY_BYTES_MAX, started: float | None = None) -> Reply:
        body = bytearray()
        while piece := self.read():
            body += piece
            if len(body) > max_bytes:
                raise self._no_reply("too long", f"The answer to {self.what} is longer than {max_bytes} bytes.")
        entry = self._connection.entry
        entry.ended = time.monotonic()
        return Reply(self.what, self.status, self.headers, bytes(body), entry.ended - (started or entry.began), entry.number, self.reason)

    def _no_reply(self, kind: Why, message: str) -> NoReply:
        return NoReply(kind, message, self._connection.entry.number)

    def _next_event(self) -> Any:
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                if "closed connection" in str(error):
                    raise self._no_reply(
                        "incomplete", f"The answer to {self.what} broke off in the middle: the connection was closed before its end."
                    ) from None
                raise self._no_reply("invalid", f"The answer to {self.what} is not valid HTTP: {error}.") from None
            if event is not h11.NEED_DATA:
                return event
            left = self._deadline - time.monotonic()
            try:
                data = self._connection.receive(left)
            except NoReply:
                began = bool(self._connection.entry.response.total)
                raise self._no_reply(
                    "timeout",
                    f"The answer to {self.what} {'was not complete' if began else 'did not come'} within {self._timeout:g} s."
                    + ("" if began else " Is every path through your code answering?"),
                ) from None
            if not data and self._parser.their_state is h11.SEND_RESPONSE and not self._parser.trailing_data[0]:
                raise self._no_reply("closed", f"The connection was closed without an answer to {self.what}.")
            self._parser.receive_data(data)


def _chain(head: bytes, pieces: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from pieces
    yield tail


def with_json(headers: Headers | None, body: Any, value: Any) -> tuple[list[tuple[str, str]], Any]:
    """A JSON value becomes a body and a content-type, unless the headers name one."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    if value is not ...:
        body = json.dumps(value, ensure_ascii=False).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
    return pairs, body


def request_head(method: str, path: str, headers: Headers | None, length: int | None, chunked: bool) -> bytes:
    """A request head as a browser would write it: nothing in it tells a grader from a user."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    names = {name.lower() for name, _ in pairs}
    lines = [f"{method} {path} HTTP/1.1"]
    if "host" not in names:
        lines.append("Host: 127.0.0.1")
    lines += [f"{name}: {value}" for name, value in [("Accept", "*/*"), ("User-Agent", "Mozilla/5.0")] if name.lower() not in names]
    lines += [f"{name}: {value}" for name, value in pairs]
    if chunked and "transfer-encoding" not in names:
        lines.append("Transfer-Encoding: chunked")
    elif length is not None and "content-length" not in names:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


__all__ = ["Answer", "Connection", "Entry", "NoReply", "Reply"]
