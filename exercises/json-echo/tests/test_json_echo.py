"""The suite of json-echo. What it may assume is in prompt.md; why it looks as it does, in design.md."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

from grader.suite import NoReply, Server, bounded, environment, expect, fail, hint, rule, task, visible

JSON = {"Content-Type": "application/json"}
MAX_BODY = 102_400
LETTERS = "aeiouäöüßñéçøåłžšđþæœ日本語中文한국어ابجדہפ🙂🚀𝄞👩‍🚀"


def word(rng: random.Random, length: int = 12) -> str:
    return "".join(rng.choices(LETTERS, k=length))


def encoded(value: object) -> bytes:
    """JSON with its characters as UTF-8, not as escapes: bytes and characters then differ in number."""
    return json.dumps(value, ensure_ascii=False).encode()


def expect_echo(server: Server, value: object, because: str = "") -> None:
    """One good request: the value comes back and `bytes` is the size of what was sent."""
    body = encoded(value)
    reply = server.post("/echo", JSON, body)
    reply.expect_field("received", value, because=because)
    reply.expect_field("bytes", len(body), because="It is the size of the body as it was received, in bytes.")


@task(1)
@rule("Any JSON value may be the whole body: an object, an array, a text, a number, `true`, `false` or `null`.")
@visible
@hint("Which values does JavaScript take for false? Are they all missing?")
def test_any_json_value_comes_back(server: Server, rng: random.Random) -> None:
    """Objects, arrays, texts, numbers, true, false and null all come back."""
    decomposed = "Jose\u0301 and A\u030angstro\u0308m"  # the accents as characters of their own, as macOS writes file names
    for value in [{"a": [1, {"b": word(rng)}]}, [], {}, word(rng), decomposed, rng.randrange(1, 10**6), -1.5, True, None, 0, False, ""]:
        expect_echo(server, value, "0, false, null and an empty text are values too; a client that sends one wants it back.")


@task(1)
@rule("A body may arrive in pieces of any size, also cut inside a character, and comes back whole.")
@visible
@hint("What does one 'data' event hold: a character, a line, or whatever one packet brought?")
def test_a_character_split_between_two_packets_survives(server: Server, rng: random.Random) -> None:
    """A character whose bytes arrive in two packets comes back whole."""
    text = f"{word(rng)}🙂{word(rng)}"
    body = encoded({"text": text})
    cut = body.index("🙂".encode()) + rng.randrange(1, 4)
    with server.connect() as connection:
        connection.send_request("POST", "/echo", {**JSON, "Content-Length": str(len(body))})
        connection.send(body[:cut])
        server.get("/health").expect_status(200)  # by its answer the first part has long arrived
        connection.send(body[cut:])
        reply = connection.answer("POST", "POST /echo").read_all()
    because = "TCP may cut a body anywhere, also inside a character; a user called José would be stored as JosÃ©."
    reply.expect_field("received", {"text": text}, because=because)
    reply.expect_field("bytes", len(body), because="Every byte counts once, however the packets were cut.")


@task(1)
@rule("`bytes` is the size of the body as it was received, in bytes.")
@visible
@hint('How long is "é" as a string, and how long is it on the wire?')
def test_bytes_counts_the_body_as_received(server: Server, rng: random.Random) -> None:
    """`bytes` is the size of the body as received, spaces included."""
    text = word(rng, 30)
    whole = encoded([text])
    undeclared = server.post("/echo", JSON, iter([whole[:20], whole[20:]]))  # chunked: no content-length says it beforehand
    undeclared.expect_field("bytes", len(whole), because="Not every request declares its length; count what arrives.")
    for body in (whole, b" \n " + encoded({"a": text, "b": 1}) + b"  \n", json.dumps(text).encode()):
        reply = server.post("/echo", JSON, body)
        reply.expect_field(
            "bytes", len(body), because="It counts bytes on the wire: not characters, and not the text that JSON.stringify would write."
        )


@task(1)
@rule("Each request gets its own body back, however many arrive at the same time.")
def test_parallel_bodies_do_not_mix(server: Server, rng: random.Random) -> None:
    """Forty bodies that arrive at the same time, each in two parts, all come back as they were.

    looplab-canary-json-echo-checks-e903b4d5
    """
    values = [{"n": n, "text": f"{word(rng, rng.randrange(5, 400))}🙂"} for n in range(40)]
    with ExitStack() as open_connections:
        halves = []
        for body in map(encoded, values):
            connection = open_connections.enter_context(server.connect())
            cut = body.rindex("🙂".encode()) + rng.randrange(1, 4)
            connection.send_request("POST", "/echo", {**JSON, "Content-Length": str(len(body))})
            connection.send(body[:cut])
            halves.append((connection, body[cut:]))
        server.get("/health").expect_status(200)  # by its answer all the first halves have long arrived
        for connection, rest in halves:
            connection.send(rest)
        for (connection, _), value in zip(halves, values, strict=True):
            reply = connection.answer("POST", "POST /echo").read_all()
            reply.expect_field("received", value, because="Somebody else's data in your answer is the worst thing a server can send.")


@task(1)
@rule("Keys such as `__proto__` and `constructor` are data like any other and come back as they were sent.")
@hint("Does an object that JSON.parse made differ from one that you build key by key?")
def test_a_proto_key_is_data(server: Server, rng: random.Random) -> None:
    """A key `__proto__` or `constructor` comes back as data and changes nothing else.

    looplab-canary-json-echo-checks-e903b4d5
    """
    secret = word(rng)
    for body in (f'{{"__proto__": {{"polluted": "{secret}"}}, "a": 1}}', f'{{"constructor": {{"prototype": {{"polluted": "{secret}"}}}}}}'):
        reply = server.post("/echo", JSON, body.encode())
        reply.expect_field("received", json.loads(body), because="To JSON these are names like any other.")
    after = server.post("/echo", JSON, b"{}")
    after.expect_field("received", {}, because="A request must not leave anything behind in the objects of the next one.")
    if "polluted" in after.expect_object():
        after.fail("A key that an earlier request sent under `__proto__` now shows up in the answers to others.")


@task(2)
@rule("An empty body is 400.")
@visible
def test_an_empty_body_is_refused(server: Server, rng: random.Random) -> None:
    """A request without a body is 400."""
    expect_echo(server, word(rng))
    server.post("/echo", JSON, b"").expect_error(
        400, because="Nothing is no JSON value, and whoever sent nothing made a mistake that they want to hear about."
    )


@task(2)
@rule("Malformed JSON is 400, and the server goes on answering, on the same connection or on a new one.")
@visible
@hint("What does JSON.parse do with a text that is not JSON, and who catches it?")
def test_malformed_json_is_refused_and_the_connection_lives_on(server: Server, rng: random.Random) -> None:
    """Malformed JSON is 400, and the server goes on answering."""
    with server.connect() as connection:
        for body in (b'{"a":', b"nonsense " + str(rng.random()).encode(), b"{'a': 1}", b"[1,]"):
            try:
                reply = connection.request("POST", "/echo", JSON, body)
            except NoReply as gone:
                if gone.kind != "closed":
                    raise
                reply = server.post("/echo", JSON, body)  # closing after a 4xx is allowed; then a new connection has to do
            reply.expect_error(400, because="The sender must learn that the body was not understood.")
    expect_echo(server, word(rng), "One bad request must not stop the good ones.")


@task(2)
@rule("A body whose `content-type` is not `application/json` is 415 or 400.")
@visible
def test_a_body_that_is_not_json_is_refused(server: Server, rng: random.Random) -> None:
    """A body that is not declared as JSON is 415 or 400; a charset parameter is fine."""
    body = encoded({"text": word(rng)})
    for fine in ("application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"):
        server.post("/echo", {"Content-Type": fine}, body).expect_field("bytes", len(body), because=f"`{fine}` is JSON.")
    for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/plain; profile=application/json"):
        server.post("/echo", {"Content-Type": wrong}, body).expect_error(
            415, 400, because="A form of any website can send such a request without asking; JSON it is not."
        )


@task(2)
@rule("JSON nested 20,000 levels deep is answered with 200 or 400.")
@hint("May JSON.parse throw something else than a SyntaxError?")
def test_deep_nesting_does_not_kill_the_server(server: Server, rng: random.Random) -> None:
    """20 000 nested arrays are answered with 200 or 400, and the server lives.

    looplab-canary-json-echo-checks-e903b4d5
    """
    expect_echo(server, word(rng))
    body = b"[" * 20_000 + b"]" * 20_000
    server.post("/echo", JSON, body).expect_status(200, 400, because="One request must not take the server from all the others.")
    expect_echo(server, word(rng), "After that request the server must go on.")


def refused_as_too_large(server: Server, headers: dict[str, str], body: Iterator[bytes] | bytes, timeout: float = 4.0) -> None:
    """413, or a connection that is closed on the sender: a client in the middle of sending may see only that."""
    answer = server.attempt("POST", "/echo", headers, body, timeout=timeout)
    if isinstance(answer, NoReply):
        if answer.kind not in ("closed", "incomplete"):
            raise answer
    elif answer.status != 413:
        answer.fail(
            f"A body over the limit should be refused with status 413, but {answer.status} came.",
            because="The limit keeps one sender from filling the memory that all share.",
        )


@task(3)
@rule("A body over the limit is 413, also when its length is not declared beforehand.")
@visible
def test_a_declared_long_body_is_refused(server: Server, rng: random.Random) -> None:
    """A body whose content-length is over the limit is 413; one just below is fine."""
    expect_echo(server, "x" * (99_900 + rng.randrange(80)), "This body is below the limit.")
    refused_as_too_large(server, JSON, encoded("x" * (MAX_BODY + rng.randrange(1, 5000))))
    refused_as_too_large(
        server, JSON, encoded("é" * (MAX_BODY // 2 + rng.randrange(100, 5000)))
    )  # the limit is in bytes, not in characters
    expect_echo(server, word(rng), "After a refusal the server must go on.")


@task(3)
@rule("A body that never ends is refused within one second of the limit, without taking up more memory than a few bodies of allowed size.")
@bounded
@hint("When do you know that a body is too long: at its end, or as soon as you have counted past the limit?")
def test_an_endless_body_is_refused_early(server: Server, rng: random.Random) -> None:
    """A chunked body without end is refused within a second, without filling the memory.

    looplab-canary-json-echo-checks-e903b4d5
    """
    expect_echo(server, word(rng))
    before = server.stats().rss_bytes

    def endless() -> Iterator[bytes]:
        yield b'"'
        while True:
            yield b"x" * 65_536
            time.sleep(0.001)  # a fast sender; one that sends as fast as memory goes would show no more, and take the whole machine

    answer = server.attempt("POST", "/echo", JSON, endless(), timeout=1.5)
    if isinstance(answer, NoReply) and answer.kind == "timeout":
        fail(
            "A body without end was not refused.", because="A sender who never stops would hold the connection, and your memory, for ever."
        )
    if not isinstance(answer, NoReply):
        answer.expect_status(413)
    grown = (server.stats().rss_bytes - before) / 1024 / 1024
    expect(grown < 30, f"Refusing one body took {grown:.0f} MB of memory; it should take no more than the limit of 100 kB and some change.")
    expect_echo(server, word(rng), "After a refusal the server must go on.")


@task(3)
@rule("A client that vanishes in the middle of its body leaves the server as it was.")
def test_an_aborted_upload_harms_nobody(server: Server, rng: random.Random) -> None:
    """Clients that vanish in the middle of a body leave the server alive and well.

    looplab-canary-json-echo-checks-e903b4d5
    """
    for turn in range(6):
        with server.connect() as connection:
            connection.send_request("POST", "/echo", {**JSON, "Content-Length": "5000"})
            connection.send(b'{"a": "' + word(rng).encode() + "🙂".encode()[: rng.randrange(1, 4)])  # gone inside a character
            server.get("/health").expect_status(200)  # by its answer the part has arrived
            if turn % 2:
                connection.reset()
        expect_echo(server, word(rng), "Mobile clients vanish all day; the others must not notice.")


@task(3)
@rule("`MAX_BODY` is read from the environment when the server starts.")
@environment(MAX_BODY="1000")
def test_max_body_is_read_from_the_environment(server: Server, rng: random.Random) -> None:
    """With MAX_BODY=1000 a body of 900 bytes is fine and one of 1100 is 413.

    looplab-canary-json-echo-checks-e903b4d5
    """
    expect_echo(server, "x" * (890 + rng.randrange(10)), "MAX_BODY is 1000 here.")
    refused_as_too_large(server, JSON, encoded("x" * (1100 + rng.randrange(100))))
    refused_as_too_large(server, JSON, iter([b'"' + b"x" * 600, b"x" * 600, b'"']))


@task(2)
@rule("Any other path is 404, and any other method on `/echo` is 405 or 404.")
def test_unknown_paths_and_methods_are_refused(server: Server, rng: random.Random) -> None:
    """An unknown path is 404; any method but POST on /echo is 405 or 404.

    looplab-canary-json-echo-checks-e903b4d5
    """
    expect_echo(server, word(rng))
    server.post(f"/echo/{rng.randrange(10**6)}", json=1).expect_error(404)
    server.get(f"/{rng.randrange(10**6)}").expect_error(404)
    server.get("/echo").expect_error(405, 404)
    for method in ("PUT", "PATCH", "DELETE"):
        server.request(method, "/echo", JSON, b"{}").expect_error(405, 404)
