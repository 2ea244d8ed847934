"""Too few open files or processes for the grader: it works, or it says what is missing. No learner pays for it."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.runs import ECHO, Outcome, Place, assert_none_wrong, assert_nothing_is_left, hand_in, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.siege]


@pytest.fixture
def ada_alone(tmp_path: Path, run_dir: Path) -> Place:
    return Place(hand_in(tmp_path / "class", {"ada": ECHO / "solution"}), run_dir, tmp_path / "data")


def assert_it_works_or_says_why(place: Place, undisturbed: dict[str, Outcome], before: tuple[str, ...]) -> bool:
    """True when ada was graded."""
    done = place.run(before=before)
    assert_none_wrong(place, undisturbed)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or (done.returncode == 3 and "un the same command again" in done.stderr), done.stderr
    assert_nothing_is_left(place)
    return done.returncode == 0


def assert_she_is_graded_once(place: Place, undisturbed: dict[str, Outcome]) -> None:
    assert len(place.graded()) == 1
    assert_none_wrong(place, undisturbed)


def test_a_grader_with_few_open_files_works_or_says_why(ada_alone: Place, undisturbed: dict[str, Outcome]) -> None:
    for limit in (16, 40, 64):
        if assert_it_works_or_says_why(ada_alone, undisturbed, ("prlimit", f"--nofile={limit}:{limit}")):
            break

    assert ada_alone.run().returncode == 0
    assert_she_is_graded_once(ada_alone, undisturbed)


def test_a_grader_that_may_have_more_open_files_takes_them(ada_alone: Place, undisturbed: dict[str, Outcome]) -> None:
    done = ada_alone.run(before=("prlimit", "--nofile=40:4096"))

    assert done.returncode == 0
    assert_she_is_graded_once(ada_alone, undisturbed)


@contextmanager
def group_of(processes: int) -> Iterator[Path]:
    """A control group in which at most so many processes and threads may live, of either version."""
    old = Path("/sys/fs/cgroup/pids")
    group = (old if old.is_dir() else Path("/sys/fs/cgroup")) / f"looplab-faults-{os.getpid()}-{processes}"
    group.mkdir()
    try:
        (group / "pids.max").write_text(str(processes))
        yield group
    finally:
        wait_until(lambda: removed(group), 10, "the last process of the group is gone")


def removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_a_grader_that_can_start_few_processes_works_or_says_why(ada_alone: Place, undisturbed: dict[str, Outcome]) -> None:
    for limit in (1, 2, 4, 5):
        with group_of(limit) as group:
            if assert_it_works_or_says_why(ada_alone, undisturbed, ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")):
                break

    assert ada_alone.run().returncode == 0
    assert_she_is_graded_once(ada_alone, undisturbed)
