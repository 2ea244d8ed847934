"""The suite of error-funnel. What it may assume is in prompt.md; why it looks as it does, in design.md."""

import random
import re
import string
from functools import partial
from typing import Any

from grader.suite import NoReply, Reply, Server, expect, expect_same, fail, hint, rule, shown, task, visible

JSON = {"Content-Type": "application/json"}
WORD = string.ascii_letters + string.digits
STACK = re.compile(r"\bat [^\"]{0,300}?:\d+:\d+|\.[cm]?[jt]s:\d+|node:internal|node_modules")


def word(rng: random.Random, length: int = 16) -> str:
    return "".join(rng.choices(WORD, k=length))


ONE_SHAPE = "The front end reads the same fields in every error; one odd shape breaks it just when something went wrong."


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def error_of(
    reply: Reply, status: int | tuple[int, ...], code: str | None = None, because: str = "", *, whole: bool = False
) -> dict[str, Any]:
    """The object `error` of an error answer, with the status and, where the contract prints one, the code.

    Only with `whole` must it have a `requestId` too: whoever has not come to the ids yet can still earn the other tasks.
    """
    statuses = status if isinstance(status, tuple) else (status,)
    error: object = reply.expect_object(*statuses, because=because).get("error")
    if not isinstance(error, dict):
        reply.fail(f"The answer to {reply.what} should have an object at `error`, but there is {shown(error)}.", because=ONE_SHAPE)
    for name in ("code", "message", "requestId") if whole else ("code", "message"):
        if not is_text(error.get(name)):
            reply.fail(
                f"The answer to {reply.what} should have a text at `error.{name}`, but there is {shown(error.get(name))}.",
                because=ONE_SHAPE,
            )
    if code is not None and error["code"] != code:
        reply.fail(f"The answer to {reply.what} should have the code {code}, but it has {shown(error['code'])}.", because=because)
    return error


