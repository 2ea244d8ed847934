"""%%http: what is sent, what came, and what is said when it did not."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from course.kernel.magics.wire import Answer, NotHttp, Wire, read_answer
from tests.kernel.magics.cells import PlainCell, fails, run, run_with
from tests.kernel.magics.test_servers import until_ended

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Scripted:
    """A server that says what a test tells it to, whatever it hears."""

    def __init__(self, *pieces: bytes, pause: float = 0.0, stay: float = 0.0) -> None:
        self.pieces, self.pause, self.stay = pieces, pause, stay
        self.heard = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(10)
                self.heard += connection.recv(65536)
                for piece in self.pieces:
                    connection.sendall(piece)
                    self._over.wait(self.pause)
                self._over.wait(self.stay)
                connection.settimeout(0.05)
                while data := connection.recv(65536):
                    self.heard += data

    def close(self) -> None:
        self._over.set()
        self._socket.close()
        self._thread.join(10)


@contextmanager
def scripted(*pieces: bytes, pause: float = 0.0, stay: float = 0.0) -> Iterator[Scripted]:
    server = Scripted(*pieces, pause=pause, stay=stay)
    try:
        yield server
    finally:
        server.close()


def asked(cell: PlainCell, request: str, *pieces: bytes, options: str = "", pause: float = 0.0, stay: float = 0.0) -> tuple[bytes, Any]:
    """Sends a request to a server that answers with `pieces`: what it heard, and the variable `r`."""
    with scripted(*pieces, pause=pause, stay=stay) as server:
        run(cell, f"%%http --to {server.port} --as r {options}\n{request}")
    return server.heard, cell.variables["r"]


# ---- what is sent


def test_host_and_length_are_added_and_said(cell: PlainCell) -> None:
    heard, _ = asked(cell, 'POST /echo HTTP/1.1\nContent-Type: application/json\n\n{"name": "José"}', OK)

    lines = heard.decode().split("\r\n")
    assert lines[0] == "POST /echo HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert lines[2:] == ["Content-Length: 17", "Content-Type: application/json", "", '{"name": "José"}']
    assert "(added: Host: 127.0.0.1:" in cell.plain
    assert "Content-Length: 17)" in cell.plain


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n \n"])
def test_a_head_alone_may_end_with_empty_lines_or_without(cell: PlainCell, ending: str) -> None:
    heard, _ = asked(cell, f"GET /x HTTP/1.1{ending}", OK)

    assert heard.startswith(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:") and heard.endswith(b"\r\n\r\n")
    assert heard.count(b"\r\n") == 3


def test_what_is_there_is_not_added(cell: PlainCell) -> None:
    heard, _ = asked(cell, "PUT /x\nhost: example\ncontent-length: 1\n\nabc", OK)

    assert heard == b"PUT /x HTTP/1.1\r\nhost: example\r\ncontent-length: 1\r\n\r\nabc"
    assert "added" not in cell.plain


def test_a_get_has_no_length_and_a_bare_post_has_zero(cell: PlainCell) -> None:
    get, _ = asked(cell, "GET /", OK)
    post, _ = asked(cell, "POST /", OK)

    assert b"Content-Length" not in get
    assert b"Content-Length: 0\r\n" in post


def test_a_body_may_be_sent_as_one_chunk(cell: PlainCell) -> None:
    heard, _ = asked(cell, "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\nhello\nworld", OK)

    assert heard.endswith(b"\r\n\r\nb\r\nhello\nworld\r\n0\r\n\r\n")
    assert b"Content-Length" not in heard


def test_raw_sends_what_stands_there_with_the_line_ends_of_http(cell: PlainCell) -> None:
    heard, _ = asked(cell, "get / HTTP/1.1\nHost : x\n", OK, options="--raw")
    body, _ = asked(cell, "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", OK, options="--raw")
    nonsense, _ = asked(cell, "\x16\x03 é", OK, options="--raw")

    assert heard == b"get / HTTP/1.1\r\nHost : x\r\n\r\n"
    assert body == b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert nonsense == "\x16\x03 é\r\n".encode()


def test_an_address_in_the_request_line_is_where_it_goes(cell: PlainCell) -> None:
    with scripted(OK) as server:
        run(cell, f"%%http\nGET http://127.0.0.1:{server.port}/a?b=1 HTTP/1.1")

    assert server.heard.startswith(b"GET /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("request_text", "sentence"),
    [
        ("", 'The first line of a request is like "GET /health HTTP/1.1", not "".'),
        ("GET", 'The first line of a request is like "GET /health HTTP/1.1", not "GET".'),
        ("GET health", 'The path of a request begins with "/": GET /health HTTP/1.1'),
        ("POST /\nno header", 'A header is like "Name: value"; this is neither: "no header".'),
        ('POST /\na: b\n{"x": 1}', 'An empty line must stand between the headers and the body; this is neither: "{"x": 1}".'),
        ("GET https://example.org/", 'This speaks plain HTTP, not "https": http://127.0.0.1:3000.'),
    ],
)
def test_a_request_that_is_none_is_explained(cell: PlainCell, request_text: str, sentence: str) -> None:
    assert fails(cell, f"%%http --to 1\n{request_text}").value.startswith(sentence)


# ---- what came


def test_the_answer_is_shown_as_it_came(cell: PlainCell) -> None:
    _, r = asked(
        cell,
        "GET /",
        b'HTTP/1.1 201 Made It\r\nX-One: 1\r\nx-one: 2\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 10\r\n\r\n{"n":\t 1 }',
    )

    assert "HTTP/1.1 201 Made It\nX-One: 1\nx-one: 2" in cell.plain
    assert '{"n":     1 }' in cell.plain
    assert "content-length, 10 bytes · connected in " in cell.plain
    assert (r["status"], r["reason"], r["body"], r["json"], r["error"]) == (201, "Made It", '{"n":\t 1 }', {"n": 1}, None)
    assert r["headers"] == {
        "x-one": "1, 2",
        "set-cookie": ["a=1", "b=2"],
        "content-type": "application/json; charset=utf-8",
        "content-length": "10",
    }
    assert 0 <= r["firstByteMs"] <= r["ms"]


def test_chunks_are_counted_however_they_arrive(cell: PlainCell) -> None:
    whole = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;note=x\r\n, world\r\n2\r\n!!\r\n0\r\nChecked: yes\r\n\r\n"
    )

    _, at_once = asked(cell, "GET /", whole)
    _, in_pieces = asked(cell, "GET /", *(whole[at : at + 3] for at in range(0, len(whole), 3)), pause=0.001)

    assert at_once["framing"] == in_pieces["framing"] == "chunked, 3 chunks: 5 + 7 + 2 = 14 bytes"
    assert at_once["body"] == in_pieces["body"] == "hello, world!!"
    assert "trailers: Checked: yes" in cell.plain


@pytest.mark.parametrize(
    ("request_text", "answer", "framing"),
    [
        ("HEAD /", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "no body: an answer to HEAD never has one"),
        ("GET /", b"HTTP/1.1 204 No Content\r\n\r\n", "no body: status 204 never has one"),
        ("GET /", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "no body: status 304 never has one"),
        ("GET /", b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "13 bytes, until the connection was closed (no length was declared)"),
        ("GET /", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked, no chunk but the last (0 bytes)"),
        (
            "GET /",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "chunked, 1 chunk: 1 bytes; its content-length (9) does not count then",
        ),
        ("GET /", b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "content-length, 2 bytes"),
        ("GET /", b"HTTP/1.1 200\nContent-Length: 2\n\nok", "content-length, 2 bytes"),
    ],
)
def test_the_end_of_a_body_is_explained(cell: PlainCell, request_text: str, answer: bytes, framing: str) -> None:
    _, r = asked(cell, request_text, answer)

    assert (r["framing"], r["error"]) == (framing, None)


def test_interim_answers_are_shown_before_the_final_one(cell: PlainCell) -> None:
    _, r = asked(cell, "GET /", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", OK)

    assert cell.plain.index("103 Early Hints") < cell.plain.index("100 Continue") < cell.plain.index("200 OK")
    assert r["status"] == 200


def test_several_answers_to_a_raw_request_are_shown(cell: PlainCell) -> None:
    _, r = asked(
        cell,
        "GET /a HTTP/1.1\nHost: x\n\nGET /b HTTP/1.1\nHost: x\n",
        OK,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        options="--raw",
    )

    assert cell.plain.index("200 OK") < cell.plain.index("404 Not Found")
    assert r["status"] == 200


def test_a_binary_body_is_shown_as_bytes(cell: PlainCell) -> None:
    data = bytes(range(256)) * 2
    _, r = asked(cell, "GET /", b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n" + data)

    assert "0040  40 41 42 43" in cell.plain
    assert "@ABCDEFGHIJKLMNO" in cell.plain
    assert "binary, the first 256 bytes are shown" in cell.plain
    assert r["body"].encode("latin-1") == data


def test_a_long_body_is_cut_where_it_is_shown_but_whole_in_the_variable(cell: PlainCell) -> None:
    _, r = asked(cell, "GET /", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)

    assert len(r["body"]) == 1_000_000
    assert len(cell.plain) < 270_000
    assert "the first 256 kB are shown" in cell.plain


@pytest.mark.parametrize(
    ("media_type", "body", "value"),
    [
        ("application/json", '{"a": [1]}', {"a": [1]}),
        ("application/problem+json", "1", 1),
        ("text/plain", "1", None),
        ("application/json-seq", "1", None),
        ("application/json", "NaN", None),
        ("application/json", "{", None),
        ("application/json", "[" * 100_000, None),
    ],
)
def test_json_is_parsed_where_it_is_declared(cell: PlainCell, media_type: str, body: str, value: Any) -> None:
    _, r = asked(cell, "GET /", f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    assert r["json"] == value


def test_a_hostile_answer_is_only_text(cell: PlainCell) -> None:
    body = b"</pre><script>alert(1)</script>\x1b[2J\xe2\x80\xae"
    asked(cell, "GET /", b"HTTP/1.1 200 <b>\x1b]0;t\x07\r\nX: <img src=x onerror=y>\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    assert "<script" not in cell.html
    assert "<img" not in cell.html
    assert "<b>" not in cell.html
    assert "\x1b" not in cell.html + cell.plain
    assert "\u202e" not in cell.html + cell.plain


# ---- what did not come


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ((), "closed the connection without an answer."),
        ((b"SSH-2.0-x\r\n",), "is not HTTP: it begins with “SSH-2.0-x”."),
        ((b"HTTP/1.1 200 OK\r\nA: 1\r\n",), "is not HTTP: its head was not complete when the connection ended."),
        ((b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",), "is not HTTP: this line of its head is no header: “no header”."),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",), "is not HTTP: its content-length is 'x'."),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",), "is not HTTP: its content-length is '1, 2'."),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",), "is not HTTP: a chunk should begin with its size"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",), "is not HTTP: a chunk of 2 bytes is followed by more"),
        ((b"x" * 300_000,), "is not HTTP: a line is longer than 256 kB."),
    ],
)
def test_no_answer_is_explained(cell: PlainCell, pieces: tuple[bytes, ...], sentence: str) -> None:
    with scripted(*pieces) as server:
        error = fails(cell, f"%%http --to {server.port}\nGET /")

    assert error.name == "HttpError"
    assert sentence in error.value


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "The answer broke off: 9 bytes were declared, 4 came"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
            "The answer broke off: the last chunk, which has the size 0, never came.",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart", "The answer broke off inside a chunk of 9 bytes."),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
            "The answer broke off: the empty line after the last chunk never came.",
        ),
    ],
)
def test_an_answer_that_breaks_off_is_shown_as_far_as_it_came(cell: PlainCell, answer: bytes, sentence: str) -> None:
    _, r = asked(cell, "GET /", answer)
    with scripted(answer) as server:
        error = fails(cell, f"%%http --to {server.port}\nGET /")

    assert r["error"].startswith(sentence)
    assert r["body"] == "part"
    assert "not complete" in cell.plain
    assert error.value.startswith(sentence)


def test_no_answer_in_time_is_told_with_what_may_be_the_reason(cell: PlainCell) -> None:
    _, silent = asked(cell, "GET /", options="--seconds 0.3", stay=5)
    _, partial = asked(cell, "GET /", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", options="--seconds 0.3", stay=5)

    assert silent["error"].endswith("did not answer within 0.3 s. Is every path through its code answering?")
    assert (silent["status"], silent["body"], silent["json"]) == (0, "", None)
    assert partial["error"].endswith("was not complete within 0.3 s.")
    assert (partial["status"], partial["body"], partial["ms"]) == (200, "part", None)


def test_a_head_without_its_end_is_named_as_the_reason(cell: PlainCell) -> None:
    _, r = asked(cell, "GET / HTTP/1.1\nHost: x", options="--seconds 0.3 --raw", stay=5)

    assert "The request has no empty line at the end of its head" in r["error"]


def test_nobody_there_is_told(cell: PlainCell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    assert (
        fails(cell, f"%%http --to {port}\nGET /").value == f"Port {port} does not accept connections: nobody listens on 127.0.0.1:{port}."
    )
    assert fails(cell, "%%http\nGET /").value == "There is no server yet. Start one with %serve server.mjs."
    assert fails(cell, "%%http --to nobody\nGET /").value.startswith("There is no server nobody.")


def test_a_server_that_has_crashed_is_named_with_its_last_words(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text(
        "import http from 'node:http'; http.createServer(() => { throw new RangeError('oh') }).listen(process.env.PORT);"
    )
    run(cell, "%serve x.mjs")

    first = fails(cell, "%%http\nGET /")
    until_ended(cell, "server")
    second = fails(cell, "%%http\nGET /")

    assert first.value == "Your server closed the connection without an answer."
    assert second.value == "server does not run any more: it exited with code 1, saying: RangeError: oh. Start it again with %serve x.mjs."


def test_stop_ends_the_waiting(cell: PlainCell) -> None:
    async def press_stop() -> None:
        await asyncio.sleep(0.2)
        cell.interrupted.set()

    with scripted(stay=10) as server:
        began = time.monotonic()
        with pytest.raises(Exception, match="Interrupted"):
            run_with(cell, f"%%http --to {server.port}\nGET /", press_stop)

    assert time.monotonic() - began < 8


def test_an_endless_body_is_cut_off(cell: PlainCell) -> None:
    with scripted(b"HTTP/1.1 200 OK\r\n\r\n", *([b"x" * 1024 * 1024] * 20)) as server:
        error = fails(cell, f"%%http --to {server.port}\nGET /")

    assert "has a body of more than 16 MB" in error.value


# ---- the parser, against anything


def parsed(data: bytes) -> list[Answer]:
    async def read() -> list[Answer]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        answers: list[Answer] = []
        with contextlib.suppress(NotHttp):
            await read_answer(Wire(reader, None), "GET", [], answers)  # type: ignore[arg-type]
        return answers

    return asyncio.run(read())


def test_an_answer_cut_anywhere_is_never_taken_for_whole() -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\nTrailer: yes\r\n\r\n"

    taken = [cut for cut in range(len(whole)) if any(not answer.broken for answer in parsed(whole[:cut]))]

    assert taken == []
    assert [answer.broken for answer in parsed(whole)] == [""]
