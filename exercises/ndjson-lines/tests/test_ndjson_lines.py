"""The suite of ndjson-lines. What it may assume is in prompt.md; why sizes and limits are as they are, in design.md."""

import json
import random
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from grader.suite import (
    CheckFailed,
    Connection,
    NoReply,
    Reply,
    Server,
    environment,
    expect,
    expect_same,
    fail,
    hint,
    quiet,
    rule,
    seconds,
    shown,
    task,
    visible,
)

NDJSON = {"Content-Type": "application/x-ndjson"}
WHAT = "POST /transform"
MB = 1_000_000
MAX_LINE = 65_536
GROWTH_MAX = 128 * MB
UNREAD_MAX = 32 * MB
LETTERS = "aeiouäöüßñéçøåłžšæœ日本語中文한국ابجדהפ🙂🚀𝄞"

Record = dict[str, Any]


# ---- what is sent


def word(rng: random.Random, length: int = 8) -> str:
    return "".join(rng.choices(LETTERS, k=length))


def record(rng: random.Random) -> Record:
    return {"parcel": f"P{rng.randrange(10**6)}", "weight": rng.randrange(1, 400) + 0.25, "to": word(rng), "tags": [word(rng, 3)]}


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def lines(*values: object, end: bytes = b"\n") -> bytes:
    """A body: bytes are a line as they are, everything else is a line of JSON."""
    return b"".join((value if isinstance(value, bytes) else encoded(value)) + end for value in values)


def legible(piece: bytes) -> str:
    """A piece of a body as text, half characters as escapes."""
    return piece.decode("utf-8", "backslashreplace")


def record_of_size(size: int, letter: str = "x") -> Record:
    """A record that takes `size` bytes as `encoded` writes it."""
    room = size - len(encoded({"text": ""}))
    count = room // len(letter.encode())
    return {"text": letter * count + "." * (room - count * len(letter.encode()))}


# ---- what is expected


def numbered(value: Record, number: int) -> Record:
    return {**value, "n": number}


def bad_line(number: int) -> Record:
    return {"error": "invalid json", "line": number}


def too_long(number: int) -> Record:
    return {"error": "line too long", "line": number}


def summary(ok: int, bad: int) -> Record:
    return {"summary": {"ok": ok, "bad": bad}}


# ---- how it is sent and compared


def begin(connection: Connection) -> None:
    """The head of a request whose body follows in chunks."""
    connection.send_request("POST", "/transform", NDJSON, chunked=True)


def transform(server: Server, body: bytes) -> Reply:
    """Sends all of the body, whether or not the answer has begun, then reads the whole answer."""
    with server.connect() as connection:
        connection.send_request("POST", "/transform", NDJSON, body)
        return connection.answer("POST", WHAT).read_all()


def expect_answers(reply: Reply, expected: list[Record], because: str) -> None:
    reply.expect_status(200)
    if reply.media_type != "application/x-ndjson":
        reply.fail(
            f"{WHAT} should be answered with content-type application/x-ndjson, but it is {reply.header('content-type') or 'missing'}.",
            because="The type tells a client that it may read line by line.",
        )
    came = [parsed(reply, text) for text in whole_lines(reply.body + b"\n")]
    for place, (one, wanted) in enumerate(zip(came, expected, strict=False), 1):
        if not agrees(one, wanted):
            reply.fail(f"Line {place} of the answer should be {brief(wanted)}, but it is {brief(one)}.", because=because)
    count = len(expected)
    if len(came) < count:
        missing = brief(expected[len(came)])
        reply.fail(f"The answer should have {count} lines, but it ends after {len(came)}: {missing} is missing.", because=because)
    if len(came) > count:
        reply.fail(f"The answer should have {count} lines, but after them comes {brief(came[count])}.", because=because)


def whole_lines(text: bytes) -> list[bytes]:
    """The lines of an answer that have ended, without blank ones."""
    return [line for line in re.split(rb"[\r\n]+", text)[:-1] if line.strip()]


