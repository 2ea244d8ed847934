"""Heavy work, living server: a hash chain of about a second, watched from outside."""

import base64
import hashlib
import time
from contextlib import ExitStack, suppress
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
YARDSTICK_ROUNDS = 200_000
YARDSTICK = """
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
const name = process.env.YARDSTICK;
if (isMainThread && name) {
  delete process.env.YARDSTICK;
  delete process.env.NODE_OPTIONS;
  const began = performance.now();
  let value = Buffer.from(name);
  for (let round = 0; round < %d; round += 1) value = createHash('sha256').update(value).digest();
  writeSync(1, `${name} ${performance.now() - began}\\n`);
}
"""
"""The loop of chain.mjs, run by the learner's Node in the learner's box before any of the learner's code."""

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


# ---- the contract, computed again


def digest_of(seed: str, rounds: int) -> str:
    value = seed.encode()
    for _ in range(rounds):
        value = hashlib.sha256(value).digest()
    return value.hex()


def plain_loop_seconds(server: Server, rng: Random) -> float:
    """What the plain loop needs for the longest chain, in the server's own box, now. Restarts the server twice.

    The first line with the drawn name is ours: the program's own code has not run when it is written.
    """
    name = f"yardstick-{rng.randrange(2**64):x}"
    code = base64.b64encode((YARDSTICK % YARDSTICK_ROUNDS).encode()).decode()
    server.restart({"NODE_OPTIONS": f"--import data:text/javascript;base64,{code}", "YARDSTICK": name})
    line = next(line for line in server.status().output.splitlines() if line.startswith(name))
    server.restart()
    return float(line.split()[1]) / 1000 * MOST_ROUNDS / YARDSTICK_ROUNDS


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
    if reply.status == 503:
        reply.fail(f"One client asked for a chain, nobody else did, and {within:g} s later there was still no place for it.")
    expect_chain(reply, seed, rounds)


def until_accepted(server: Server, path: str, within: float, timeout: float = 4.0) -> Reply:
    """Asks until the answer is no 503; the last time no sooner than `within` seconds from now. `timeout` is for each answer."""
    deadline = time.monotonic() + within
    while True:
        asked = time.monotonic()
        reply = server.get(path, timeout=timeout)
        if reply.status != 503 or asked > deadline:
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
    """Sends more chains at once than there are places. Exactly `places` should be computed, once `settle` seconds have passed."""
    deadline = time.monotonic() + settle
    rounds = BUSY_ROUNDS
    while True:
        asked = time.monotonic()
        seeds = [word(rng) for _ in range(places + 3)]
        replies = at_once(server, seeds, rounds)
        accepted = [(reply, seed) for reply, seed in zip(replies, seeds, strict=True) if reply.status != 503]
        for reply, seed in accepted:
            reply.expect_object(200)
            reply.expect_field("seed", seed)
        came = (
            f"{len(seeds)} chains were asked for at once{story}. {places} should be computed and the others refused with 503; "
            f"{len(accepted) or 'none'} came back computed."
        )
        if len(accepted) > places and rounds < SURE_ROUNDS:
            rounds = SURE_ROUNDS  # perhaps the first ones were done before the last ones arrived
            continue
        if len(accepted) > places:
            accepted[-1][0].fail(came, because="A limit that gives way lets a rush of requests slow down everybody's work.")
        if len(accepted) == places:
            break
        if asked > deadline:
            refused = next(reply for reply in replies if reply.status == 503)
            refused.fail(came, because="Clients are turned away although there is room for them.")
    next(reply for reply in replies if reply.status == 503).expect_error(503)


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
        reply = until_accepted(server, path_of(seed, rounds), 2.0, timeout=10)
        expect_chain(reply, seed, rounds, "Partners compute the chain too: a value that differs from theirs looks forged.")


@task(1)
@rule("A chain begins with the bytes of the seed in UTF-8.")
@hint("How does your text become bytes, and what does that do to é?")
def test_a_seed_beyond_ascii_is_hashed_as_utf8(server: Server, rng: Random) -> None:
    """Accents, emoji, plus signs and spaces in a seed are hashed as what they are.

    looplab-canary-polite-cpu-checks-de0e2218
    """
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
    """A number of rounds that is missing, too large or not written in plain digits is refused.

    looplab-canary-polite-cpu-checks-de0e2218
    """
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
    seed = word(rng)
    with server.connect() as client:
        began = time.monotonic()
        client.send_request("GET", path_of(seed, MOST_ROUNDS))
        with server.watch_health(every=0.01) as health:
            reply = answer_within(client, f"GET {path_of(seed, MOST_ROUNDS)}", 4)
        took = time.monotonic() - began
    if reply is not None:
        reply.expect_object(200)
        reply.expect_field("seed", seed)
    slow = health.percentile(0.95)
    expect(
        slow <= max(0.2, took / 4),
        f"While a chain of {MOST_ROUNDS} rounds was computed, 5 of 100 requests to /health waited {1000 * slow:.0f} ms or longer; "
        "100 ms are allowed.",
        because="A load balancer that gets no answer takes your server out of service, and nobody else is served meanwhile.",
    )


