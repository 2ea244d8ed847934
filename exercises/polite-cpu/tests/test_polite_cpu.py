"""Heavy work, living server: a hash chain of about a second, watched from outside."""

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from random import Random
from urllib.parse import quote, quote_plus

from grader.suite import (
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
    task,
    visible,
)

MOST_ROUNDS = 600_000
BUSY_ROUNDS = 100_000
"""At least 0.1 s of work: longer than requests need that are sent back to back."""
SETTLE_SECONDS = 1.5
"""How long we wait for what the contract gives 500 ms: three times as long, for busy machines."""
SURE_ROUNDS = 300_000
"""For the second look at a limit that seems to give way: no machine finishes this before the last request has arrived."""
NODE_PER_PYTHON = 2.0
"""A round of chain.mjs costs 1.8 to 2.3 times a round of Python's hashlib on the same machine, both being mostly calls."""

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


# ---- the contract, computed again


def digest_of(seed: str, rounds: int) -> str:
    value = seed.encode()
    for _ in range(rounds):
        value = hashlib.sha256(value).digest()
    return value.hex()


def plain_loop_seconds() -> float:
    """What the plain loop needs here for the longest chain. The fastest of short runs: others on the machine only slow it down."""
    tries = []
    for _ in range(7):
        began = time.perf_counter()
        digest_of("calibration", 20_000)
        tries.append(time.perf_counter() - began)
    return min(tries) * MOST_ROUNDS / 20_000 * NODE_PER_PYTHON


# ---- talking to the server


def path_of(seed: str, rounds: object) -> str:
    return f"/chain?seed={quote(seed, safe='')}&rounds={rounds}"


def word(rng: Random) -> str:
    return "".join(rng.choices(LETTERS, k=12))


def expect_chain(reply: Reply, seed: str, rounds: int, because: str = "") -> None:
    reply.expect_object(200, because=because)
    reply.expect_field("seed", seed)
    reply.expect_field("rounds", rounds)
    reply.expect_field("digest", digest_of(seed, rounds), because=because)


def one_good_chain(server: Server, rng: Random, within: float = 2.0) -> None:
    """The server computes. A place may still be taken by the check before, so a 503 is asked again for a while."""
    seed, rounds = word(rng), rng.randrange(20, 60)
    reply = until_accepted(server, path_of(seed, rounds), within)
    expect_chain(reply, seed, rounds)


def until_accepted(server: Server, path: str, within: float) -> Reply:
    """Asks until the answer is no 503, or `within` seconds have passed; returns the last answer."""
    deadline = time.monotonic() + within
    while True:
        reply = server.get(path, timeout=10)
        if reply.status != 503 or time.monotonic() > deadline:
            return reply
        time.sleep(0.02)


def at_once(server: Server, seeds: list[str], rounds: int) -> list[Reply]:
    """Sends one chain for each seed back to back, on connections that are open already, and collects all answers."""
    with ExitStack() as open_ones:
        connections = [open_ones.enter_context(server.connect()) for _ in seeds]
        for connection, seed in zip(connections, seeds, strict=True):
            connection.send_request("GET", path_of(seed, rounds))
        return [
            connection.answer("GET", f"GET {path_of(seed, rounds)}", 20).read_all()
            for connection, seed in zip(connections, seeds, strict=True)
        ]


