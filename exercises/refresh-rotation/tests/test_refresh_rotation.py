"""The suite of refresh-rotation. What it may assume is in prompt.md; why it looks as it does, in design.md."""

import base64
import hashlib
import hmac
import json
import random
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from grader.suite import NoReply, Reply, Server, environment, expect, fail, hint, rule, seconds, task, visible

BACKUP = "Every night a backup locks the database for a moment; nobody should notice more than a short wait."
NEW = "This refresh token is new and was never used."


# ---- what a client of the server does


@dataclass(frozen=True)
class Tokens:
    access: str
    refresh: str


def passwords(server: Server) -> dict[str, str]:
    known: dict[str, str] = json.loads(server.env["USERS"])
    return known


def user(server: Server, rng: random.Random) -> str:
    return rng.choice(sorted(passwords(server)))


def login_reply(server: Server, email: str, password: str | None = None) -> Reply:
    return server.post("/login", json={"email": email, "password": passwords(server)[email] if password is None else password})


def login(server: Server, email: str) -> Tokens:
    return tokens_of(login_reply(server, email), "The e-mail and the password are right.")


def refresh_reply(server: Server, token: str) -> Reply:
    return server.post("/refresh", json={"refresh_token": token})


def refresh(server: Server, token: str, because: str) -> Tokens:
    """A refresh that must succeed."""
    return tokens_of(refresh_reply(server, token), because)


def logout(server: Server, token: str) -> None:
    reply = server.post("/logout", json={"refresh_token": token}).expect_status(204, because="It says: this login is over.")
    expect(not reply.body, "A 204 has no body, but one came with the answer to POST /logout.")


def me(server: Server, token: str) -> Reply:
    return server.get("/me", {"Authorization": f"Bearer {token}"})


def tokens_of(reply: Reply, because: str) -> Tokens:
    body = reply.expect_object(200, because=because)
    return Tokens(token_in(reply, body, "access_token"), token_in(reply, body, "refresh_token"))


def token_in(reply: Reply, body: dict[str, Any], name: str) -> str:
    token = body.get(name)
    if not isinstance(token, str) or not 0 < len(token) <= 4096 or not all("!" <= c <= "~" for c in token):
        reply.fail(f"The answer to {reply.what} should have `{name}`, a string of visible ASCII characters.")
    assert isinstance(token, str)
    return token


def login_that_works(server: Server, email: str) -> Tokens:
    """The job of this server in short: a login, and the door that it opens."""
    tokens = login(server, email)
    me(server, tokens.access).expect_field("email", email, because="It is the access token that this user got a moment ago.")
    return tokens