def everything_in(reply: Reply) -> str:
    head = [f"{reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in reply.headers)]
    return "\n".join(head) + "\n" + reply.body.decode("utf-8", "replace")


def header_id(reply: Reply) -> str:
    sent = reply.header("x-request-id")
    if not sent:
        reply.fail(
            f"The answer to {reply.what} should have a header x-request-id, but it has none.",
            because="With it a customer's screenshot leads to the line in the log.",
        )
    assert sent is not None
    return sent


def id_in_body(reply: Reply) -> object:
    error: object = reply.expect_object(reply.status).get("error")
    return error.get("requestId") if isinstance(error, dict) else None


def error_id(reply: Reply) -> str:
    """The id of an error answer, which stands in its header and in its body."""
    in_header, in_body = header_id(reply), id_in_body(reply)
    if in_body != in_header:
        reply.fail(
            f"`error.requestId` in the answer to {reply.what} is {shown(in_body)}, but its header x-request-id is {shown(in_header)}.",
            because="The id on the customer's screen must be the one that you find in the log.",
        )
    return in_header


def id_of_error_at(server: Server, path: str) -> str:
    return error_id(server.get(path))


@task(1)
@rule("`GET /fail/KIND` throws the failure of that kind and answers with the status and the code in this table.")
@visible
@hint("Where is it decided which status a failure has? Print `err instanceof ...` and `err.constructor.name` in your funnel.")
def test_a_known_failure_has_its_own_status_and_code(server: Server, rng: random.Random) -> None:
    """Each failure that was foreseen is answered with its own status and code."""
    kinds = [("validation", 400, "VALIDATION"), ("missing", 404, "NOT_FOUND"), ("conflict", 409, "CONFLICT"), ("upstream", 502, "UPSTREAM")]
    for kind, status, code in rng.sample(kinds, len(kinds)):
        reply = server.get(f"/fail/{kind}?note={word(rng)}&secret={word(rng)}")
        error_of(reply, status, code, "A client decides by status and code whether to correct the request, to retry or to give up.")


@task(1)
@rule("The error of `teapot` has its status in a getter `statusCode` of its class, and it is answered with 418 and `TEAPOT` all the same.")
@hint("Which properties does `{ ...err }` copy, and where does a getter of a class live?")
def test_a_status_behind_a_getter_counts(server: Server, rng: random.Random) -> None:
    """An error that has its status in a getter of its class is answered with that status.

    looplab-canary-error-funnel-checks-4a0892df
    """
    reply = server.get(f"/fail/teapot?note={word(rng)}")
    error_of(reply, 418, "TEAPOT", "Many libraries keep the status in a getter; losing it turns the client's mistake into a server error.")


@task(1)
@rule("The outer error decides status, code and message; its `cause` is for the log, so no answer contains the `secret`.")
@visible
@hint("Who wrapped the inner error, and why? Who may read its message?")
def test_the_cause_stays_inside(server: Server, rng: random.Random) -> None:
    """A wrapped error is answered as the outer one, and nothing of its cause gets out."""
    for kind, status, code in (("nested", 409, "CONFLICT"), ("upstream", 502, "UPSTREAM")):
        secret = word(rng, 24)
        reply = server.get(f"/fail/{kind}?note={word(rng)}&secret={secret}")
        error_of(reply, status, code, "Whoever wrapped the error decided what it means for this client; the cause does not know.")
        if secret in everything_in(reply):
            reply.fail(
                f"The answer to GET /fail/{kind} contains the secret from the message of the cause.",
                because="Such messages come from drivers and hold host names and passwords, which a stranger would now read.",
            )


@task(1)
@rule('The answer of `validation` has a list `error.details` with one entry `{"field","message"}` for every bad field, in any order.')
@visible
@hint("What happens to the fields after the first bad one? Which fields does the error that you throw really have?")
def test_a_validation_answer_names_every_bad_field(server: Server, rng: random.Random) -> None:
    """The answer to a validation failure names all bad fields, not only the first."""
    many = list({"".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randrange(4, 20))) for _ in range(rng.randrange(4, 10))})
    for query, fields in ((f"&fields={','.join(many)}", many), ("", ["name", "email"])):
        reply = server.get(f"/fail/validation?note={word(rng)}{query}")
        details = error_of(reply, 400, "VALIDATION").get("details")
        if not isinstance(details, list):
            reply.fail(f"The answer to {reply.what} should have a list at `error.details`, but there is {shown(details)}.")
        named = [entry.get("field") if isinstance(entry, dict) else None for entry in details]
        if sorted(map(str, named)) != sorted(fields):
            reply.fail(
                f"`error.details` should name each of the fields {shown(sorted(fields))} once, but it names {shown(named)}.",
                because="A form that complains about one field at a time is refused again and again.",
            )
        for entry in details:
            if not is_text(entry.get("message")):
                reply.fail(f"Each entry of `error.details` should have a text at `message`, but one is {shown(entry)}.")


@task(1)
@rule("The `error.message` of a 4xx answer under `/fail/` contains the `note`, so that the client learns what it did wrong.")
@hint("Who wrote the message of a failure that was foreseen, and for whom?")
def test_a_client_reads_what_it_did_wrong(server: Server, rng: random.Random) -> None:
    """The message of a 4xx answer is the one of the thrown error.

    looplab-canary-error-funnel-checks-4a0892df
    """
    for kind, status in (("validation", 400), ("missing", 404), ("conflict", 409)):
        note = word(rng)
        reply = server.get(f"/fail/{kind}?note={note}")
        message = error_of(reply, status)["message"]
        if note not in message:
            reply.fail(
                f"`error.message` in the answer to GET /fail/{kind} should contain the note {shown(note)}, but it is {shown(message)}.",
                because="A client can only correct what it is told about.",
            )


