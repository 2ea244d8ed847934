"""Who measures is alone, everybody else shares, nobody starves, and the dead hold nothing.

Whether somebody waits is seen at the turnstile: it is closed exactly while somebody waits for the room.
"""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.quiet import Noise, Quiet

SOON = 10.0


class Person:
    """A holder in a thread of its own."""

    def __init__(self, run_dir: Path, alone: bool) -> None:
        self._quiet, self._alone = Quiet(run_dir), alone
        self._leave = threading.Event()
        self.inside = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        with self._quiet.hold(alone=self._alone):
            self.inside.set()
            self._leave.wait(SOON)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        with contextlib.suppress(OSError):
            self._quiet.close()


class Room:
    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._people: list[Person] = []

    def enter(self, *, alone: bool) -> Person:
        """Somebody who is inside when this returns."""
        person = self.knock(alone=alone)
        assert person.inside.wait(SOON)
        return person

    def knock(self, *, alone: bool) -> Person:
        person = Person(self.run_dir, alone)
        self._people.append(person)
        return person

    def wait_until_somebody_waits(self) -> None:
        with (self.run_dir / "turnstile.lock").open() as turnstile:
            deadline = time.monotonic() + SOON
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(turnstile, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                fcntl.flock(turnstile, fcntl.LOCK_UN)
                os.sched_yield()
        raise AssertionError("nobody waits")

    def is_free(self, *, alone: bool) -> bool:
        """Whether somebody new could enter at once."""
        with (self.run_dir / "quiet.lock").open() as room:
            try:
                fcntl.flock(room, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def close(self) -> None:
        for person in self._people:
            person.leave()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "run")
    yield made
    made.close()


def test_ordinary_work_shares_the_machine(room: Room) -> None:
    people = [room.enter(alone=False) for _ in range(5)]

    assert all(person.inside.is_set() for person in people)


def test_who_measures_waits_until_the_others_have_left(room: Room) -> None:
    worker = room.enter(alone=False)
    measurer = room.knock(alone=True)
    room.wait_until_somebody_waits()
    assert not measurer.inside.is_set()

    worker.leave()

    assert measurer.inside.wait(SOON)
    assert not room.is_free(alone=False)


def test_who_measures_is_alone(room: Room) -> None:
    measurer = room.enter(alone=True)
    other = room.knock(alone=True)
    room.wait_until_somebody_waits()
    assert not other.inside.is_set()

    measurer.leave()

    assert other.inside.wait(SOON)


def test_newcomers_do_not_overtake_who_waits_for_quiet(room: Room) -> None:
    worker = room.enter(alone=False)
    measurer = room.knock(alone=True)
    room.wait_until_somebody_waits()
    newcomer = room.knock(alone=False)
    assert room.is_free(alone=False)  # the room would take it in; the turnstile does not

    worker.leave()
    assert measurer.inside.wait(SOON)
    assert not newcomer.inside.is_set()
    measurer.leave()

    assert newcomer.inside.wait(SOON)


def test_a_failure_inside_gives_the_room_back(room: Room) -> None:
    quiet = Quiet(room.run_dir)
    with contextlib.closing(quiet), pytest.raises(ZeroDivisionError), quiet.hold(alone=True):
        raise ZeroDivisionError

    assert room.is_free(alone=True)


def test_one_handle_can_be_used_again_and_again(room: Room) -> None:
    with contextlib.closing(Quiet(room.run_dir)) as quiet:
        for alone in (True, False, True):
            with quiet.hold(alone=alone):
                assert not room.is_free(alone=True)

    assert room.is_free(alone=True)


def test_a_killed_holder_lets_go(room: Room) -> None:
    program = "import sys; from pathlib import Path; from grader.quiet import Noise, Quiet\nwith Quiet(Path(sys.argv[1])).hold(alone=True): print('in', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(room.run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        assert not room.is_free(alone=False)
        holder.kill()

    assert room.is_free(alone=True)


def test_the_locks_do_not_pass_to_child_processes(room: Room) -> None:
    with contextlib.closing(Quiet(room.run_dir)) as quiet, quiet.hold(alone=True):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)

    free = room.is_free(alone=True)
    child.kill()
    child.wait()
    assert free


def test_strangers_cannot_open_the_locks(room: Room) -> None:
    Quiet(room.run_dir).close()

    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(room.run_dir.iterdir())] == [0o600, 0o600]


# ---- noise


def work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_noise_is_what_others_took() -> None:
    everything = Noise(lambda: 0.0)
    without_us = Noise(time.process_time)
    work(0.3)

    assert everything.share() > 0.1 / (os.cpu_count() or 1)
    assert without_us.share() < everything.share()


def test_time_that_is_ours_is_no_noise() -> None:
    noise = Noise(lambda: time.monotonic() * 1000)
    work(0.1)

    assert noise.share() == 0
