"""The scripted service that a learner's server may call: it does what its script says, and counts what it saw."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from grader.suite.client import Connection
from grader.suite.journal import Journal
from grader.suite.reply import NoReply, Reply
from grader.suite.upstream import REQUEST_BYTES_MAX, Upstream

SHORT = 0.1
SOON = 5.0


class Client:
    """Calls the service over its socket, as the supervisor's forwarder would."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(16)

    def connect(self) -> Connection:
        def dial(timeout: float) -> tuple[socket.socket, int]:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(str(self._path))
            return connection, 0

        return Connection(dial, print, Journal(), SOON)

    def get(self, path: str, body: bytes | None = None, timeout: float = SOON) -> Reply:
        with self.connect() as connection:
            return connection.request("GET" if body is None else "POST", path, body=body, timeout=timeout)

    def later(self, path: str) -> "Future[Reply]":
        return self._pool.submit(self.get, path)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    made = Upstream(tmp_path / "u.sock")
    yield made
    made.forget()  # lets go what hangs
    made._listener.shutdown(socket.SHUT_RDWR)
    made._listener.close()


@pytest.fixture
def client(upstream: Upstream, tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "u.sock")
    yield made
    upstream.forget()
    made.close()


def status_and_body(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


# ---- the script


def test_a_path_without_a_script_is_404(client: Client) -> None:
    assert client.get("/x").status == 404


def test_a_script_gives_status_headers_and_body(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", status=503, headers={"Retry-After": "7"}, body=b"busy")

    reply = client.get("/x")

    assert status_and_body(reply) == (503, b"busy")
    assert reply.header("retry-after") == "7"


@pytest.mark.parametrize("value", [{"a": [1, "é"]}, None, 0, False, [], ""])
def test_json_is_sent_as_json(upstream: Upstream, client: Client, value: object) -> None:
    upstream.on("/x", json=value)

    assert client.get("/x").expect_json() == value


def test_the_query_does_not_matter_for_the_script_but_is_seen(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", json=1)

    assert client.get("/x?a=b").status == 200
    assert [hit.path for hit in upstream.hits("/x")] == ["/x?a=b"]


def test_the_most_particular_path_wins(upstream: Upstream, client: Client) -> None:
    upstream.on("/*", body=b"all")
    upstream.on("/items/*", body=b"items")
    upstream.on("/items/1", body=b"one")

    assert [client.get(path).body for path in ("/items/1", "/items/2", "/items/2/x", "/other", "/")] == [
        b"one",
        b"items",
        b"items",
        b"all",
        b"all",
    ]


def test_a_wildcard_is_for_what_is_below(upstream: Upstream, client: Client) -> None:
    upstream.on("/items/*", body=b"items")

    assert [client.get(path).status for path in ("/items", "/itemsx", "/items/", "/items/1")] == [404, 404, 200, 200]


def test_times_are_counted_and_the_last_script_stays(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", status=500, times=2)
    upstream.on("/x", status=502, times=1)
    upstream.on("/x", status=200)

    assert [client.get("/x").status for _ in range(5)] == [500, 500, 502, 200, 200]


def test_the_only_script_stays_whatever_its_times(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", status=500, times=1)

    assert [client.get("/x").status for _ in range(3)] == [500, 500, 500]


def test_a_delay_is_waited_for(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", delay=SHORT, body=b"late")

    reply = client.get("/x")

    assert reply.body == b"late"
    assert SHORT <= reply.seconds < SOON


def test_what_hangs_is_never_answered(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", hang=True)

    with pytest.raises(NoReply) as caught:
        client.get("/x", timeout=SHORT)

    assert caught.value.kind == "timeout"


def test_a_reset_closes_without_an_answer(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", reset=True)

    with pytest.raises(NoReply) as caught:
        client.get("/x")

    assert caught.value.kind == "closed"


def test_a_dripping_body_comes_byte_by_byte(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", body=b"abc", drip=SHORT / 3)

    with client.connect() as connection:
        connection.send_request("GET", "/x")
        pieces = list(connection.answer().pieces(SOON))

    assert pieces == [b"a", b"b", b"c"]


# ---- connections


def test_a_connection_is_kept(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", body=b"ok")

    with client.connect() as connection:
        replies = [connection.request("GET", "/x") for _ in range(3)]

    assert [reply.body for reply in replies] == [b"ok"] * 3


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000])
def test_what_is_no_request_is_no_hit_and_harms_nobody(upstream: Upstream, client: Client, data: bytes) -> None:
    with client.connect() as connection:
        connection.send(data)
        connection.half_close()
        assert connection.receive(SOON) == b""

    assert upstream.hits() == []
    assert client.get("/x").status == 404


def test_a_body_that_is_too_long_is_not_kept(upstream: Upstream, client: Client) -> None:
    with pytest.raises(NoReply) as caught:
        client.get("/x", body=b"x" * (REQUEST_BYTES_MAX + 1))

    assert caught.value.kind == "closed"
    assert upstream.hits() == []


# ---- what it saw


def test_a_hit_holds_the_whole_request(upstream: Upstream, client: Client) -> None:
    before = time.monotonic()
    client.get("/x", body=json.dumps({"a": 1}).encode())

    (hit,) = upstream.hits()

    assert (hit.method, hit.path, hit.body) == ("POST", "/x", b'{"a": 1}')
    assert hit.headers["content-length"] == "8"
    assert before <= hit.at <= time.monotonic()


def test_hits_are_counted_by_path_in_order(upstream: Upstream, client: Client) -> None:
    for path in ("/a", "/b", "/a?1"):
        client.get(path)

    assert [hit.path for hit in upstream.hits()] == ["/a", "/b", "/a?1"]
    assert [hit.path for hit in upstream.hits("/a")] == ["/a", "/a?1"]
    assert upstream.hits("/c") == []


def test_waiting_for_hits_ends_when_they_are_there(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", hang=True)
    client.later("/x")
    client.later("/x")

    assert upstream.wait_for_hits(2, SOON)
    assert upstream.wait_for_hits(2, 0.0, "/x")


def test_waiting_for_hits_that_do_not_come_ends_in_time(upstream: Upstream, client: Client) -> None:
    client.get("/a")

    assert not upstream.wait_for_hits(2, 0.01)
    assert not upstream.wait_for_hits(1, 0.01, "/b")


def test_the_most_at_once_are_counted_by_path(upstream: Upstream, client: Client) -> None:
    upstream.on("/*", hang=True)
    for path in ("/a", "/a", "/b"):
        client.later(path)
    assert upstream.wait_for_hits(3, SOON)

    assert (upstream.most_at_once(), upstream.most_at_once("/a"), upstream.most_at_once("/b"), upstream.most_at_once("/c")) == (3, 2, 1, 0)


def test_requests_one_after_the_other_are_not_at_once(upstream: Upstream, client: Client) -> None:
    with client.connect() as connection:
        for _ in range(5):
            connection.request("GET", "/x")

    assert upstream.most_at_once() == 1


# ---- the barrier


def test_a_barrier_lets_all_go_when_enough_have_come(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", body=b"ok")
    upstream.barrier(3, within=30.0)

    replies = [client.later("/x") for _ in range(3)]

    assert [future.result(SOON).body for future in replies] == [b"ok"] * 3
    assert upstream.most_at_once() == 3


def test_a_barrier_that_is_not_reached_lets_go_in_time(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", body=b"ok")
    upstream.barrier(2, within=SHORT)

    reply = client.get("/x")

    assert reply.body == b"ok"
    assert reply.seconds >= SHORT


# ---- between checks


def test_everything_is_forgotten(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", body=b"ok")
    client.get("/x")
    upstream.barrier(2, within=2 * SOON)

    upstream.forget()

    assert upstream.hits() == []
    assert upstream.most_at_once() == 0
    assert client.get("/x").status == 404  # and is not held


def test_what_hangs_is_let_go_and_counts_no_more(upstream: Upstream, client: Client) -> None:
    upstream.on("/x", hang=True)
    hanging = client.later("/x")
    assert upstream.wait_for_hits(1, SOON)

    upstream.forget()

    assert isinstance(hanging.exception(SOON), NoReply)
    assert upstream.most_at_once() == 0


def test_what_was_held_uses_up_nothing_of_the_next_check(upstream: Upstream, client: Client) -> None:
    upstream.barrier(2, within=2 * SOON)
    held = client.later("/x")
    assert upstream.wait_for_hits(1, SOON)

    with upstream._lock:  # the next check is quicker than the one that was held
        upstream.forget()
        upstream.on("/x", status=500, times=1)
        upstream.on("/x", body=b"ok")

    assert isinstance(held.exception(SOON), NoReply)
    assert [client.get("/x").status for _ in range(2)] == [500, 200]


def test_scripts_may_be_changed_while_requests_come(upstream: Upstream, client: Client) -> None:
    stop = threading.Event()

    def ask() -> int:
        count = 0
        while not stop.is_set():
            assert client.get("/x").status in (200, 404)
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        for _ in range(30):
            upstream.forget()
            upstream.on("/x", body=b"ok", times=1)
            assert upstream.wait_for_hits(1, SOON)
        stop.set()

    assert all(future.result() for future in asking)