@task(2)
@rule("A 5xx answer contains nothing of what was thrown: no message, no `note`, no error name, no stack, no cause.")
@visible
@hint("Who reads the answer, and who reads the log? Does NODE_ENV change who reads the answer?")
def test_a_server_failure_keeps_its_story_to_itself(server: Server, rng: random.Random) -> None:
    """A 5xx answer gives away nothing of what was thrown, also with NODE_ENV=development."""
    because = "Messages and stacks tell a stranger about paths, versions and data; a client can do nothing with them."
    for kind, status, code in (("bug", 500, "INTERNAL"), ("string", 500, "INTERNAL"), ("upstream", 502, "UPSTREAM")):
        note, secret = word(rng, 24), word(rng, 24)
        reply = server.get(f"/fail/{kind}?note={note}&secret={secret}")
        answer = everything_in(reply)
        if note in answer or secret in answer:
            reply.fail(f"The answer to GET /fail/{kind} contains a part of the message of what was thrown.", because=because)
        if "TypeError" in answer or "Cannot read" in answer:
            reply.fail(f"The answer to GET /fail/{kind} contains the name or the message of the thrown error.", because=because)
        if STACK.search(answer):
            reply.fail(f"The answer to GET /fail/{kind} contains a line of a stack trace.", because=because)
        error_of(reply, status, code)


@task(2)
@rule("A thrown string and a thrown `null` are answered like a bug: 500 and `INTERNAL`.")
@hint("What is `null.statusCode`, and who catches what the error handler itself throws?")
def test_a_string_and_null_are_answered_like_a_bug(server: Server, rng: random.Random) -> None:
    """Whatever is thrown is answered, even if it is no Error at all.

    looplab-canary-error-funnel-checks-4a0892df
    """
    for kind in rng.sample(["string", "null"], 2):
        reply = server.get(f"/fail/{kind}?note={word(rng)}")
        error_of(
            reply,
            500,
            "INTERNAL",
            "Any value can be thrown, and a promise can be rejected without one; the client waits for an answer all the same.",
        )


def read_late(server: Server, rng: random.Random) -> tuple[bytes, NoReply | None]:
    """What came of the body of /fail/late, and how it broke off, or None if it ended as if it were whole."""
    got = b""
    with server.connect() as connection:
        connection.send_request("GET", f"/fail/late?note={word(rng)}")
        answer = connection.answer("GET", "GET /fail/late")
        expect_same("The status of GET /fail/late", answer.status, 200, because="It is sent before the failure.")
        try:
            for piece in answer.pieces():
                got += piece
                expect(len(got) < 10_000, "The answer to GET /fail/late should be short: `one`, `two`, and then the end.")
        except NoReply as broken:
            return got, broken
    return got, None


@task(2)
@rule("When `late` fails, the connection closes before the answer is complete, so that the client cannot take it for a whole one.")
@visible
@hint("What does `res.end()` write, and what does the client conclude from it?")
def test_a_late_failure_breaks_the_answer_off(server: Server, rng: random.Random) -> None:
    """When the failure comes after the answer began, the client sees that it is not whole."""
    got, broken = read_late(server, rng)
    if broken and broken.kind == "timeout":
        fail(
            "GET /fail/late sent a part of its answer, and then nothing: the connection stays open.",
            because="The client waits for the rest for ever.",
        )
    if broken and broken.kind != "incomplete":
        raise broken
    if not broken:
        fail(
            f"The answer to GET /fail/late ended like a whole one, with the body {shown(got)}.",
            because="The client stores half a report and nobody will ever know.",
        )
    text = "".join(got.decode("utf-8", "replace").split())  # white space around the two is free
    expect_same("What GET /fail/late sends before it fails, without white space,", text, "onetwo")
    server.get("/health").expect_status(200, because="Only this one answer may break off: the server goes on.")


