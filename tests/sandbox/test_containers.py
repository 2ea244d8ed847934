"""Containers that are used again and containers that wait: nothing passes from one submission to the next."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from grader.exercise import Limits
from grader.sandbox.docker import IDLE_MAX, LABEL, LEARNER_UIDS, DockerSandbox, Engine
from grader.sandbox.image import image_tag
from grader.sandbox.workplace import Workplace
from grader.settings import read_settings
from grader.submission import Submission, submission_of

SETTINGS = read_settings()
HELLO = "import http from 'node:http'; http.createServer((q, r) => r.end('hello')).listen(process.env.PORT);"

pytestmark = pytest.mark.docker


@pytest.fixture
def workplace() -> Iterator[Workplace]:
    with Workplace(SETTINGS.run_dir) as opened:
        yield opened


def sandbox(workplace: Workplace, uses: int = 8, spares: int = 0) -> DockerSandbox:
    return DockerSandbox(Engine(), image_tag(SETTINGS), workplace, uses=uses, spares=spares)


def submission(source: str) -> Submission:
    return submission_of({"server.mjs": source.encode()}, ("server.mjs",))


def run(docker: DockerSandbox, source: str, limits: Limits | None = None) -> tuple[str, str]:
    """Runs a program that ends by itself or listens; returns its output and the container that it was in."""
    with docker.open(submission(source), limits or Limits(), ()) as box:
        assert box.port is not None
        box.link.start(box.port, "server.mjs", {})
        status = box.link.ready(20, 20)
        return status.output, docker._open[box.link.folder].id


def containers(workplace: Workplace) -> int:
    return len(Engine().containers(f"{LABEL}={workplace.session}"))


def poll(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# ---- used again

LEAVE = """
import fs from 'node:fs'; import http from 'node:http'; import net from 'node:net'; import { spawn } from 'node:child_process';
process.umask(0);
for (const place of ['/tmp', '/dev/shm']) {
  fs.mkdirSync(place + '/deep/er', { recursive: true, mode: 0o777 });
  fs.writeFileSync(place + '/deep/er/mine', 'the first one was here', { mode: 0o777 });
  fs.symlinkSync('/proc/1', place + '/one');
  fs.linkSync(place + '/deep/er/mine', place + '/again');
}
net.createServer().listen('/tmp/mine.sock');
net.createServer().listen('\\0mine');
net.createServer().listen(4711, '127.0.0.1');
for (let n = 0; n < 5; n++) spawn(process.execPath, ['-e', `process.title = 'mine'; setInterval(() => {}, 1000)`], { detached: true, stdio: 'ignore' }).unref();
http.createServer((q, r) => r.end()).listen(process.env.PORT);
"""
LOOK = """
import fs from 'node:fs'; import net from 'node:net';
const list = (place) => { try { return fs.readdirSync(place); } catch (e) { return [e.code]; } };
const text = (file) => { try { return fs.readFileSync(file, 'utf8').trim().split('\\n').slice(1); } catch (e) { return [e.code]; } };
const others = list('/proc').filter((name) => /^[0-9]+$/.test(name) && name !== '1' && Number(name) !== process.pid);
const knocked = await new Promise((done) => net.connect('\\0mine').on('connect', () => done('open')).on('error', (e) => done(e.code)));
console.log(JSON.stringify({
  tmp: list('/tmp'), shm: list('/dev/shm'), mqueue: list('/dev/mqueue'), app: list('/srv/app'), packages: list('/srv/node_modules'), others,
  tcp: text('/proc/net/tcp').filter((line) => line.split(/\\s+/)[4] !== '06'), tcp6: text('/proc/net/tcp6'), udp: text('/proc/net/udp'), knocked,
  unix: text('/proc/net/unix').map((line) => line.split(/\\s+/)[7]).filter(Boolean),
  ipc: ['shm', 'sem', 'msg'].flatMap((kind) => text(`/proc/sysvipc/${kind}`)),
}));
"""


def test_the_second_finds_nothing_of_the_first(workplace: Workplace) -> None:
    with sandbox(workplace) as docker:
        untouched, first = run(docker, LOOK)
        _, second = run(docker, LEAVE)
        after, third = run(docker, LOOK)

        assert first == second == third
        assert after == untouched
        assert '"tmp":[],"shm":[]' in after
        assert not docker.ended


def test_each_has_a_user_of_its_own(workplace: Workplace) -> None:
    source = "import os from 'node:os'; console.log(process.getuid(), process.getgid(), os.userInfo().username);"
    with sandbox(workplace) as docker:
        users = [run(docker, source)[0].split() for _ in range(3)]

    assert len({user for user, _, _ in users}) == 3
    assert all(int(user) in LEARNER_UIDS and group == user and name == "learner" for user, group, name in users)


def test_a_container_ends_after_its_last_use(workplace: Workplace) -> None:
    with sandbox(workplace, uses=2) as docker:
        used = [run(docker, HELLO)[1] for _ in range(3)]
        assert used[0] == used[1] != used[2]
        assert containers(workplace) == 1
    assert containers(workplace) == 0


HOGS = {
    "a folder that nobody may enter": "import fs from 'node:fs'; fs.mkdirSync('/tmp/a/b', { recursive: true }); fs.chmodSync('/tmp/a', 0);",
    "memory": "const k = []; for (;;) k.push(Buffer.alloc(1 << 24, 1));",
}


@pytest.mark.parametrize("what", HOGS)
def test_what_cannot_be_made_clean_is_not_used_again(workplace: Workplace, what: str) -> None:
    with sandbox(workplace) as docker:
        used = [run(docker, source, Limits(memory_mb=96))[1] for source in (HOGS[what], HELLO)]

    assert used[0] != used[1]
    assert docker.ended


def test_a_container_whose_supervisor_died_is_not_used_again(workplace: Workplace) -> None:
    with sandbox(workplace) as docker:
        with docker.open(submission(HELLO), Limits(), ()) as box:
            first = docker._open[box.link.folder].id
            Engine().client.api.kill(first)
        assert run(docker, HELLO)[1] != first


def test_a_container_that_ended_while_it_waited_is_noticed(workplace: Workplace) -> None:
    with sandbox(workplace) as docker:
        first = run(docker, HELLO)[1]
        Engine().client.api.kill(first)
        assert run(docker, HELLO)[1] != first
        assert docker.ended["a supervisor that is gone"] == 1


def test_two_at_a_time_never_share_a_container(workplace: Workplace) -> None:
    with sandbox(workplace) as docker, ExitStack() as stack:
        boxes = [stack.enter_context(docker.open(submission(HELLO), Limits(), ())) for _ in range(3)]
        assert len({docker._open[box.link.folder].id for box in boxes}) == 3


def test_other_limits_need_another_container(workplace: Workplace) -> None:
    with sandbox(workplace) as docker:
        used = [run(docker, HELLO, Limits(memory_mb=size))[1] for size in (100, 101, 100)]
        assert used[0] == used[2] != used[1]


def test_only_so_many_wait(workplace: Workplace) -> None:
    with sandbox(workplace) as docker:
        for size in range(IDLE_MAX + 2):
            run(docker, HELLO, Limits(memory_mb=100 + size))
        assert containers(workplace) == IDLE_MAX
    assert containers(workplace) == 0


# ---- spares


def test_spares_are_there_before_they_are_needed_and_are_replaced(workplace: Workplace) -> None:
    with sandbox(workplace, uses=1, spares=2) as docker:
        docker.warm(Limits())
        waiting = {container.id for container in docker._idle}
        used = {run(docker, HELLO)[1] for _ in range(2)}
        poll(lambda: len(docker._idle) == 2)

        assert used == waiting
        assert not waiting & {container.id for container in docker._idle}
    assert containers(workplace) == 0


def test_a_missing_image_is_told_to_whoever_needs_the_container(workplace: Workplace) -> None:
    from grader.errors import SettingsError

    with DockerSandbox(Engine(), "looplab-runtime:none", workplace, uses=1, spares=1) as docker:
        with pytest.raises(SettingsError, match="The runtime image is missing"), docker.open(submission(HELLO), Limits(), ()):
            pass
    assert containers(workplace) == 0