def expect_places(server: Server, rng: Random, places: int, *, settle: float, story: str) -> None:
    """Sends more chains at once than there are places. Exactly `places` may be computed, after `settle` seconds at the latest."""
    deadline = time.monotonic() + settle
    rounds = BUSY_ROUNDS
    while True:
        seeds = [word(rng) for _ in range(places + 3)]
        replies = at_once(server, seeds, rounds)
        accepted = [(reply, seed) for reply, seed in zip(replies, seeds, strict=True) if reply.status != 503]
        for reply, seed in accepted:
            reply.expect_object(200)
            reply.expect_field("seed", seed)
        came = f"{len(seeds)} chains were asked for at once{story}. {count(places)} should be computed and the others refused with 503; {count(len(accepted))} came back computed."
        if len(accepted) > places and rounds < SURE_ROUNDS:
            rounds = SURE_ROUNDS  # perhaps the first ones were done before the last ones arrived
            continue
        if len(accepted) > places:
            accepted[-1][0].fail(came, because="A limit that gives way lets a rush of requests slow down everybody's work.")
        if len(accepted) == places:
            break
        if time.monotonic() > deadline:
            refused = next(reply for reply in replies if reply.status == 503)
            refused.fail(came, because="A place that is lost stays lost: in the end the server refuses everybody while it does nothing.")
    next(reply for reply in replies if reply.status == 503).expect_error(503)


def count(number: int) -> str:
    return "None" if number == 0 else str(number)


def busy_and_then_left(server: Server, rng: Random, clients: int) -> None:
    """`clients` start the longest chain and, as soon as the server is full, hang up: every other one with a reset."""
    leaving = [server.connect() for _ in range(clients)]
    for connection in leaving:
        connection.send_request("GET", path_of(word(rng), MOST_ROUNDS))
    full_by = time.monotonic() + 0.3
    while time.monotonic() < full_by:
        answer = server.attempt("GET", path_of("full", 0), timeout=0.3)
        if isinstance(answer, NoReply) or answer.status == 503:
            break
    for number, connection in enumerate(leaving):
        hang_up(connection, number)


def hang_up(connection: Connection, number: int) -> None:
    if number % 2:
        connection.reset()
    else:
        connection.close()


# ---- 1. Compute a chain


@task(1)
@visible
@rule("Each round replaces the value by its SHA-256: the 32 raw bytes, not their text.")
@hint("What goes into the second round: 32 bytes, or the 64 characters that show them?")
def test_each_round_hashes_the_raw_bytes(server: Server, rng: Random) -> None:
    """The digest is right for no round, for one, and for many."""
    for rounds in [0, 1, 2, rng.randrange(500, 1500), 100_000]:
        seed = word(rng)
        reply = until_accepted(server, path_of(seed, rounds), 2.0)
        expect_chain(reply, seed, rounds, "Partners compute the chain too: a value that differs from theirs looks forged.")


@task(1)
@rule("A chain begins with the bytes of the seed in UTF-8.")
@hint("How does your text become bytes, and what does that do to é?")
def test_a_seed_beyond_ascii_is_hashed_as_utf8(server: Server, rng: Random) -> None:
    """Accents, emoji, plus signs and spaces in a seed are hashed as what they are."""
    one_good_chain(server, rng)
    signs = ["é", "ß", "Ж", "語", "🙂", "+", "&", "=", "%", " ", "?", "/"]
    for encode in (quote, quote_plus):
        rng.shuffle(signs)
        seed, rounds = " " + "".join(signs) + word(rng) + " ", rng.randrange(2, 9)
        reply = until_accepted(server, f"/chain?seed={encode(seed, safe='')}&rounds={rounds}", 1.0)
        expect_chain(reply, seed, rounds, "A seed in any language must give the value that others compute for it.")


@task(1)
@visible
@rule("The seed has 1 to 100 characters, and every character counts, spaces too.")
@hint("What is '🙂'.length?")
def test_a_seed_has_one_to_a_hundred_characters(server: Server, rng: Random) -> None:
    """A hundred characters are accepted, whatever they are; none, or one more, are refused."""
    for sign in (rng.choice(LETTERS), rng.choice("éЖ語"), rng.choice("🙂🚀🐢"), " "):
        seed = sign * 99 + rng.choice(LETTERS)
        reply = until_accepted(server, path_of(seed, 3), 2.0)
        expect_chain(reply, seed, 3, "A hundred characters are allowed, and an emoji is one character.")
    because = "What cannot be meant must be refused, not hashed."
    for sign in (rng.choice(LETTERS), rng.choice("🙂🚀🐢")):
        server.get(path_of(sign * 101, 3)).expect_error(400, because=because)
    server.get("/chain?seed=&rounds=3").expect_error(400, because=because)
    server.get("/chain?rounds=3").expect_error(400, because=because)