@task(2)
@rule("After `late` has failed the same process goes on and answers the next request.")
@hint("What can still be changed after the first chunk, and where does an error go that the error handler throws?")
def test_the_server_outlives_a_late_failure(server: Server, rng: random.Random) -> None:
    """A failure in the middle of an answer does not end the server.

    looplab-canary-error-funnel-checks-4a0892df
    """
    for _ in range(2):
        got, _ = read_late(server, rng)
        expect(got.startswith(b"one"), f"GET /fail/late should send `one` and then `two`, but {shown(got)} came.")
        server.get("/health").expect_status(200, because="One answer that broke off must not take the server from all the others.")


@task(3)
@rule("Malformed JSON and an empty body are answered with 400 and the code `BAD_JSON`, in the same shape as every other error.")
@visible
@hint("Who made the mistake when JSON.parse throws, and who knows that at the place where it throws?")
def test_a_body_that_cannot_be_read_is_the_clients_error(server: Server, rng: random.Random) -> None:
    """A body that is malformed or empty is the client's error; any JSON value is fine."""
    values: list[object] = [{"price": word(rng)}, [], None, rng.randrange(10**6), word(rng)]
    for value in values:
        expect_same("The answer to a good POST /echo-error", server.post("/echo-error", json=value).expect_json(200), {})
    for body in (f'{{"price": "{word(rng)}",}}', word(rng) + "!", "", f'["{word(rng)}"'):
        reply = server.post("/echo-error", JSON, body.encode())
        error_of(reply, 400, "BAD_JSON", "The client sent it; a 5xx would tell it to send the same again.", whole=True)


@task(3)
@rule("An unknown path or KIND, a wrong method, and a body that is too large or not declared as JSON have an error answer of this shape.")
@hint("Which answers does your server, or your framework, write without your funnel?")
def test_every_refusal_has_the_same_shape(server: Server, rng: random.Random) -> None:
    """What is refused (path, method, size, type) is answered in the same shape as every other error.

    looplab-canary-error-funnel-checks-4a0892df
    """
    for path in (f"/{word(rng)}", f"/fail/{word(rng)}", f"/{word(rng)}/{word(rng)}?note={word(rng)}"):
        reply = server.get(path)
        error_of(
            reply,
            404,
            "NOT_FOUND",
            "A mistyped address is the most frequent error of all, and the front end reads it like the others.",
            whole=True,
        )
    error_of(server.get("/echo-error"), (405, 404), whole=True)
    error_of(server.post("/fail/missing", json={}), (405, 404), whole=True)
    error_of(server.post("/echo-error", {"Content-Type": "text/plain"}, word(rng).encode()), (415, 400), whole=True)
    large = server.attempt("POST", "/echo-error", JSON, f'"{word(rng, 110_000)}"'.encode())
    if not isinstance(large, NoReply):
        error_of(large, 413, whole=True)
    elif large.kind not in ("closed", "incomplete"):  # a client in the middle of sending may see only a reset
        raise large


@task(4)
@rule("A request's own `x-request-id` comes back unchanged if it has 1 to 64 characters and all are ASCII letters, digits, `_` or `-`.")
@visible
@hint("Which ids does your pattern accept? Who may have written the id into a log before you?")
def test_a_good_id_of_the_client_comes_back(server: Server, rng: random.Random) -> None:
    """A good x-request-id of the client comes back, in good answers and in errors."""
    because = "The service in front of you has it in its log already; another id cuts the thread."
    for sent in (word(rng, 64), word(rng, 1), f"_{word(rng)}-", f"{word(rng, 8)}-{word(rng, 4)}_{word(rng, 4)}"):
        good = server.post("/echo-error", {"X-Request-Id": sent}, json={})
        good.expect_status(200)
        bad = server.get(f"/fail/missing?note={word(rng)}", {"X-Request-Id": sent})
        for reply in (good, bad):
            if header_id(reply) != sent:
                reply.fail(
                    f"The answer to {reply.what} should have the x-request-id {shown(sent)}, but has {shown(header_id(reply))}.",
                    because=because,
                )
        error_id(bad)


