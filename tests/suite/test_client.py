"""The guarded client against hostile servers: it always ends in time, within its caps, with an answer or with the reason for none.

A scripted server is one end of a socket pair. Where timing does not matter, its whole answer lies ready before it is asked.
"""

import contextlib
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.suite.client import BODY_BYTES_MAX, HEAD_BYTES_MAX, Connection, request_head, with_json
from grader.suite.expect import CheckFailed
from grader.suite.journal import Journal
from grader.suite.reply import NoReply, Reply

SHORT = 0.15
"""Seconds of patience with a server that never answers."""
SOON = 5.0
"""Seconds in which everything must be over, also on a busy machine."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[[socket.socket], None]


class Servers:
    """Makes connections to scripted servers and takes everything down afterwards."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.resets: list[int] = []
        self._stack = contextlib.ExitStack()
        self._threads: list[threading.Thread] = []

    def connection(self, ours: socket.socket) -> Connection:
        self._stack.callback(ours.close)
        return Connection(lambda timeout: (ours, 7), self.resets.append, self.journal, 1.0)

    def ready(self, data: bytes, *, more: bool = False) -> Connection:
        """A server that has said `data` already, and nothing follows (or nothing yet, with `more`)."""
        ours, theirs = socket.socketpair()
        self._stack.callback(theirs.close)
        theirs.sendall(data)
        if not more:
            theirs.shutdown(socket.SHUT_WR)
        return self.connection(ours)

    def running(self, script: Script, pair: tuple[socket.socket, socket.socket] | None = None) -> Connection:
        """A server that runs `script` in a thread, and closes after it."""
        ours, theirs = pair or socket.socketpair()

        def serve() -> None:
            with theirs, contextlib.suppress(OSError):
                script(theirs)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self.connection(ours)

    def close(self) -> None:
        self._stack.close()
        for thread in self._threads:
            thread.join(SOON)
            assert not thread.is_alive()


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


def failure(call: Callable[[], object]) -> NoReply:
    """How a call failed, and that it did so soon."""
    began = time.monotonic()
    with pytest.raises(NoReply) as caught:
        call()
    assert time.monotonic() - began < SOON
    return caught.value


def get(connection: Connection, **options: Any) -> Reply:
    return connection.request("GET", "/x", **options)


def kind_of(servers: Servers, data: bytes, **options: Any) -> str:
    """Why an answer of exactly these bytes is none."""
    return failure(lambda: get(servers.ready(data), **options)).kind


def forever(piece: bytes, before: bytes = b"") -> Script:
    """Sends without end, as fast as it is read."""

    def script(server: socket.socket) -> None:
        server.recv(65536)
        server.sendall(before)
        while True:
            server.sendall(piece)

    return script