@task(1)
@rule("`rounds` is a whole number from 0 to 600000, written in decimal digits only.")
@hint("What are Number(null), Number('') and Number('1e3')?")
def test_rounds_that_are_not_plain_digits_are_refused(server: Server, rng: Random) -> None:
    """A number of rounds that is missing, too large or not written in plain digits is refused."""
    one_good_chain(server, rng)
    seed = word(rng)
    bad = ["-1", "1.5", "abc", "1e3", "600001", "", "0x10", "12abc", "%205"]
    rng.shuffle(bad)
    because = "A typing mistake must not become a job that nobody asked for."
    for rounds in bad:
        server.get(f"/chain?seed={seed}&rounds={rounds}").expect_error(400, because=because)
    server.get(f"/chain?seed={seed}").expect_error(400, because=because)


# ---- 2. Stay alive while computing


@task(2)
@visible
@quiet
@seconds(12)
@rule("While a chain is computed, 95 of 100 requests to `/health` are answered within 100 milliseconds.")
@hint("Which thread runs your loop, and who reads /health from its socket meanwhile?")
def test_health_is_answered_while_a_chain_is_computed(server: Server, rng: Random) -> None:
    """While the longest chain is computed, /health answers soon, again and again."""
    one_good_chain(server, rng)
    plain = plain_loop_seconds()
    seed = word(rng)
    with server.connect() as client:
        client.send_request("GET", path_of(seed, MOST_ROUNDS))
        with server.watch_health(every=0.01) as health:
            try:
                reply = client.answer("GET", "the longest chain", 1.2 * plain + 0.2).read_all()
            except NoReply as still_computing:
                if still_computing.kind != "timeout":
                    raise
                reply = None
    if reply is not None:
        reply.expect_object(200)
    slow = health.percentile(0.95)
    expect(
        slow <= max(0.2, plain / 4),
        f"While a chain of {MOST_ROUNDS} rounds was computed, 5 of 100 requests to /health waited {1000 * slow:.0f} ms or longer; 100 ms are allowed.",
        because="A load balancer that gets no answer takes your server out of service, and nobody else is served meanwhile.",
    )


@task(2)
@quiet
@seconds(25)
@rule("A chain that runs alone takes at most three times as long as the plain loop of `chain.mjs` takes on the same machine.")
@hint("How often does your loop pause, and how long is each pause?")
def test_a_chain_alone_is_hardly_slowed_down(server: Server, rng: Random) -> None:
    """The longest chain, alone, takes not much longer than a plain loop."""
    one_good_chain(server, rng)
    plain = plain_loop_seconds()
    seed = word(rng)
    took = timed_chain(server, seed, 3 * plain)
    if took is None:  # a busy machine gets a second chance
        took = timed_chain(server, seed, 3 * plain)
    if took is None:
        fail(
            f"A chain of {MOST_ROUNDS} rounds, alone, was not done after {3 * plain:.1f} s; the plain loop takes about {plain:.1f} s on this machine.",
            because="Whoever waits for a chain waits for all its pauses too, and its place is taken meanwhile.",
        )


def timed_chain(server: Server, seed: str, limit: float) -> float | None:
    """Seconds that the longest chain took, or None when it was not done within `limit`."""
    began = time.monotonic()
    answer = server.attempt("GET", path_of(seed, MOST_ROUNDS), timeout=limit)
    if isinstance(answer, NoReply):
        if answer.kind != "timeout":
            raise answer
        one_good_chain(server, Random(seed))
        return None
    answer.expect_object(200)
    answer.expect_field("digest", digest_of(seed, MOST_ROUNDS))
    return time.monotonic() - began