@task(2)
@quiet
@seconds(20)
@environment(MAX_JOBS="5")
@rule("While a chain is computed, 95 of 100 requests to `/health` are answered within 100 milliseconds.")
@hint("Five chains take turns. How long is it until it is anybody else's turn?")
def test_health_is_answered_while_all_places_are_taken(server: Server, rng: Random) -> None:
    """With five chains at the same time, /health still answers soon, on new connections too.

    looplab-canary-polite-cpu-checks-de0e2218
    """
    one_good_chain(server, rng)
    with ExitStack() as open_ones:
        for _ in range(5):
            open_ones.enter_context(server.connect()).send_request("GET", path_of(word(rng), SURE_ROUNDS))
        waits = []
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            began = time.monotonic()
            server.get("/health", timeout=8).expect_status(200)
            waits.append(time.monotonic() - began)
    median = sorted(waits)[len(waits) // 2]
    expect(
        median <= 0.25,
        f"While five chains were computed, every second request to /health waited {1000 * median:.0f} ms or longer; 100 ms are allowed.",
        because="Pauses that add up are short for one user and long for five.",
    )


def answer_within(client: Connection, what: str, within: float) -> Reply | None:
    """The answer, or None when the server still computes after `within` seconds."""
    try:
        return client.answer("GET", what, within).read_all()
    except NoReply as nothing:
        if nothing.kind != "timeout":
            raise
        return None


@task(2)
@quiet
@seconds(40)
@rule("A chain that runs alone takes at most three times as long as the plain loop of `chain.mjs` takes on the same machine.")
@hint("How often does your loop pause, and how long is each pause?")
def test_a_chain_alone_is_hardly_slowed_down(server: Server, rng: Random) -> None:
    """The longest chain, alone, takes not much longer than a plain loop.

    looplab-canary-polite-cpu-checks-de0e2218
    """
    limits = []
    for _ in range(2):  # a machine that has just become busy gets a second chance
        plain = plain_loop_seconds(server, rng)
        limits.append(3 * plain)
        one_good_chain(server, rng)
        seed = word(rng)
        with server.connect() as client:
            client.send_request("GET", path_of(seed, MOST_ROUNDS))
            reply = answer_within(client, f"GET {path_of(seed, MOST_ROUNDS)}", limits[-1])
        if reply is not None:
            expect_chain(reply, seed, MOST_ROUNDS)
            return
    fail(
        f"A chain of {MOST_ROUNDS} rounds, alone, was not done after {limits[-1]:.1f} s; the plain loop takes {limits[-1] / 3:.1f} s here.",
        because="Whoever waits for a chain waits for all its pauses too, and its place is taken meanwhile.",
    )


@task(2)
@visible
@seconds(15)
@rule("Chains that run at the same time do not change each other's digests.")
@hint("Where does the value live between two rounds, and who else can reach it?")
def test_chains_at_the_same_time_do_not_mix(server: Server, rng: Random) -> None:
    """Two chains that are computed at the same time both come out right."""
    one_good_chain(server, rng)
    seeds = [word(rng), word(rng)]
    deadline = time.monotonic() + 2
    replies = at_once(server, seeds, BUSY_ROUNDS)
    while any(reply.status == 503 for reply in replies) and time.monotonic() < deadline:  # the check before may have left just now
        replies = at_once(server, seeds, BUSY_ROUNDS)
    for reply, seed in zip(replies, seeds, strict=True):
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
    with server.connect() as one, server.connect() as other:
        for client in (one, other):
            client.send_request("GET", path_of(word(rng), MOST_ROUNDS))
        server.get("/health").expect_status(200)  # by its answer both have long arrived
        server.get(path_of(word(rng), rng.randrange(1, 200)), timeout=10).expect_error(
            503, because="Two long chains hold both places. A short one is work, too, and a thousand of them are a lot of it."
        )


@task(3)
@seconds(25)
@environment(MAX_JOBS="3")
@rule("`MAX_JOBS` is an environment variable, a whole number of at least 1; its default is 2.")
@hint("Where does your program read the variable?")
def test_max_jobs_sets_the_number_of_places(server: Server, rng: Random) -> None:
    """With MAX_JOBS=3 there are three places.

    looplab-canary-polite-cpu-checks-de0e2218
    """
    one_good_chain(server, rng)
    expect_places(server, rng, 3, settle=0.5, story=", with MAX_JOBS=3")


@task(3)
@seconds(20)
@rule("A 503 carries `Retry-After`: either a whole number of seconds from 1 to 10, or an HTTP date at most 10 seconds ahead.")
@hint("In which unit does HTTP count?")
def test_retry_after_says_when_to_come_back(server: Server, rng: Random) -> None:
    """A refusal says when to come back, and then there is a place.

    looplab-canary-polite-cpu-checks-de0e2218
    """
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
@environment(MAX_JOBS="6")
@rule("The place of a chain whose client has left is free again within 500 milliseconds.")
@hint("Which event tells your server that the client has gone, and who tells the loop?")
def test_a_client_that_leaves_frees_its_place(server: Server, rng: Random) -> None:
    """When all clients hang up, their places are free again soon."""
    one_good_chain(server, rng)
    busy_and_then_left(server, rng, 6)
    left = time.monotonic()
    seed = word(rng)
    reply = until_accepted(server, path_of(seed, 5), SETTLE_SECONDS, timeout=15)
    waited = time.monotonic() - left
    if reply.status == 503 or waited > SETTLE_SECONDS + 0.5:
        reply.fail(
            f"Six clients started long chains and hung up. A seventh client waited {waited:.1f} s for a place; half a second is allowed.",
            because="Whoever presses reload a few times would shut everybody out.",
        )
    expect_chain(reply, seed, 5)


@task(4)
@quiet
@seconds(20)
@environment(MAX_JOBS="7")
@rule("The work on a chain whose client has left stops within 500 milliseconds.")
@hint("The place is free. Does the loop know that?")
def test_a_client_that_leaves_stops_the_work(server: Server, rng: Random) -> None:
    """When all clients hang up, the processor comes to rest.

    looplab-canary-polite-cpu-checks-de0e2218
    """
    one_good_chain(server, rng)
    busy_and_then_left(server, rng, 7)
    left = time.monotonic()
    share = 1.0
    while share > 0.15 and time.monotonic() < left + SETTLE_SECONDS:
        share = processor_share(server, 0.2)
    expect(
        share <= 0.15,
        f"Seven clients started long chains and hung up. {time.monotonic() - left:.1f} s later "
        f"your server still uses {100 * share:.0f} % of a processor.",
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
    """After twenty clients have hung up there are as many places as before, no more and no fewer.

    looplab-canary-polite-cpu-checks-de0e2218
    """
    one_good_chain(server, rng)
    for number in range(20):
        client = server.connect()
        client.send_request("GET", path_of(word(rng), BUSY_ROUNDS))
        with suppress(NoReply):  # nothing comes, for it is being computed: just the moment to leave
            client.receive(rng.uniform(0.005, 0.03))
        hang_up(client, number)
    for _ in range(2):
        expect_places(server, rng, 2, settle=SETTLE_SECONDS, story=" after twenty clients had hung up")
    for _ in range(3):
        if one_leaves_and_one_stays(server, rng):
            return


def one_leaves_and_one_stays(server: Server, rng: Random) -> bool:
    """While one chain runs on and another was left, one place is free, not two. False when the first was done too early to tell."""
    with server.connect() as stays:
        stays.send_request("GET", path_of(word(rng), MOST_ROUNDS))
        leaves = server.connect()
        leaves.send_request("GET", path_of(word(rng), MOST_ROUNDS))
        with suppress(NoReply):
            leaves.receive(0.03)
        leaves.close()
        until_accepted(server, path_of(word(rng), 10), SETTLE_SECONDS)  # by then the place is known to be free
        replies = at_once(server, [word(rng) for _ in range(3)], BUSY_ROUNDS)
        with suppress(NoReply):
            stays.receive(0.001)
            return False
    computed = sum(reply.status == 200 for reply in replies)
    expect(
        computed <= 1,
        f"One client left and another stayed, so one of two places was free. Of three chains asked for at once {computed} were computed.",
        because="A place that is given back twice is a limit that wears away, one impatient client at a time.",
    )
    return True


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
                    "Two chains were done; one client kept its connection open, the other had not read its answer. "
                    "A third client found no place.",
                    because="Browsers and proxies keep connections open for minutes: two of them would shut everybody out.",
                )
            expect_chain(reply, seed, 50)
        expect_chain(reads_late.answer("GET", f"GET {path_of(seeds[1], 50)}").read_all(), seeds[1], 50)
