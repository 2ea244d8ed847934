"""SIGKILL at ten moments of one class run: it is resumed each time, and the end is that of a run that nobody disturbed."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import pytest

from tests.faults.runs import (
    Outcome,
    Place,
    assert_none_wrong,
    assert_same_command_finishes,
    hand_in,
    next_report,
    wait_until,
)

pytestmark = [pytest.mark.docker, pytest.mark.siege]

LONGEST_DELAY = 0.4

Watch = Callable[[Place, "Popen[str]"], str]
"""Waits for its event or the end of the run; returns what it read of the run's output."""


def either(there: Callable[[Place], object], place: Place, process: "Popen[str]") -> str:
    wait_until(lambda: there(place) or process.poll() is not None, 60, "something is seen of the run, or it has ended")
    return ""


EVENTS: dict[str, Watch] = {
    "its session is there": partial(either, Place.sessions),
    "its first container is there": partial(either, Place.containers),
    "its first report is there": lambda _, process: next_report(process),
}


def test_a_run_that_is_killed_at_ten_random_moments_ends_as_if_nobody_had_disturbed_it(
    place: Place, undisturbed: dict[str, Outcome]
) -> None:
    moments = random.Random(20)
    early = ["its session is there"] * 4 + ["its first container is there"] * 4
    events = [*moments.sample(early, len(early)), *["its first report is there"] * 2]  # later, or the class is graded before the tenth
    killed_in_the_middle = 0

    for event in events:
        delay = moments.uniform(0, LONGEST_DELAY)
        with place.running("--parallel", "2") as process:
            told = EVENTS[event](place, process)
            try:
                process.wait(delay)  # the random moment itself
            except TimeoutExpired:
                process.kill()
            told += process.communicate(timeout=30)[0]
        kept = {report.learner for report in place.graded().values()}
        killed_in_the_middle += len(kept) < len(undisturbed)
        assert_none_wrong(place, undisturbed)
        assert {line.partition('"learner":"')[2].partition('"')[0] for line in told.splitlines()} <= kept, f"{event} + {delay:.3f} s"

    assert killed_in_the_middle >= 5
    assert_same_command_finishes(place, undisturbed)


def test_the_operator_is_told_what_a_killed_grader_had_left(place: Place, undisturbed: dict[str, Outcome]) -> None:
    with place.running() as process:
        wait_until(place.containers, 60, "the run has a container")
        process.kill()

    told = assert_same_command_finishes(place, undisturbed)

    assert "containers that a killed grader had left" in told


def test_the_remains_of_a_grader_that_died_before_it_had_its_lock_are_swept(tmp_path: Path, run_dir: Path) -> None:
    place = Place(hand_in(tmp_path / "class", {"nobody": None}), run_dir, tmp_path / "data")
    (run_dir / "g00000000").mkdir(mode=0o711)

    place.run()

    assert place.sessions() == []