@task(2)
@visible
@seconds(15)
@rule("Chains that run at the same time do not change each other's digests.")
@hint("Where does the value live between two rounds, and who else can reach it?")
def test_chains_at_the_same_time_do_not_mix(server: Server, rng: Random) -> None:
    """Two chains that are computed at the same time both come out right."""
    one_good_chain(server, rng)
    seeds = [word(rng), word(rng)]
    for reply, seed in zip(at_once(server, seeds, BUSY_ROUNDS), seeds, strict=True):
        reply.expect_object(200, because="By default two chains may be computed at the same time.")
        because = "One client would get a value that belongs to nobody, because another client was there."
        expect_chain(reply, seed, BUSY_ROUNDS, because)


# ---- 3. Say no in time


@task(3)
@visible
@seconds(25)
@rule("While every place is taken, a further valid request for a chain is answered 503 at once; it does not wait for a place.")
@hint("Two requests arrive at the same moment. What does your server know about the first when it looks at the second?")
def test_one_chain_too_many_is_refused_at_once(server: Server, rng: Random) -> None:
    """Of five chains at once, two are computed and three are refused."""
    one_good_chain(server, rng)
    expect_places(server, rng, 2, settle=0.5, story="")


@task(3)
@seconds(25)
@environment(MAX_JOBS="3")
@rule("`MAX_JOBS` is an environment variable, a whole number of at least 1; its default is 2.")
@hint("Where does your program read the variable?")
def test_max_jobs_sets_the_number_of_places(server: Server, rng: Random) -> None:
    """With MAX_JOBS=3 there are three places."""
    one_good_chain(server, rng)
    expect_places(server, rng, 3, settle=0.5, story=", with MAX_JOBS=3")


@task(3)
@seconds(20)
@rule("A 503 carries `Retry-After`: either a whole number of seconds from 1 to 10, or an HTTP date at most 10 seconds ahead.")
@hint("In which unit does HTTP count?")
def test_retry_after_says_when_to_come_back(server: Server, rng: Random) -> None:
    """A refusal says when to come back, and then there is a place."""
    one_good_chain(server, rng)
    replies = at_once(server, [word(rng) for _ in range(3)], BUSY_ROUNDS)
    refused = next((reply for reply in replies if reply.status == 503), None)
    if refused is None:
        replies[-1].fail("Three chains were asked for at once, and none of them was refused with 503, though there are two places.")
    assert refused is not None
    wait = retry_after(refused)
    expect(
        1 <= wait <= 10,
        f"Retry-After of the 503 should lie between 1 and 10 seconds; it is {refused.header('retry-after')!r}.",
        because="A polite client obeys: with too large a number it stays away long after a place is free.",
    )
    seed = word(rng)
    reply = until_accepted(server, path_of(seed, 10), 3 * wait)
    expect(
        reply.status != 503,
        f"Retry-After said {wait:g} s, but after three times that long the server still refuses, and nobody else asks.",
        because="A client that keeps to the number would never be served.",
    )
    expect_chain(reply, seed, 10)