def agrees(came: object, wanted: Record) -> bool:
    """A record must be just what was sent, and `n`; the server's own lines may say more than the contract asks for."""
    if not isinstance(came, dict):
        return False
    if "n" not in wanted:
        came = trimmed(came, wanted)
    try:
        expect_same("", came, wanted)
    except CheckFailed:
        return False
    return True


def trimmed(came: Record, wanted: Record) -> Record:
    """What came, without the fields that nobody asked for."""
    kept = {key: came[key] for key in wanted if key in came}
    return {key: trimmed(it, wanted[key]) if isinstance(it, dict) and isinstance(wanted[key], dict) else it for key, it in kept.items()}


def brief(value: Record) -> str:
    """A record without the bulk of its long texts."""
    return shown({key: f"{it[:12]}…" if isinstance(it, str) and len(it) > 60 else it for key, it in value.items()})


def parsed(reply: Reply, text: bytes) -> Record:
    value = parsed_or_none(text)
    if not isinstance(value, dict):
        reply.fail(f"Every line of the answer should be one JSON object, but one is {shown(legible(text))}.")
    return value


def parsed_or_none(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def expect_service(server: Server, rng: random.Random, because: str = "This is the simplest body there is: one record.") -> None:
    """One good request."""
    value = record(rng)
    expect_answers(transform(server, lines(value)), [numbered(value, 1), summary(1, 0)], because)


class Reader:
    """Reads an answer in a thread while the check sends; keeps the end of it."""

    KEEP = 500

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.total = 0
        self.tail = b""
        self.failure: NoReply | None = None
        self._thread.start()

    def _read(self) -> None:
        try:
            for piece in self._connection.answer("POST", WHAT, timeout=20).pieces(timeout=20):
                self.total += len(piece)
                self.tail = (self.tail + piece)[-self.KEEP :]
        except NoReply as gone:
            self.failure = gone

    def last_lines(self, count: int, timeout: float) -> list[bytes]:
        """The last lines of the complete answer. Fails when it is not complete in time."""
        self._thread.join(timeout)
        if self.failure:
            raise self.failure
        if self._thread.is_alive():
            fail(f"The body has ended, but {timeout:g} s later the answer has not.", because="The client still waits for the summary.")
        return whole_lines(self.tail + b"\n")[-count:]


def expect_last(reader: Reader, expected: list[Record], because: str) -> None:
    """The complete answer ends with these lines."""
    rows = reader.last_lines(len(expected), timeout=10)
    came = [parsed_or_none(text) for text in rows]
    wanted = " and ".join(shown(value) for value in expected)
    if len(came) < len(expected) or not all(map(agrees, came, expected)):
        fail(f"The answer should end with {wanted}, but its end is {shown(legible(b' '.join(rows)))}.", because=because)


def stream(server: Server, what: str, blocks: Iterable[bytes], expected_end: list[Record]) -> None:
    """Sends blocks while the answer is read, and fails as soon as the server's memory has grown too much."""
    before = server.stats().rss_bytes
    sent = looked_at = 0

    def look() -> None:
        grown = server.stats().rss_bytes - before
        expect(
            grown < GROWTH_MAX,
            f"After {sent / MB:.0f} MB of {what} the server's memory had grown by {grown / MB:.0f} MB; "
            f"less than {GROWTH_MAX // MB} MB is allowed.",
            because="A client decides how much it sends. A server that keeps it all is ended by one client, and everybody else with it.",
        )

    with server.connect() as connection:
        begin(connection)
        reader = Reader(connection)
        for block in blocks:
            connection.send_chunk(block)
            sent += len(block)
            if sent - looked_at > 8 * MB:
                looked_at = sent
                look()
        connection.send_chunk(b"")
        expect_last(reader, expected_end, because=f"{sent / MB:.0f} MB went in before it.")
        look()


# ---- 1. Number the records


@task(1)
@rule("A line that holds a JSON object is a record: it comes back with all its fields and with its line number as the field `n`.")
@visible
@hint("What does your server do with a record between reading its line and writing its answer? Can an exception get lost on that way?")
def test_every_record_comes_back_with_its_line_number(server: Server, rng: random.Random) -> None:
    """Every record comes back with its line number, at POST /transform and nowhere else."""
    values = [record(rng) for _ in range(rng.randrange(3, 9))] + [{}, {"n": 999, "a": {"n": -1}}, {"error": word(rng), "summary": None}]
    rng.shuffle(values)
    expected = [numbered(value, number) for number, value in enumerate(values, 1)]
    expect_answers(
        transform(server, lines(*values)),
        [*expected, summary(len(values), 0)],
        because="The depot joins your answers to its own lines by this number.",
    )
    expect_answers(transform(server, b""), [summary(0, 0)], because="A depot without parcels sends an empty body.")
    server.get("/transform").expect_error(405, 404)
    server.post(f"/transform{rng.randrange(10**6)}", NDJSON, lines({})).expect_error(404)


@task(1)
@rule("A line that is empty or holds only spaces and tabs is blank: it is counted but not answered.")
@visible
@hint("In which order do you count a line and decide that it is not worth an answer?")
def test_blank_lines_are_counted_but_not_answered(server: Server, rng: random.Random) -> None:
    """Blank lines get no answer, but they count."""
    expect_service(server, rng)
    body: list[object] = []
    expected = []
    for other_space in ("\u00a0", "\u3000", "\u2028", "\f", "\v", ""):
        body += [rng.choice([b"", b" ", b"\t", b"  \t "]) for _ in range(rng.randrange(1, 4))]
        if other_space:  # it looks blank, but holds more than spaces and tabs
            body.append(f" {other_space}".encode())
            expected.append(bad_line(len(body)))
        value = record(rng)
        body.append(value)
        expected.append(numbered(value, len(body)))
    expect_answers(
        transform(server, lines(*body, b"", b"  ")),
        [*expected, summary(6, 5)],
        because="Blank is what holds only spaces and tabs; blank lines count, since a number is an address in the sender's file.",
    )


@task(1)
@rule("After a bad line the server goes on with the next line.")
@visible
@hint("What can JSON.parse return, and what can it throw? How much of the body does one broken line make worthless?")
def test_a_bad_line_is_reported_and_the_next_one_is_served(server: Server, rng: random.Random) -> None:
    """A line that is no JSON object is reported with its number, and the next one is served."""
    expect_service(server, rng)
    broken = [b'{"parcel":', b"parcel=" + word(rng).encode(), b"{'a':1}", b'{"a":1}}', b'{"a":1} {"b":2}']
    others: list[object] = [[rng.randrange(99)], [], [{}], word(rng), rng.randrange(99), 1.5, True, False, None]
    no_object = [encoded(value) for value in others]
    rows: list[bytes | Record] = [*rng.sample(broken, 3), *no_object, *[record(rng) for _ in range(6)]]
    rng.shuffle(rows)
    last = record(rng)
    expected = [bad_line(number) if isinstance(row, bytes) else numbered(row, number) for number, row in enumerate(rows, 1)]
    expect_answers(
        transform(server, lines(*rows, last)),
        [*expected, numbered(last, len(rows) + 1), summary(7, 12)],
        because="A scanner that lost power leaves one broken line; the ones around it are still worth money.",
    )


# ---- 2. Lines, not packets


@task(2)
@rule("A body may arrive in packets of any size, cut at any byte, even inside a character; the answer is the same however it is cut.")
@visible
@hint("What does one chunk hold: a line, or whatever has just arrived? What is left over at its end?")
def test_a_cut_anywhere_changes_nothing(server: Server, rng: random.Random) -> None:
    """The same body, cut in two at every single byte, always gets the same answer."""
    values: list[Record] = [
        {"to": word(rng, 3)},
        {"to": rng.choice("éßñ") + rng.choice("日語한") + rng.choice("🙂🚀𝄞")},
        {"id": rng.randrange(99)},
    ]
    body = lines(*values)
    expected = [*(numbered(value, number) for number, value in enumerate(values, 1)), summary(3, 0)]
    expect_answers(transform(server, body), expected, because="Here it was sent in one packet.")

    connections = {}
    try:
        for cut in range(1, len(body)):
            connections[cut] = connection = server.connect()
            begin(connection)
            connection.send_chunk(body[:cut])
        server.get("/health").expect_status(200)  # by its answer the first parts have long arrived
        for cut, connection in connections.items():
            connection.send_chunk(body[cut:])
            connection.send_chunk(b"")
        for cut, connection in connections.items():
            place = f"Here the body was cut after byte {cut}: {shown(legible(body[:cut][-9:]))} and {shown(legible(body[cut:][:9]))}."
            reply = connection.answer("POST", WHAT).read_all()
            expect_answers(reply, expected, because=f"{place} Where it is cut, the network decides, and the sender does not know.")
    finally:
        for connection in connections.values():
            connection.close()


@task(2)
@rule("The last line of the body may end without a line ending; it is a line like the others.")
@visible
@hint("Which code of yours runs when the body has ended?")
def test_the_last_line_needs_no_line_ending(server: Server, rng: random.Random) -> None:
    """The last line is served with or without a line ending."""
    first, last = record(rng), record(rng)
    expect_answers(
        transform(server, lines(first, last)),
        [numbered(first, 1), numbered(last, 2), summary(2, 0)],
        because="Every line ends with LF here.",
    )
    because = "No LF follows the last line here. Many exports have none there; their last record must not be lost."
    expect_answers(transform(server, lines(first) + encoded(last)), [numbered(first, 1), numbered(last, 2), summary(2, 0)], because)
    expect_answers(transform(server, encoded(last)), [numbered(last, 1), summary(1, 0)], because)
    expect_answers(transform(server, lines(first) + encoded(last)[:-1]), [numbered(first, 1), bad_line(2), summary(1, 1)], because)


@task(2)
@rule("A line ends at LF (`\\n`) and nowhere else; a CR (`\\r`) just before the LF belongs to the line ending.")
@hint("Which bytes come before the first brace, and which after the last one, when a file was written on Windows?")
def test_a_log_from_windows_is_read_like_any_other(server: Server, rng: random.Random) -> None:
    """CR LF line endings and a byte order mark change nothing.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    values = [record(rng) for _ in range(3)]
    first, second, third = values
    expected = [numbered(first, 1), numbered(second, 3), numbered(third, 5), summary(3, 0)]
    crlf = lines(first, b"", second, b" \t", third, end=b"\r\n")
    expect_answers(transform(server, crlf), expected, because="The lines end with CR LF here; without its ending, a blank line is blank.")
    mark = b"\xef\xbb\xbf"
    because = (
        "The body begins with a byte order mark here. It cannot be seen in an editor, so nobody could find out what is wrong with line 1."
    )
    expect_answers(transform(server, mark + lines(first, b"", second, b"", third)), expected, because)
    expect_answers(transform(server, mark + crlf), expected, because)


@task(2)
@rule("Other characters that some programs take for line breaks, such as U+2028, U+2029 and U+0085, are ordinary characters.")
@hint("Who decides in your program what a line is: you, or a library? What does that one split at?")
def test_only_a_line_feed_ends_a_line(server: Server, rng: random.Random) -> None:
    """U+2028, U+2029 and U+0085 inside a text do not end a line.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    values = [{"note": f"{word(rng)}{mark}{word(rng)}"} for mark in ("\u2028", "\u2029", "\u0085", "\u2028\u2029")]
    rng.shuffle(values)
    expected = [numbered(value, number) for number, value in enumerate(values, 1)]
    expect_answers(
        transform(server, lines(*values)),
        [*expected, summary(4, 0)],
        because="Texts pasted from a word processor hold such characters, and in JSON they need no escape.",
    )


# ---- 3. Long lines


@task(3)
@rule("`MAX_LINE` is the greatest length of a line in bytes, without its line ending (default 65536).")
@hint("Where do you measure a line that arrives complete, and in which unit?")
def test_max_line_counts_bytes_without_the_line_ending(server: Server, rng: random.Random) -> None:
    """A line of 65536 bytes is good and one of 65537 is too long, whatever it holds and however it ends.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    letter = rng.choice("éß日語🙂")
    last = record(rng)
    for size in (MAX_LINE, MAX_LINE + 1):
        cases: list[tuple[str, Record, bytes]] = [
            ("", record_of_size(size), b"\n"),
            (f", nearly all of them in the character {letter}", record_of_size(size, letter), b"\n"),
            (", and CR LF after them", record_of_size(size), b"\r\n"),
        ]
        with server.connect() as connection:
            begin(connection)
            connection.send_chunk(encoded(record_of_size(size)) + b"\r")
            server.get("/health").expect_status(200)  # by its answer the CR has arrived, and the LF has not
            connection.send_chunk(b"\n" + lines(last))
            connection.send_chunk(b"")
            first = numbered(record_of_size(size), 1) if size <= MAX_LINE else too_long(1)
            expect_answers(
                connection.answer("POST", WHAT).read_all(),
                [first, numbered(last, 2), summary(2, 0) if size <= MAX_LINE else summary(1, 1)],
                because=f"Line 1 has {size} bytes, and the network cut between its CR and its LF.",
            )
        for what, value, end in cases:
            fits = size <= MAX_LINE
            expect_answers(
                transform(server, lines(value, end=end) + lines(last)),
                [numbered(value, 1) if fits else too_long(1), numbered(last, 2), summary(2, 0) if fits else summary(1, 1)],
                because=f"Line 1 has {size} bytes{what}. MAX_LINE counts bytes: it is the size of a field behind the server.",
            )


@task(3)
@rule('A line that is too long is one bad line, answered once with `{"error":"line too long","line":k}`.')
@environment(MAX_LINE="2000")
@visible
@hint("You have refused the line. Its rest is still on its way: what will your code take it for?")
def test_a_line_that_is_too_long_is_one_bad_line(server: Server, rng: random.Random) -> None:
    """With MAX_LINE=2000, a longer line is answered once, and the next line is served as usual."""
    expect_service(server, rng)
    first, second, third = (record(rng) for _ in range(3))
    fits = record_of_size(rng.randrange(1500, 2001))
    one, two, three = (encoded(record_of_size(rng.randrange(low, 2 * low))) for low in (2001, 70_000, 200_000))
    forged = b"x" * 131_072 + encoded(record(rng))
    rows: list[bytes | Record] = [first, one, second, two, three, fits, forged, third]
    expected = [too_long(number) if isinstance(row, bytes) else numbered(row, number) for number, row in enumerate(rows, 1)]
    because = "MAX_LINE is 2000 here. One long line is one mistake, found by its number, and the lines after it are good."
    expect_answers(transform(server, lines(*rows)), [*expected, summary(4, 4)], because)
    expect_answers(transform(server, lines(first) + two), [numbered(first, 1), too_long(2), summary(1, 1)], because)


@task(3)
@rule("However long a line is, the server's memory grows by less than 128 MB while it arrives.")
@quiet
@seconds(20)
@hint("From when on are the bytes of a line of no use to you?")
def test_an_endless_line_does_not_fill_the_memory(server: Server, rng: random.Random) -> None:
    """A line of 190 MB does not stay in memory, and the line after it is served.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    last = record(rng)
    block = bytes([rng.randrange(97, 123)]) * 262_144
    blocks = [block] * (190 * MB // len(block))
    stream(server, "one single line", [*blocks, b"\n" + lines(last)], [too_long(1), numbered(last, 2), summary(1, 1)])


# ---- 4. Streams without an end


@task(4)
@rule("The answer to a line leaves the server within 1 second after the LF of the line has arrived, while the body goes on.")
@seconds(12)
@visible
@hint("What does the first answer wait for in your program: its line, more lines, or the end of the body?")
def test_a_line_is_answered_while_the_body_goes_on(server: Server, rng: random.Random) -> None:
    """A client that sends one line at a time reads each answer before it sends the next line."""
    expect_service(server, rng)
    patience = 3.0  # three times what the contract gives
    with server.connect() as connection:
        begin(connection)
        answer = None
        came = b""
        for number in range(1, 5):
            value = record(rng)
            connection.send_chunk(lines(value))
            deadline = time.monotonic() + patience
            try:
                answer = answer or connection.answer("POST", WHAT, timeout=patience)
                while len(whole_lines(came)) < number and not answer.complete:
                    came += answer.read(max(0.01, deadline - time.monotonic()))
            except NoReply as nothing:
                if nothing.kind != "timeout":
                    raise
                fail(
                    f"Line {number} was sent with its LF, and {patience:g} s later its answer had not come; the body had not ended yet.",
                    because="A scanner that waits for the answer before it sends the next line would wait for ever.",
                )
            expect(not answer.complete, "The answer ended although the body went on.", because="Every later line would get no answer.")
            one, wanted = whole_lines(came)[number - 1], numbered(value, number)
            expect(
                agrees(parsed_or_none(one), wanted),
                f"The answer to line {number} should be {shown(wanted)}, but it is {shown(legible(one))}.",
            )
        server.get("/health").expect_status(200, because="Health is asked for while the stream is open.")
        connection.send_chunk(b"")
        assert answer is not None
        came += b"".join(answer.pieces(timeout=patience))
    expect_answers_meanwhile(server, rng, patience)
    rest = whole_lines(came + b"\n")[4:]
    expect(
        len(rest) == 1 and agrees(parsed_or_none(rest[0]), summary(4, 0)),
        f"When the body has ended, {shown(summary(4, 0))} should follow, but {legible(b' '.join(rest))[:200] or 'nothing'} came.",
        because="It tells the sender that nothing was lost.",
    )


def expect_answers_meanwhile(server: Server, rng: random.Random, patience: float) -> None:
    """A client that sends a line every tenth of a second, and never pauses longer, gets its first answer in time."""
    with server.connect() as connection:
        begin(connection)
        came = b""
        first_sent = time.monotonic()
        while b"\n" not in came.split(b"\r\n\r\n", 1)[-1]:
            connection.send_chunk(lines(record(rng)))
            with suppress(NoReply):
                came += connection.receive(0.1)  # also the pause until the next line
            expect(
                time.monotonic() - first_sent < patience,
                f"A line came every tenth of a second, and after {patience:g} s not even the first was answered.",
                because="A depot that is never idle would never get an answer.",
            )


@task(4)
@rule("However long the body is, the server's memory grows by less than 128 MB while it is served.")
@quiet
@seconds(20)
@hint("What of a line do you still need when its answer is written?")
def test_a_long_body_does_not_fill_the_memory(server: Server, rng: random.Random) -> None:
    """A body of 150 MB streams through without staying in memory.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    row = lines({"id": rng.randrange(10**6), "scan": "".join(rng.choices("abcdefghij", k=30_000))})
    each = 8
    count = 150 * MB // (len(row) * each)
    stream(server, "records", [row * each] * count, [summary(count * each, 0)])


@task(4)
@rule("When a client does not read its answers, the server stops reading its body.")
@seconds(20)
@hint("Your server reads faster than this client. Where do its answers wait, and how many of them?")
def test_a_client_that_does_not_read_is_not_read_from(server: Server, rng: random.Random) -> None:
    """A client that reads no answers cannot send more than 32 MB; when it reads again, nothing is lost.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    good_row = lines({"id": rng.randrange(10**6), "scan": "".join(rng.choices("abcdefghij", k=10_000))})
    bad_row = b'"' + b"x" * 34 + b'"\n'  # its answer is as long as the line; being JSON, it costs no exception
    with server.connect() as one, server.connect() as other:
        deaf = [DeafClient(one, good_row, 6, good=True), DeafClient(other, bad_row, 1600, good=False)]
        while any(time.monotonic() - client.took_last < 1.0 for client in deaf):  # both are waited for in the same second
            for client in deaf:
                client.send_what_is_taken()
        for client in deaf:
            client.read_again()


class DeafClient:
    """Sends blocks of equal lines and reads no answers until it is told to."""

    def __init__(self, connection: Connection, row: bytes, each: int, *, good: bool) -> None:
        self._connection, self._good, self._each = connection, good, each
        self._block = self._left = b"%x\r\n%s\r\n" % (len(row) * each, row * each)
        self._blocks = 1
        self._sent = 0
        self.took_last = time.monotonic()
        """When the server last took something of the body."""
        begin(connection)

    def send_what_is_taken(self) -> None:
        """Sends until the server takes nothing for a moment. Fails when it has taken more than the contract allows."""
        while taken := self._connection.send_some(self._left, timeout=0.1):
            self.took_last = time.monotonic()
            self._sent += taken
            self._left = self._left[taken:]
            if self._left:
                return  # the kernel and the server are full
            self._left = self._block
            self._blocks += 1
            expect(
                self._sent < UNREAD_MAX,
                f"The client read none of its answers, and the server still took {self._sent / MB:.0f} MB of its body.",
                because="The answers to all that wait in your server's memory, and a few such clients fill it.",
            )

    def read_again(self) -> None:
        """Sends the rest of its last block, reads, and expects that every line was answered."""
        reader = Reader(self._connection)
        self._connection.send(self._left, timeout=10)
        self._connection.send_chunk(b"")
        count = self._blocks * self._each
        expect_last(
            reader,
            [summary(count, 0) if self._good else summary(0, count)],
            because="The client has begun to read again, and every line it sent should be answered.",
        )


@task(4)
@rule("When a client breaks off in the middle, the server closes the connection within 2 seconds and goes on serving others.")
@visible
@hint("Who tells your code that the client is gone, and what happens if nobody handles it?")
def test_a_client_that_leaves_takes_nobody_along(server: Server, rng: random.Random) -> None:
    """Clients that break off in the middle of a line leave no connection behind and disturb nobody."""
    expect_service(server, rng)
    value = record(rng)
    with server.connect() as loyal:
        begin(loyal)
        loyal.send_chunk(encoded(value)[:5])
        server.get("/health").expect_status(200)
        before = server.stats().open_files
        for turn in range(12):
            leaving = server.connect()
            begin(leaving)
            leaving.send_chunk(lines(*[record(rng) for _ in range(turn)]) + encoded(value)[: rng.randrange(1, 20)])
            server.get("/health").expect_status(200)  # by now the server is busy with it
            if turn % 2:
                leaving.reset()
            else:
                leaving.close()
        deadline = time.monotonic() + 4
        while (left := server.stats().open_files - before) > 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        expect(
            left <= 3,
            f"Twelve clients broke off; 4 s later {left} of their connections are still open.",
            because="Open connections add up until no new client is let in.",
        )
        expect_service(server, rng, because="Twelve clients broke off before this request; that is no reason to serve this one badly.")
        loyal.send_chunk(lines(value)[5:])
        loyal.send_chunk(b"")
        because = "Its request was open all the while. A client in a tunnel must not cost the others their work."
        expect_answers(loyal.answer("POST", WHAT).read_all(), [numbered(value, 1), summary(1, 0)], because)


@task(4)
@rule("Requests that are served at the same time do not influence each other.")
@hint("Which variables of your program live longer than one request?")
def test_requests_at_the_same_time_do_not_mix(server: Server, rng: random.Random) -> None:
    """Ten clients that send half a line each in turn get back their own records and counts.

    looplab-canary-ndjson-lines-checks-66ed6787
    """
    expect_service(server, rng)
    rounds = 4
    clients = [server.connect() for _ in range(10)]
    values = [[record(rng) for _ in range(rounds)] for _ in clients]
    try:
        for client in clients:
            begin(client)
        for turn in range(rounds):
            rows = [lines(mine[turn]) for mine in values]
            cuts = [rng.randrange(1, len(row)) for row in rows]
            for client, row, cut in zip(clients, rows, cuts, strict=True):
                client.send_chunk(row[:cut])
            server.get("/health").expect_status(200)  # by its answer the halves have long arrived
            for client, row, cut in zip(clients, rows, cuts, strict=True):
                client.send_chunk(row[cut:])
        for client, mine in zip(clients, values, strict=True):
            client.send_chunk(b"")
            expected = [numbered(value, number) for number, value in enumerate(mine, 1)]
            expect_answers(
                client.answer("POST", WHAT).read_all(),
                [*expected, summary(rounds, 0)],
                because="Ten depots send at the same time. One that reads another's parcels is the worst thing that can happen here.",
            )
    finally:
        for client in clients:
            client.close()