def read_head(server: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        byte = server.recv(1)
        if not byte:
            raise ConnectionError("the client has left")
        head += byte
    return head


# ---- a good answer


def test_a_whole_answer_is_read(servers: Servers) -> None:
    reply = get(
        servers.ready(
            b"HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: Text/Plain; charset=x\r\nContent-Length: 3\r\n\r\nabc", more=True
        )
    )

    assert (reply.status, reply.body, reply.what) == (201, b"abc", "GET /x")
    assert reply.header("X-a") == "1, 2"
    assert reply.header("gone") is None
    assert reply.media_type == "text/plain"


def test_a_chunked_answer_is_put_together(servers: Servers) -> None:
    chunks = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"

    assert get(servers.ready(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, more=True)).body == b"abcde"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_may_end_with_the_connection(servers: Servers, version: bytes) -> None:
    assert get(servers.ready(b"HTTP/" + version + b" 200 OK\r\n\r\nuntil the end")).body == b"until the end"


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200"), ("GET", b"204"), ("GET", b"304")])
def test_an_answer_without_a_body_is_complete_with_its_head(servers: Servers, method: str, status: bytes) -> None:
    connection = servers.ready(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 5\r\n\r\n", more=True)

    assert connection.request(method, "/x").body == b""


def test_interim_answers_are_passed_over(servers: Servers) -> None:
    assert get(servers.ready(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK)).body == b"ok"


def test_nothing_is_decompressed(servers: Servers) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)

    assert get(servers.ready(head + bomb, more=True)).body == bomb


def test_no_redirect_is_followed(servers: Servers) -> None:
    asked: list[bytes] = []

    def script(server: socket.socket) -> None:
        for _ in range(2):
            asked.append(read_head(server))
            server.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    reply = get(servers.running(script))

    assert reply.status == 302
    assert len(asked) == 1


# ---- time


def test_silence_ends_at_the_deadline(servers: Servers) -> None:
    said = failure(lambda: get(servers.ready(b"", more=True), timeout=SHORT))

    assert said.kind == "timeout"
    assert "did not come within 0.15 s" in str(said)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", OK[:-1]])
def test_an_answer_that_stops_in_the_middle_ends_at_the_deadline(servers: Servers, begun: bytes) -> None:
    said = failure(lambda: get(servers.ready(begun, more=True), timeout=SHORT))

    assert said.kind == "timeout"
    assert "was not complete within 0.15 s" in str(said)


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_the_deadline_is_for_the_whole_answer_not_for_its_pieces(servers: Servers, before: bytes) -> None:
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        server.sendall(before)
        while not stop.wait(0.01):
            server.sendall(b"H")

    said = failure(lambda: get(servers.running(drip), timeout=SHORT))
    stop.set()

    assert said.kind == "timeout"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"])
def test_interim_answers_without_end_end_at_the_deadline(servers: Servers, interim: bytes) -> None:
    assert failure(lambda: get(servers.running(forever(interim)), timeout=SHORT)).kind == "timeout"


def test_a_server_that_reads_nothing_ends_at_the_deadline(servers: Servers) -> None:
    connection = servers.ready(b"", more=True)

    said = failure(lambda: connection.request("POST", "/x", body=b"x" * 8_000_000, timeout=SHORT))

    assert said.kind == "timeout"
    assert "neither read the whole request nor answered" in str(said)


def test_a_body_without_end_that_is_read_for_ever_ends_at_the_deadline(servers: Servers) -> None:
    def swallow(server: socket.socket) -> None:
        while server.recv(1 << 20):
            pass

    endless = iter(lambda: b"x" * 65536, None)

    assert failure(lambda: servers.running(swallow).request("POST", "/x", body=endless, timeout=SHORT)).kind == "timeout"


# ---- size


@pytest.mark.parametrize("line", [b"a", b"A: b\r\n", b"A: " + b"b" * 1000 + b"\r\n"])
def test_a_head_without_end_is_invalid(servers: Servers, line: bytes) -> None:
    said = failure(lambda: get(servers.running(forever(line, b"HTTP/1.1 200 OK\r\nX: "))))

    assert said.kind == "invalid"
    assert servers.journal.to_report(None)[0]["truncated"]


def test_a_head_within_the_limit_is_read(servers: Servers) -> None:
    long = b"x" * (HEAD_BYTES_MAX - 1000)

    assert len(get(servers.ready(b"HTTP/1.1 200 OK\r\nX: " + long + b"\r\n\r\n")).header("x") or "") == len(long)


@pytest.mark.parametrize("size", [b"10737418240", b"9" * 18])
def test_a_declared_length_of_gigabytes_costs_no_memory(servers: Servers, size: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + size + b"\r\n\r\n"

    assert kind_of(servers, head + b"x") == "incomplete"
    said = failure(lambda: get(servers.running(forever(b"x" * 65536, head))))
    assert said.kind == "too long"
    assert f"longer than {BODY_BYTES_MAX} bytes" in str(said)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_without_end_is_too_long(servers: Servers, head: bytes) -> None:
    piece = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"

    assert failure(lambda: get(servers.running(forever(piece, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")))).kind == "too long"


def test_the_cap_is_exact(servers: Servers) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000

    assert len(get(servers.ready(answer), max_bytes=1000).body) == 1000
    assert kind_of(servers, answer, max_bytes=999) == "too long"


@pytest.mark.parametrize("endless", [b"5;", b"0\r\nTrailer: ", b"0" * 10])
def test_chunk_heads_and_trailers_without_end_are_invalid(servers: Servers, endless: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + endless

    assert failure(lambda: get(servers.running(forever(b"0" * 65536, head)))).kind == "invalid"


# ---- nonsense


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_invalid(servers: Servers, data: bytes) -> None:
    said = failure(lambda: get(servers.ready(data)))

    assert said.kind == "invalid"
    assert "GET /x is not valid HTTP" in str(said)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12",
    ],
)
def test_an_answer_that_breaks_off_is_incomplete(servers: Servers, data: bytes) -> None:
    said = failure(lambda: get(servers.ready(data)))

    assert said.kind == "incomplete"
    assert "broke off" in str(said)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_connection_that_is_closed_without_an_answer_says_so(servers: Servers, data: bytes) -> None:
    said = failure(lambda: get(servers.ready(data)))

    assert said.kind == "closed"
    assert "closed without an answer" in str(said)


@pytest.mark.parametrize(("said_before", "kind"), [(b"", "closed"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "incomplete")])
def test_a_reset_is_no_answer(servers: Servers, said_before: bytes, kind: str) -> None:
    def reset(server: socket.socket) -> None:
        read_head(server)
        server.sendall(said_before)
        server.recv(1)  # the client has read what was said
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    connection = servers.running(reset, loopback())
    connection.send_request("GET", "/x")

    def answer() -> Reply:
        if not said_before:
            connection.send(b"!")
            return connection.answer().read_all()
        answer = connection.answer()
        assert answer.read() == b"x"
        connection.send(b"!")
        return answer.read_all()

    assert failure(answer).kind == kind


def loopback() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection: socket pairs cannot be reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    for answer in (data, b"HTTP/1.1 200 OK\r\n" + data, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data):
        made = Servers()
        with contextlib.closing(made), contextlib.suppress(NoReply):
            assert isinstance(get(made.ready(answer)), Reply)


# ---- connecting


@pytest.mark.parametrize(
    ("error", "kind"), [(ConnectionRefusedError(), "refused"), (ConnectionResetError(), "refused"), (TimeoutError(), "timeout")]
)
def test_a_server_that_cannot_be_reached_is_no_reply(error: OSError, kind: str) -> None:
    def dial(timeout: float) -> tuple[socket.socket, int]:
        raise error

    said = failure(lambda: Connection(dial, print, Journal(), 1.0))

    assert said.kind == kind
    assert "does not accept a connection" in str(said)


def test_reset_is_asked_of_the_one_who_can(servers: Servers) -> None:
    servers.ready(b"").reset()

    assert servers.resets == [7]


def test_half_closing_ends_sending_but_not_reading(servers: Servers) -> None:
    def script(server: socket.socket) -> None:
        heard = b"".join(iter(lambda: server.recv(100), b""))
        server.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + heard)

    connection = servers.running(script)
    connection.send(b"all of it")
    connection.half_close()

    assert connection.answer().read_all().body == b"all of it"


# ---- several exchanges on one connection


def test_a_kept_connection_is_used_again(servers: Servers) -> None:
    def script(server: socket.socket) -> None:
        for number in range(3):
            read_head(server)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    with servers.running(script) as connection:
        replies = [get(connection) for _ in range(3)]

    assert [reply.body for reply in replies] == [b"0", b"1", b"2"]
    assert [reply.exchange for reply in replies] == [0, 1, 2]
    assert [str(exchange["response"])[-1] for exchange in servers.journal.to_report(None)] == ["0", "1", "2"]


def test_answers_to_pipelined_requests_are_read_one_after_the_other(servers: Servers) -> None:
    connection = servers.ready(OK + b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno" + OK)
    connection.send_request("GET", "/1")
    connection.send_request("GET", "/2")

    first, second = connection.answer().read_all(), connection.answer().read_all()

    assert (first.status, second.status) == (200, 404)
    assert connection.receive(SOON) == OK


def test_an_answer_too_many_is_taken_for_the_next_one_and_recorded_there(servers: Servers) -> None:
    connection = servers.ready(OK + OK.replace(b"ok", b"no"))

    assert get(connection).body == b"ok"
    assert get(connection).body == b"no"
    assert str(servers.journal.to_report(1)[-1]["response"]).endswith("\nno")


def test_a_kept_connection_that_was_closed_says_so(servers: Servers) -> None:
    connection = servers.ready(OK)
    get(connection)

    assert failure(lambda: get(connection)).kind == "closed"


# ---- answers before the end of the request


def refuse_early(server: socket.socket) -> None:
    read_head(server)
    server.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    server.recv(1 << 16)
    threading.Event().wait(SHORT)  # reads no further, but does not close yet


def test_a_body_without_end_is_sent_no_further_than_the_answer(servers: Servers) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    reply = servers.running(refuse_early).request("POST", "/x", body=endless())

    assert reply.status == 413
    assert sent < 8_000_000


def test_a_long_body_is_sent_no_further_than_the_answer(servers: Servers) -> None:
    assert servers.running(refuse_early).request("POST", "/x", body=b"x" * 8_000_000).status == 413


def test_an_answer_counts_even_if_the_connection_is_closed_after_it(servers: Servers) -> None:
    def script(server: socket.socket) -> None:
        read_head(server)
        server.sendall(OK)

    assert servers.running(script).request("POST", "/x", body=b"x" * 8_000_000).body == b"ok"


def test_a_connection_that_is_closed_while_it_is_sent_to_is_closed(servers: Servers) -> None:
    said = failure(lambda: servers.running(lambda server: None).request("POST", "/x", body=b"x" * 8_000_000))

    assert said.kind == "closed"


@pytest.mark.parametrize("interim", [[b"100 Continue"], [b"100 Continue", b"103 Early Hints", b"102 Processing"]])
def test_interim_answers_do_not_stop_the_sending(servers: Servers, interim: list[bytes]) -> None:
    size = 1_000_000

    def script(server: socket.socket) -> None:
        read_head(server)
        for status in interim:
            server.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        heard = 0
        while heard < size:
            heard += len(server.recv(1 << 16))
        server.sendall(OK)

    assert servers.running(script).request("POST", "/x", body=b"x" * size).body == b"ok"


def test_interim_answers_without_end_do_not_fill_the_memory(servers: Servers) -> None:
    connection = servers.running(forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000))

    assert failure(lambda: connection.request("POST", "/x", body=b"x" * 8_000_000, timeout=SHORT)).kind == "timeout"
    assert len(connection._unread) < 4 * HEAD_BYTES_MAX


# ---- raw


def test_send_some_says_how_much_was_taken(servers: Servers) -> None:
    connection = servers.ready(b"", more=True)

    taken = connection.send_some(b"x" * 8_000_000, SHORT)

    assert 0 < taken < 8_000_000
    assert connection.entry.request.total == 8_000_000


def test_send_fails_when_nobody_reads_or_nobody_is_there(servers: Servers) -> None:
    assert failure(lambda: servers.ready(b"", more=True).send(b"x" * 8_000_000, SHORT)).kind == "timeout"
    assert failure(lambda: servers.running(lambda server: None).send(b"x" * 8_000_000)).kind == "closed"


def test_receive_gives_what_comes_and_nothing_at_the_end(servers: Servers) -> None:
    connection = servers.ready(b"abc")

    assert [connection.receive(SOON, 2), connection.receive(SOON), connection.receive(SOON)] == [b"ab", b"c", b""]


@pytest.mark.parametrize("timeout", [-1.0, 0.0, 0.01])
def test_receive_fails_when_nothing_comes(servers: Servers, timeout: float) -> None:
    assert failure(lambda: servers.ready(b"", more=True).receive(timeout)).kind == "timeout"


def test_a_body_can_be_read_piece_by_piece_with_patience_for_each(servers: Servers) -> None:
    go = threading.Event()

    def script(server: socket.socket) -> None:
        server.sendall(b"HTTP/1.1 200 OK\r\n\r\none")
        go.wait(SOON)
        server.sendall(b"two")
        server.recv(1)

    answer = servers.running(script).answer()
    first = answer.read(SOON)
    go.set()

    assert (answer.status, first, answer.read(SOON)) == (200, b"one", b"two")
    said = failure(lambda: answer.read(0.01))
    assert said.kind == "timeout"
    assert "0.01 s" in str(said)


def test_the_pieces_of_a_body_are_the_body(servers: Servers) -> None:
    assert b"".join(servers.ready(OK).answer().pieces(SOON)) == b"ok"


def test_chunks_are_written_as_chunks(servers: Servers) -> None:
    heard: list[bytes] = []

    def script(server: socket.socket) -> None:
        heard.append(b"".join(iter(lambda: server.recv(100), b"")))

    connection = servers.running(script)
    connection.send_request("POST", "/x", chunked=True)
    connection.send_chunk(b"x" * 17)
    connection.send_chunk(b"")
    connection.half_close()
    connection.receive(SOON)

    assert b"Transfer-Encoding: chunked\r\n" in heard[0]
    assert heard[0].endswith(b"\r\n\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n")


# ---- the request


def test_nothing_in_a_request_tells_a_grader_from_a_user() -> None:
    head = request_head("GET", "/x", None, None, False)

    assert head == b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: Mozilla/5.0\r\n\r\n"


def test_headers_that_are_given_are_not_given_twice() -> None:
    head = request_head("POST", "/x", {"HOST": "h", "user-agent": "u", "accept": "a", "content-length": "9"}, 5, False)

    assert head == b"POST /x HTTP/1.1\r\nHOST: h\r\nuser-agent: u\r\naccept: a\r\ncontent-length: 9\r\n\r\n"


def test_a_header_may_be_sent_twice_and_with_any_bytes() -> None:
    head = request_head("GET", "/ü", [("A", "1"), ("A", "\udcff")], 0, False)

    assert head.startswith("GET /ü HTTP/1.1".encode())
    assert b"\r\nA: 1\r\nA: \xff\r\nContent-Length: 0\r\n" in head


def test_json_becomes_a_body_with_its_type_unless_one_is_named() -> None:
    assert with_json(None, None, {"a": "é"}) == ([("Content-Type", "application/json")], '{"a": "é"}'.encode())
    assert with_json({"content-type": "x/y"}, None, None) == ([("content-type", "x/y")], b"null")
    assert with_json({"A": "1"}, b"raw", ...) == ([("A", "1")], b"raw")


# ---- what a check expects of a reply


def reply_of(body: bytes | object, status: int = 200, media_type: str = "application/json") -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply("GET /x", status, [("Content-Type", media_type)], data, 0.1, 5)


def complaint(call: Callable[[], object]) -> str:
    with pytest.raises(CheckFailed) as caught:
        call()
    assert caught.value.exchange == 5
    return str(caught.value)


def test_a_status_that_was_not_expected_is_said_with_the_reason() -> None:
    assert reply_of({}, 404).expect_status(400, 404)

    said = complaint(lambda: reply_of({}, 500).expect_status(400, 404, because="It is the client's mistake."))
    assert "GET /x should be answered with status 400 or 404, but 500 came. It is the client's mistake." in said


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (reply_of({}, media_type="text/html"), "content-type application/json, but it is text/html"),
        (reply_of({}, media_type=""), "but it is missing"),
        (reply_of(b"{"), "cannot be parsed: {"),
        (reply_of(b"[" * 100_000), "cannot be parsed"),
        (reply_of(b"1" * 10_000), "cannot be parsed"),
        (reply_of(b"\xff"), "cannot be parsed: \\xff"),
        (reply_of({}, 201), "status 200, but 201 came"),
    ],
)
def test_what_is_no_json_answer_is_said(reply: Reply, words: str) -> None:
    assert words in complaint(reply.expect_json)


def test_json_is_json_with_parameters_and_with_problem_types() -> None:
    assert reply_of([1], media_type="Application/JSON; charset=utf-8").expect_json() == [1]
    assert reply_of({}, 400, "application/problem+json").expect_json(400) == {}
    assert "content-type" in complaint(reply_of({}, 200, "application/problem+json").expect_json)


def test_an_object_is_no_list() -> None:
    assert reply_of({"a": 1}).expect_object() == {"a": 1}
    assert "should be a JSON object, but it is [1]" in complaint(reply_of([1]).expect_object)


def test_a_field_is_compared_by_value() -> None:
    reply_of({"a": 1.0}).expect_field("a", 1)

    assert "`a` in the answer to GET /x should be 2, but it is 1" in complaint(lambda: reply_of({"a": 1}).expect_field("a", 2))
    assert "should have a field `b`; it has a" in complaint(lambda: reply_of({"a": 1}).expect_field("b", 2))
    assert "it has none" in complaint(lambda: reply_of({}).expect_field("b", 2))


@pytest.mark.parametrize(
    "body", [{"error": "no"}, {"error": {"message": "no"}}, {"message": "no"}, {"detail": "no"}, {"title": "no"}, {"errors": ["no"]}]
)
def test_an_error_may_say_its_message_wherever_frameworks_do(body: object) -> None:
    assert reply_of(body, 400).expect_error(400)


@pytest.mark.parametrize(
    "body", [{}, [], "no", None, {"error": ""}, {"error": " "}, {"error": {}}, {"message": 5}, {"errors": []}, {"code": "no"}]
)
def test_an_error_without_a_message_is_said(body: object) -> None:
    assert "with a message at `error`" in complaint(lambda: reply_of(body, 400).expect_error(400))