def retry_after(refused: Reply) -> float:
    """Seconds, from a number or from a date. A date has whole seconds, so it may seem up to one second nearer or farther."""
    text = (refused.header("retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        ahead = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError):
        refused.fail(
            f"A 503 should carry Retry-After with seconds or an HTTP date; it is {'missing' if not text else repr(text)}.",
            because="Without it a client does not know whether to come back in a second or tomorrow.",
        )
    return min(max(ahead, 1.0), 10.0) if -1 <= ahead <= 11 else ahead


# ---- 4. Stop when nobody listens


@task(4)
@visible
@seconds(20)
@environment(MAX_JOBS="4")
@rule("The place of a chain whose client has left is free again within 500 milliseconds.")
@hint("Which event tells your server that the client has gone, and who tells the loop?")
def test_a_client_that_leaves_frees_its_place(server: Server, rng: Random) -> None:
    """When all clients hang up, their places are free again soon."""
    one_good_chain(server, rng)
    busy_and_then_left(server, rng, 4)
    left = time.monotonic()
    seed = word(rng)
    reply = until_accepted(server, path_of(seed, 5), SETTLE_SECONDS)
    waited = time.monotonic() - left
    if reply.status == 503 or waited > SETTLE_SECONDS + 0.5:
        reply.fail(
            f"Four clients started long chains and hung up. {waited:.1f} s later a fifth client had still no place; half a second is allowed.",
            because="Whoever presses reload a few times would shut everybody out.",
        )
    expect_chain(reply, seed, 5)


@task(4)
@quiet
@seconds(20)
@environment(MAX_JOBS="5")
@rule("The work on a chain whose client has left stops within 500 milliseconds.")
@hint("The place is free. Does the loop know that?")
def test_a_client_that_leaves_stops_the_work(server: Server, rng: Random) -> None:
    """When all clients hang up, the processor comes to rest."""
    one_good_chain(server, rng)
    busy_and_then_left(server, rng, 5)
    left = time.monotonic()
    share = 1.0
    while share > 0.15 and time.monotonic() < left + SETTLE_SECONDS:
        share = processor_share(server, 0.2)
    expect(
        share <= 0.15,
        f"Five clients started long chains and hung up. {time.monotonic() - left:.1f} s later your server still uses {100 * share:.0f} % of a processor.",
        because="It computes for nobody, and those who do wait share what is left.",
    )
    one_good_chain(server, rng)


def processor_share(server: Server, during: float) -> float:
    """How much of one processor the server's processes use, over `during` seconds."""
    before, began = server.stats().cpu_seconds, time.monotonic()
    time.sleep(during)
    return (server.stats().cpu_seconds - before) / (time.monotonic() - began)


@task(4)
@seconds(40)
@environment(MAX_JOBS="2")
@rule("However many clients leave, and whenever they do, the number of places stays `MAX_JOBS`.")
@hint("How many lines of your program lower the counter, and can two of them run for one request, or none?")
def test_clients_that_leave_change_no_number_of_places(server: Server, rng: Random) -> None:
    """After twenty clients have hung up there are as many places as before, no more and no fewer."""
    one_good_chain(server, rng)
    for number in range(20):
        client = server.connect()
        client.send_request("GET", path_of(word(rng), BUSY_ROUNDS))
        try:
            client.receive(rng.uniform(0.005, 0.03))
        except NoReply:
            pass  # it is being computed: just the moment to leave
        hang_up(client, number)
    for _ in range(2):
        expect_places(server, rng, 2, settle=SETTLE_SECONDS, story=" after twenty clients had hung up")


@task(4)
@visible
@seconds(15)
@rule("A chain that is done frees its place at once, even when its client keeps the connection open or does not read the answer yet.")
@hint("What ends later: the answer or the connection?")
def test_a_chain_that_is_done_frees_its_place(server: Server, rng: Random) -> None:
    """Clients that stay connected, or do not read their answer, hold no place."""
    one_good_chain(server, rng)
    seeds = [word(rng), word(rng)]
    with server.connect() as stays, server.connect() as reads_late:
        expect_chain(stays.request("GET", path_of(seeds[0], 50), timeout=10), seeds[0], 50)
        reads_late.send_request("GET", path_of(seeds[1], 50))
        for _ in range(2):
            seed = word(rng)
            reply = until_accepted(server, path_of(seed, 50), SETTLE_SECONDS)
            if reply.status == 503:
                reply.fail(
                    "Two chains were done; one client kept its connection open, the other had not read its answer. A third client found no place.",
                    because="Browsers and proxies keep connections open for minutes: two of them would shut everybody out.",
                )
            expect_chain(reply, seed, 50)
        expect_chain(reads_late.answer("GET", f"GET {path_of(seeds[1], 50)}").read_all(), seeds[1], 50)