@task(4)
@rule("Any other `x-request-id` is replaced by a new id, and no part of the answer contains it.")
@hint("Does your pattern look at the whole text, or for a piece of it?")
def test_a_bad_id_of_the_client_is_replaced(server: Server, rng: random.Random) -> None:
    """An x-request-id that is too long or has other characters is replaced by a new one.

    looplab-canary-error-funnel-checks-4a0892df
    """
    for sent in (word(rng, 65), word(rng, 200), f"{word(rng)} {word(rng)}", f"{word(rng)}<b>", f".{word(rng)}", f"{word(rng)};"):
        replies = [server.get(f"/fail/missing?note={word(rng)}", {"X-Request-Id": sent}) for _ in range(2)]
        for reply in replies:
            error_of(reply, 404, "NOT_FOUND")
            if sent in everything_in(reply):
                reply.fail(
                    f"The x-request-id {shown(sent)} is not a good one, but it came back.",
                    because="Whatever a stranger writes there would stand in your log, line after line.",
                )
        first, second = (header_id(reply) for reply in replies)
        if first == second:
            replies[1].fail(
                f"Two requests with the bad x-request-id {shown(sent)} both got {shown(first)}.",
                because="A bad id is replaced by a new one, not repaired: two strangers would share it.",
            )


@task(4)
@rule("The `error.requestId` of an error answer is the same text as its header `x-request-id`.")
@visible
@hint("How many times does your code make an id for one request?")
def test_the_body_and_the_header_name_the_same_id(server: Server, rng: random.Random) -> None:
    """An answer has one id, in its header and, if it is an error, in its body too."""
    error_id(server.get(f"/fail/missing?note={word(rng)}"))
    error_id(server.get(f"/fail/bug?note={word(rng)}"))
    error_id(server.get(f"/fail/upstream?note={word(rng)}"))
    header_id(server.post("/echo-error", json={}).expect_status(200))


@task(4)
@rule("Requests that are answered at the same time keep their own ids, and no two requests get the same new id.")
@hint("Which variables do two requests share while one of them waits for its body? What makes two ids different?")
def test_a_hundred_requests_at_once_keep_ids_of_their_own(server: Server, rng: random.Random) -> None:
    """Requests that are answered at the same time do not mix up their ids, and new ids are unique.

    looplab-canary-error-funnel-checks-4a0892df
    """
    because = "One customer's trouble would lead you to another customer's line in the log."

    # Bodies that are held back: each of these requests waits while the others come in.
    waiting = [(word(rng), server.connect()) for _ in range(10)]
    try:
        for sent, connection in waiting:
            connection.send_request("POST", "/echo-error", {**JSON, "Content-Length": "9", "X-Request-Id": sent})
            connection.send(b'{"a":')
        error_id(server.get(f"/fail/missing?note={word(rng)}"))  # by its answer the others have long arrived
        for sent, connection in waiting:
            connection.send(b"1,,}")
            reply = connection.answer("POST", "POST /echo-error").read_all()
            in_header, in_body = header_id(reply), id_in_body(reply)
            if in_header != sent or in_body != sent:
                reply.fail(
                    f"While others were waiting, a request with the x-request-id {shown(sent)} was answered with "
                    f"{shown(in_header)} in the header and {shown(in_body)} in the body.",
                    because=because,
                )
    finally:
        for _, connection in waiting:
            connection.close()

    paths = [f"/fail/{rng.choice(['missing', 'bug', 'nested'])}?note={word(rng)}" for _ in range(100)]
    ids = server.parallel([partial(id_of_error_at, server, path) for path in paths])
    if len(set(ids)) < len(ids):
        often = max(set(ids), key=ids.count)
        fail(
            f"{len(ids)} requests at the same time got only {len(set(ids))} different ids; {shown(often)} came {ids.count(often)} times.",
            because=because,
        )