# ---- JWTs by hand


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_in(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of an access token that should be a JWT."""
    parts = token.split(".")
    try:
        header, payload = (json.loads(decoded(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        header = payload = None
    if len(parts) != 3 or not isinstance(header, dict) or not isinstance(payload, dict):
        fail("The access token should be a JWT: a header, a payload and a signature in base64url, with dots in between.")
    assert isinstance(header, dict) and isinstance(payload, dict)
    return header, payload


def signature(text: str, key: bytes) -> str:
    return encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())


def unsigned(header: dict[str, Any], payload: dict[str, Any]) -> str:
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, payload))


def signed(header: dict[str, Any], payload: dict[str, Any], key: bytes) -> str:
    text = unsigned(header, payload)
    return f"{text}.{signature(text, key)}"


# ---- 1. Log in, and say who is there


@task(1)
@rule("Its claim `sub` is the user's e-mail and its claim `exp` is the end of its life in seconds since 1970.")
@visible
@hint("Decode one of your tokens. How many seconds lie between `iat` and `exp`, and how many milliseconds is your setting?")
def test_an_access_token_says_when_it_ends_and_keeps_to_it(server: Server, rng: random.Random) -> None:
    """An access token is a JWT that any service with the secret can check, and it ends when it says."""
    life = rng.randrange(20, 400)
    email = f"user{rng.randrange(10**6)}@example.net"
    password = f"pass {rng.random()} {'long ' * 20}{rng.randrange(10)}"
    users = {email: password, f"other{rng.randrange(10**6)}@example.net": "x"}
    server.restart({"USERS": json.dumps(users), "ACCESS_TTL_MS": str(life * 1000)}, keep_data=False)
    began = time.time()
    tokens = login_that_works(server, email)
    ended = time.time()
    nearly = password[:-1] + str((int(password[-1]) + 1) % 10)
    login_reply(server, email, nearly).expect_error(401, because="The passwords differ in their last character, and that is a difference.")
    secret = server.env["JWT_SECRET"].encode()
    header, payload = claims_in(tokens.access)
    text, _, came = tokens.access.rpartition(".")
    others = "Other services check your tokens with nothing but the secret."
    expect(
        header.get("alg") == "HS256", f"The header of the access token should say HS256, but it says {header.get('alg')!r}.", because=others
    )
    expect(came.rstrip("=") == signature(text, secret), "The signature of the access token is not HS256 with JWT_SECRET.", because=others)
    expect(payload.get("sub") == email, f"`sub` in the access token should be {email}, but it is {payload.get('sub')!r}.", because=others)
    exp = payload.get("exp")
    if not isinstance(exp, int | float) or isinstance(exp, bool):
        fail(f"`exp` in the access token should be a number, but it is {exp!r}.", because="Without it the token never ends.")
    assert isinstance(exp, int | float)
    expect(
        began + life - 1.5 <= exp <= ended + life + 1.5,
        f"With ACCESS_TTL_MS={life * 1000}, `exp` should lie {life} seconds after the login, but it is {exp - ended:.0f} seconds.",
        because="A stolen access token opens the account for just as long.",
    )
    past = {name: value - life - 60 if name in ("exp", "iat", "nbf") else value for name, value in payload.items()}
    me(server, signed(header, past, secret)).expect_error(401, because="This token is genuine, but it ended a minute ago.")
    me(server, signed(header, payload, secret)).expect_field("email", email, because="The same token with its own `exp` is good.")


@task(1)
@rule("`GET /me` without an access token, or with one that is expired, changed, not signed or signed with another key, is 401.")
@hint("Which part of the token did your code look at, and who could have written that part?")
def test_a_forged_access_token_is_refused(server: Server, rng: random.Random) -> None:
    """An access token that is changed, unsigned or signed with another key is 401.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    mallory, victim = rng.sample(sorted(passwords(server)), 2)
    tokens = login_that_works(server, mallory)
    header, payload = claims_in(tokens.access)
    text, _, good = tokens.access.rpartition(".")
    forged = {**payload, "sub": victim}
    for how, token in {
        "The payload was changed and the signature kept": f"{unsigned(header, forged)}.{good}",
        "The header says that there is no signature (alg none)": f"{unsigned({**header, 'alg': 'none'}, forged)}.",
        "The header says None, in other letters": f"{unsigned({**header, 'alg': rng.choice(['None', 'NONE', 'nOnE'])}, forged)}.{good}",
        "The token is signed with another key": signed(header, forged, rng.randbytes(32)),
        "The token is signed with an empty key": signed(header, forged, b""),
        "The token is signed with a key that everybody knows, the e-mail": signed(header, forged, victim.encode()),
        "The signature is missing": f"{text}.",
        "The signature is another one": f"{text}.{'B' if good[:1] != 'B' else 'C'}{good[1:]}",
        "This is no token at all": encoded(rng.randbytes(20)),
    }.items():
        me(server, token).expect_error(401, because=f"{how}, so anybody could have written it.")
    server.get("/me").expect_error(401, because="No token came with the request.")
    me(server, tokens.access).expect_field("email", mallory, because="The genuine token is still good.")


@task(1)
@rule("A refresh token at `GET /me` is 401, and so is an access token at `POST /refresh`.")
@hint("If both tokens are signed with the same key, what tells your server which one it holds?")
def test_each_kind_of_token_opens_only_its_own_door(server: Server, rng: random.Random) -> None:
    """A refresh token is 401 at /me, and an access token is 401 at /refresh.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    tokens = login_that_works(server, user(server, rng))
    me(server, tokens.refresh).expect_error(
        401, because="A refresh token lives for weeks; as an access token it would be one that never ends."
    )
    refresh_reply(server, tokens.access).expect_error(401, because="Whoever sees an access token must not be able to prolong it.")
    refresh(server, tokens.refresh, "The refresh token itself is good, at its own door.")


@task(1)
@rule("Every 401 carries a `www-authenticate` header with the scheme `Bearer`.")
@visible
@hint("In how many places does your code write a 401?")
def test_every_401_names_the_bearer_scheme(server: Server, rng: random.Random) -> None:
    """Every 401 says with `www-authenticate: Bearer` what is asked for; bad fields and paths are other statuses."""
    email = user(server, rng)
    login_that_works(server, email)
    nobody = f"nobody{rng.randrange(10**6)}@example.org"
    stranger = {"email": nobody, "password": "x"}
    for reply in (
        server.get("/me"),
        me(server, encoded(rng.randbytes(30))),
        login_reply(server, email, f"wrong {rng.random()}"),
        server.post("/login", json=stranger),
        refresh_reply(server, encoded(rng.randbytes(32))),
    ):
        reply.expect_error(401)
        schemes = [part.split() for part in (reply.header("www-authenticate") or "").split(",")]
        if not any(words and words[0].lower() == "bearer" for words in schemes):
            reply.fail(
                f"The 401 of {reply.what} should have a header `www-authenticate` with the scheme Bearer.",
                because="HTTP clients and gateways read there how they could get in.",
            )
    for path, body in (
        ("/login", {"email": email}),
        ("/login", {"email": email, "password": 5}),
        ("/refresh", {}),
        ("/logout", {"refresh_token": ""}),
    ):
        server.post(path, json=body).expect_error(400, because="A field is missing or not a text; that is no question of rights.")
    server.post("/refresh", {"Content-Type": "application/json"}, b'{"refresh_token": ').expect_error(400, because="This is no JSON.")
    server.get(f"/{rng.randrange(10**6)}").expect_error(404, because="There is no such path, for anybody.")


# ---- 2. Refresh once, and take back


@task(2)
@rule("No refresh token is ever issued twice, not even to two logins of one user within the same second.")
@visible
@hint("What in your refresh token differs between two that are made in the same second?")
def test_no_refresh_token_is_issued_twice(server: Server, rng: random.Random) -> None:
    """Logins of one user in quick succession get different refresh tokens, and so do their refreshes."""
    email = user(server, rng)
    newest = [login_that_works(server, email).refresh, *(login(server, email).refresh for _ in range(5))]
    because = "Logging out on one device would log out the other."
    expect(len(set(newest)) == len(newest), "Two logins of one user got the same refresh token.", because=because)
    for token in newest:
        successor = refresh(server, token, NEW).refresh
        others = {other for other in newest if other != token}
        expect(successor not in others, "A refresh answered with the refresh token of another login.", because=because)


@task(2)
@rule("When an exchanged token comes back, its whole login ends: from then on its newest refresh token is 401 too.")
@environment(SWEEP_MS="120")
@visible
@hint("Two parties hold one token, and the first has exchanged it already. Which of them is the thief?")
def test_a_replayed_token_ends_its_login_and_no_other(server: Server, rng: random.Random) -> None:
    """An exchanged token is 401, ends the login that it belongs to, and leaves other devices alone."""
    email = user(server, rng)
    stolen = login_that_works(server, email)
    tablet = login(server, email)
    newest = stolen
    for _ in range(rng.randrange(1, 4)):
        newest = refresh(server, newest.refresh, NEW)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:  # some sweeps long; the exchanged token is far from the end of its life
        me(server, tablet.access).expect_status(200)
        time.sleep(0.05)
    refresh_reply(server, stolen.refresh).expect_error(401, because="This token was exchanged before; it works once.")
    refresh_reply(server, newest.refresh).expect_error(
        401,
        because="This is the newest token of a login of which an old token came back: somebody has a copy, and the thief may be ahead.",
    )
    refresh(server, tablet.refresh, "This token belongs to another login of the same user, about which nothing bad is known.")


@task(2)
@rule("When several requests bring the same refresh token at the same time, exactly one gets 200 and all others get 401.")
@seconds(10)
@hint("What can happen between the line that finds the token unused and the line that marks it used?")
def test_of_ten_simultaneous_refreshes_one_succeeds(server: Server, rng: random.Random) -> None:
    """Of ten refreshes with the same token at the same moment, exactly one succeeds.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email = user(server, rng)
    for _ in range(3):
        token = login_that_works(server, email).refresh
        statuses = sorted(at_once(server, "/refresh", {"refresh_token": token}, 10))
        good = statuses.count(200)
        expect(
            good, "Of ten simultaneous refreshes with one good token, one should succeed, but none did.", because="One of them came first."
        )
        expect(
            good == 1,
            f"Of ten simultaneous refreshes with one token, only one should succeed, but {good} did.",
            because="Each success starts a chain of tokens of its own, and the second holder of the token is never noticed.",
        )
        others = [status for status in statuses if status not in (200, 401)]
        if others:
            fail(f"The refreshes that come too late should get 401, but {others[0]} came.", because="Their token was exchanged.")


def at_once(server: Server, path: str, value: object, count: int) -> list[int]:
    """Statuses of equal requests whose last bytes arrive together."""
    body = json.dumps(value).encode()
    connections = [server.connect() for _ in range(count)]
    try:
        for connection in connections:
            connection.send_request(
                "POST", path, {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            )
            connection.send(body[:-1])
        server.get("/health").expect_status(200)  # by its answer the first parts have long arrived
        for connection in connections:
            connection.send(body[-1:])
        return [connection.answer("POST", f"POST {path}").read_all().status for connection in connections]
    finally:
        for connection in connections:
            connection.close()


@task(2)
@rule("After a logout every refresh token of that login is 401.")
@visible
@hint("Which of the two tokens can be taken back, and what has to remember that it was?")
def test_a_logout_ends_its_login_and_no_other(server: Server, rng: random.Random) -> None:
    """After a logout the refresh token is 401, and the user's other device stays logged in."""
    email = user(server, rng)
    phone = login_that_works(server, email)
    laptop = login(server, email)
    phone = refresh(server, phone.refresh, NEW)
    logout(server, phone.refresh)
    refresh_reply(server, phone.refresh).expect_error(401, because="Its owner logged out; whoever finds the token now must not get in.")
    logout(server, phone.refresh)
    logout(server, encoded(rng.randbytes(32)))
    refresh(server, laptop.refresh, "The logout was on another device; the login of this one is not over.")


@task(2)
@rule(
    "A refresh token lives `REFRESH_TTL_MS` from the moment it is issued; after that it is 401, whether or not it is still in the database."
)
@environment(REFRESH_TTL_MS="3000")
@seconds(20)
@hint("Who looks at the date: the one who deletes old rows now and then, or the one who accepts the token?")
def test_an_expired_refresh_token_is_refused(server: Server, rng: random.Random) -> None:
    """A refresh token is good at first and 401 when its life is over.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email = user(server, rng)
    good_at_first(server, email)
    spare = [login(server, email).refresh for _ in range(12)]
    issued = time.monotonic()
    lives_from_its_own_birth(server, email)  # takes more than 3 seconds, in which the spare tokens grow old
    while spare:
        reply = refresh_reply(server, spare.pop())
        if reply.expect_status(200, 401, because="The token is good or it is not.").status == 401:
            return
        if time.monotonic() - issued > 5:
            break
        time.sleep(0.25)
    fail(
        "With REFRESH_TTL_MS=3000 a refresh token still worked 5 seconds after it was issued.",
        because="Somebody who finds an old phone in a drawer should not be logged in.",
    )


def lives_from_its_own_birth(server: Server, email: str) -> None:
    """A token that a refresh issued outlives the one it was exchanged for; tried again when the machine was too slow to tell."""
    life, step = 3.0, 1.7  # a step is shorter than any life that the contract allows (2 to 4 s); two are longer than the nominal one
    for _ in range(2):
        asked = time.monotonic()
        token = login(server, email).refresh
        wait_until(asked + step)
        issued, asked = asked, time.monotonic()
        reply = refresh_reply(server, token)
        if reply.status == 200:
            issued, token = asked, tokens_of(reply, NEW).refresh
            wait_until(asked + step)
            reply = refresh_reply(server, token)
        if reply.status == 200 or time.monotonic() - issued < life - 1:
            break
    tokens_of(reply, "With REFRESH_TTL_MS=3000 this token is 1.7 seconds old; the age of the one before it does not count.")


def wait_until(moment: float) -> None:
    """For a life to pass: there is nothing to poll for."""
    time.sleep(max(0.0, moment - time.monotonic()))


def good_at_first(server: Server, email: str) -> None:
    """A refresh right after the login, tried again when the machine was too slow for "right after"."""
    for _ in range(5):
        began = time.monotonic()
        reply = refresh_reply(server, login_that_works(server, email).refresh)
        if reply.status == 200 or time.monotonic() - began < 0.9:
            break
    tokens_of(reply, "This refresh token was issued a moment ago, and REFRESH_TTL_MS is 3000.")


# ---- 3. Keep what matters, and nothing else


@task(3)
@rule("The database files never hold a refresh token, neither as text nor as the bytes that this text encodes.")
@visible
@hint("What do you need to recognise a token? Do you need the token itself for that?")
def test_the_database_holds_no_refresh_token(server: Server, rng: random.Random) -> None:
    """No refresh token can be found in the database files."""
    tokens = [login_that_works(server, user(server, rng)).refresh]
    for _ in range(3):
        tokens.append(refresh(server, tokens[-1], NEW).refresh)
    data = server.read_data()
    expect(b"SQLite format 3" in data, "There is no SQLite database at DB_PATH.", because="Logins have to survive the process.")
    for token in tokens:
        for form, needle in forms_of(token).items():
            expect(
                needle not in data,
                f"A refresh token stands in the database, {form}.",
                because="Whoever gets hold of a backup holds a key to the account of each user in it.",
            )


def forms_of(token: str) -> dict[str, bytes]:
    """Everything that could be presented again after a look into the file."""
    forms = {"as it was handed out": token.encode(), "as UTF-16 text": "\0".join(token).encode()}
    for form, decode in (
        ("as the bytes that its base64url stands for", decoded),
        ("as the bytes that its hex digits stand for", bytes.fromhex),
    ):
        try:
            data = decode(token)
        except ValueError:
            continue
        if len(data) >= 12:
            forms[form] = data
    return forms


@task(3)
@rule("Logins survive a restart, also after the process was killed without warning: a good refresh token stays good.")
@hint("Where does your server look up whether a token is good, and what is there right after the start?")
def test_logins_survive_a_kill(server: Server, rng: random.Random) -> None:
    """After a kill and a restart good tokens are good, and ended ones stay ended.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email, somebody = rng.sample(sorted(passwords(server)), 2)
    old = login_that_works(server, email)
    phone, laptop = login(server, email), login(server, somebody)
    logout(server, laptop.refresh)
    new = refresh(server, old.refresh, NEW)
    server.restart(keep_data=True)
    after = "The process was killed and started again with the same database; for the users nothing happened."
    refresh(server, phone.refresh, after)
    refresh(server, new.refresh, after)
    refresh_reply(server, laptop.refresh).expect_error(401, because="This login was logged out before the restart.")
    refresh_reply(server, old.refresh).expect_error(401, because="This token was exchanged before the restart.")


@task(3)
@rule("While the database is locked, `/login`, `/refresh` and `/logout` with valid data answer 503 within 1 second.")
@environment(SWEEP_MS="100")
@seconds(14)
@hint("What does the error of a locked database say about the token? And who else besides requests uses the database?")
def test_a_locked_database_is_503_and_no_refusal(server: Server, rng: random.Random) -> None:
    """While another process locks the database the server says 503, and lives on.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email = user(server, rng)
    phones = [login_that_works(server, email).refresh, login(server, email).refresh, login(server, email).refresh]
    laptops = [login(server, email).refresh for _ in phones]
    password = passwords(server)[email]
    alone = login(server, email).refresh
    server.lock_data(11.0)  # clearly longer than anybody may wait; the next check gets another server and another file
    answered_while_locked(
        [("/refresh", server.attempt("POST", "/refresh", json={"refresh_token": alone}, timeout=3.0))], "within 1 second", 3
    )
    bodies = [
        *[("/refresh", {"refresh_token": token}) for token in phones],
        *[("/login", {"email": email, "password": password}) for _ in phones],
        *[("/logout", {"refresh_token": token}) for token in laptops],
    ]
    answers = server.parallel(partial(server.attempt, "POST", path, json=body, timeout=6.0) for path, body in bodies)
    which = "as one of nine requests at the same time, within 6 seconds"
    answered_while_locked([(path, answer) for (path, _), answer in zip(bodies, answers, strict=True)], which, 6)
    until = time.monotonic() + 0.4
    while time.monotonic() < until:  # some sweeps long
        server.get("/health").expect_status(200, because="A locked database is no reason to stop.")
        time.sleep(0.05)


def answered_while_locked(answers: Iterable[tuple[str, Reply | NoReply]], when: str, waited: int) -> None:
    for path, answer in answers:
        if isinstance(answer, NoReply):
            if answer.kind == "timeout":
                fail(
                    f"While the database was locked, POST {path} should be answered with 503, {when}, "
                    f"but after {waited} seconds nothing had come.",
                    because=BACKUP,
                )
            raise answer
        answer.expect_error(503, because="The database is locked, which says nothing about the request: the client should try again.")


@task(3)
@rule("A 503 changes nothing: when the lock is gone, the same refresh token works.")
@environment(SWEEP_MS="150")
@seconds(10)
@hint("What does your code do with a token whose exchange failed half-way?")
def test_a_locked_database_costs_nobody_the_login(server: Server, rng: random.Random) -> None:
    """A refresh that met a locked database can be repeated when the lock is gone.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email = user(server, rng)
    phone = login_that_works(server, email)
    locked = 0.6
    server.lock_data(locked)
    began = time.monotonic()
    while True:  # what the server says while the lock is held is another check's business
        reply = refresh_reply(server, phone.refresh)
        past = time.monotonic() - began - locked
        if reply.status == 200 or (past > 0.5 and reply.status != 503):
            break
        expect(past < 5, "The lock was gone for seconds, and POST /refresh still says 503.", because=BACKUP)
        time.sleep(0.05)
    newest = tokens_of(reply, "The lock is gone. That the database was locked for a moment is no reason to log somebody out.")
    refresh(server, newest.refresh, "After the lock everything is as before.")


@task(3)
@rule("When all refresh tokens are gone in this way, all tables together hold as many rows as before the first login.")
@environment(REFRESH_TTL_MS="2000", SWEEP_MS="200")
@seconds(12)
@hint("A client that lost its token never comes back. Who removes its rows, and when?")
def test_expired_tokens_leave_the_database(server: Server, rng: random.Random) -> None:
    """Rows of expired refresh tokens are deleted, without any further request.

    looplab-canary-refresh-rotation-checks-5a9d9839
    """
    email = user(server, rng)
    before = rows_in(server.data_files()) or 0
    login_that_works(server, email)
    for _ in range(12):
        token = login(server, email).refresh
        if rng.random() < 0.5:
            refresh(server, token, "It was issued a moment ago.")
    until = time.monotonic() + 7
    while (now := rows_in(server.data_files())) is None or now > before + 5:
        if time.monotonic() > until:
            expect(
                now is not None, "There is no SQLite database at DB_PATH that can be read.", because="Logins have to survive the process."
            )
            fail(
                f"With REFRESH_TTL_MS=2000 and SWEEP_MS=200 the database should have lost all rows of the logins within 3 seconds, "
                f"but after 7 seconds it holds {now} rows; before the logins it held {before}.",
                because="A table that only grows gets slower every month, and remembers for ever who logged in when.",
            )
        time.sleep(0.1)


def rows_in(files: dict[str, bytes]) -> int | None:
    """Rows of all tables in a copy of the database, at most 10,000 a table; None when it cannot be read (now)."""
    main = next((data for name, data in files.items() if name.endswith(".db")), b"")
    log = next((data for name, data in files.items() if name.endswith("-wal")), b"")
    copy = sqlite3.connect(":memory:")
    try:
        copy.deserialize(with_log(main, log))
        tables = copy.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        )
        names = [str(name).replace('"', '""') for (name,) in tables.fetchmany(100)]
        return sum(len(copy.execute(f'SELECT 1 FROM "{name}" LIMIT 10000').fetchall()) for name in names)
    except (sqlite3.Error, ValueError, OverflowError):
        return None
    finally:
        copy.close()


def with_log(main: bytes, log: bytes) -> bytes:
    """The database with the committed pages of its write-ahead log (https://sqlite.org/fileformat2.html#the_write_ahead_log)."""
    if len(main) < 100:
        raise ValueError("no database")
    size = int.from_bytes(main[16:18], "big")
    size = 65536 if size == 1 else size
    pages = {number + 1: main[at : at + size] for number, at in enumerate(range(0, len(main), size or 512))}
    pending: dict[int, bytes] = {}
    for at in range(32, len(log) - 23 - size, 24 + size):
        frame = log[at : at + 24]
        if frame[8:16] != log[16:24]:
            break  # frames of an earlier round
        pending[int.from_bytes(frame[:4], "big")] = log[at + 24 : at + 24 + size]
        if length := int.from_bytes(frame[4:8], "big"):
            pages = {number: page for number, page in {**pages, **pending}.items() if number <= length}
            pending = {}
    data = bytearray(b"".join(pages[number] for number in sorted(pages)))
    data[18:20] = b"\x01\x01"  # a copy in memory has no log
    return bytes(data)


@task(3)
@rule("When `JWT_SECRET` is missing or shorter than 32 bytes, the process ends within 5 seconds with an exit code that is not 0.")
@visible
@seconds(25)
@hint("What does your server sign with when nobody has told it the secret?")
def test_without_a_long_secret_the_server_does_not_start(server: Server, rng: random.Random) -> None:
    """Without a secret of 32 bytes or more the process ends at once and says so with its exit code."""
    login_that_works(server, user(server, rng))
    short = "".join(rng.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(31))
    for what, secret in (("JWT_SECRET is missing", None), (f"JWT_SECRET has {len(short)} bytes", short)):
        env = {name: value for name, value in server.full_env().items() if name != "JWT_SECRET"}
        if secret is not None:
            env["JWT_SECRET"] = secret
        status = server.start_expecting_exit(env, 0.5)
        until = time.monotonic() + 6
        while status.state == "running" and not status.listening_on and time.monotonic() < until:
            status = server.wait_exit(0.3)
        because = "Whoever knows or guesses the secret can sign tokens in anybody's name; a server that starts hides the mistake."
        expect(not status.listening_on, f"{what}, but the server starts and opens its port.", because=because)
        expect(status.state != "running", f"{what}, but the process has not ended after 5 seconds.", because=because)
        expect(status.code != 0, f"{what}, but the process ends with exit code 0.", because="A code of 0 says: all is well.")
