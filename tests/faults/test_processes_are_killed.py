"""Somebody else kills a process or removes a container in the middle of a class run: graded again and right, or not graded."""

import contextlib
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from subprocess import Popen, TimeoutExpired

import docker
import pytest
from docker.errors import APIError

from tests.faults.runs import Outcome, Place, assert_none_wrong, assert_same_command_finishes, children, kill, next_report, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.siege]

TIMES = 2
LONGEST_DELAY = 0.5
Fault = Callable[[Place, "Popen[str]"], bool]
"""Does its damage and says whether there was something to damage."""


def kill_who_starts_suites(_: Place, process: "Popen[str]") -> bool:
    return any(kill(pid) for pid in children(process.pid)[:1])


def kill_a_suite(_: Place, process: "Popen[str]") -> bool:
    """The last process in the line of descent."""
    line = [process.pid]
    while offspring := children(line[-1]):
        line.append(offspring[-1])
    return len(line) > 2 and kill(line[-1])


@contextmanager
def a_container(place: Place) -> Iterator[tuple[docker.DockerClient, str]]:
    with closing(docker.from_env()) as client:
        yield client, next((c["Id"] for c in place.containers() if c["State"] == "running"), "")


def signal_the_supervisor(number: signal.Signals) -> Fault:
    def fault(place: Place, _: "Popen[str]") -> bool:
        with a_container(place) as (client, id), contextlib.suppress(APIError):
            pid = client.api.inspect_container(id)["State"]["Pid"] if id else 0
            return bool(pid) and kill(pid, number)
        return False

    return fault


def remove_a_container(place: Place, _: "Popen[str]") -> bool:
    with a_container(place) as (client, id), contextlib.suppress(APIError):
        if id:
            client.api.remove_container(id, force=True)
        return bool(id)
    return False


FAULTS: dict[str, Fault] = {
    "the process that starts suites": kill_who_starts_suites,
    "a suite": kill_a_suite,
    "a supervisor, by SIGKILL": signal_the_supervisor(signal.SIGKILL),
    "a supervisor, by SIGTERM": signal_the_supervisor(signal.SIGTERM),
    "a container": remove_a_container,
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_killed_in_the_middle_is_graded_again_or_not_graded(place: Place, undisturbed: dict[str, Outcome], what: str) -> None:
    moments = random.Random(what)
    done = 0

    def ended() -> bool:
        return process.poll() is not None

    def damage() -> bool:
        return ended() or FAULTS[what](place, process)

    with place.running("--parallel", "2") as process:
        for _ in range(TIMES):
            wait_until(lambda: ended() or place.containers(), 60, "somebody is being graded")
            with contextlib.suppress(TimeoutExpired):
                process.wait(moments.uniform(0, LONGEST_DELAY))  # the random moment itself
            wait_until(damage, 60, f"there is {what} to kill")
            done += not ended()
            if not next_report(process):
                break
        _, errors = process.communicate(timeout=150)
    lost = [report.learner for report in place.rows().values() if report.verdict == "not_graded"]
    assert_none_wrong(place, undisturbed)

    assert done
    assert "Traceback (most recent call last)" not in errors
    assert process.returncode == (3 if lost else 1)
    assert not lost or f"{len(lost)} of {len(undisturbed)} are not graded: " in errors
    assert_same_command_finishes(place, undisturbed)
