"""The container engine is stopped, killed, started again and robbed of the image: one of the tests' own, never the machine's."""

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from grader.sandbox.image import image_tag
from tests.faults.engine import OwnEngine
from tests.faults.runs import SETTINGS, Outcome, Place, assert_none_wrong, assert_same_command_finishes, next_report

pytestmark = [pytest.mark.docker, pytest.mark.siege]

TAG = image_tag(SETTINGS)


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    with OwnEngine() as engine:
        engine.load(TAG)
        yield engine


@pytest.fixture
def there(place: Place, engine: OwnEngine) -> Place:
    """A class that is graded by the tests' own engine, which is asked for every submission: containers are not used again."""
    return replace(place, environ={"DOCKER_HOST": engine.url, "LOOPLAB_CONTAINER_USES": "1"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_ends_in_the_middle_and_comes_back_costs_nobody_a_grade(
    there: Place, engine: OwnEngine, undisturbed: dict[str, Outcome], number: signal.Signals
) -> None:
    with there.running("--parallel", "2") as process:
        next_report(process)
        engine.stop(number)
        _, errors = process.communicate(timeout=100)
    saved = there.graded()
    assert_none_wrong(there, undisturbed)
    engine.start()

    assert process.returncode == 3
    assert "Docker does not answer" in errors
    assert f"{len(saved)} of {len(undisturbed)} are graded and saved. Run the same command again" in errors
    assert "Traceback" not in errors
    assert_same_command_finishes(there, undisturbed)


def test_an_engine_that_is_away_for_a_moment_only_costs_nobody_a_grade(
    there: Place, engine: OwnEngine, undisturbed: dict[str, Outcome]
) -> None:
    there = replace(there, environ={"DOCKER_HOST": engine.url})
    with there.running("--parallel", "2") as process:
        next_report(process)
        engine.stop(signal.SIGKILL)
        engine.start()
        _, errors = process.communicate(timeout=100)
    assert_none_wrong(there, undisturbed)

    assert process.returncode in (1, 3)
    assert "Traceback" not in errors
    assert process.returncode == 1 or "un the same command again" in errors
    assert_same_command_finishes(there, undisturbed)


def test_an_image_that_vanishes_in_the_middle_ends_the_run_and_keeps_what_is_graded(
    there: Place, engine: OwnEngine, undisturbed: dict[str, Outcome]
) -> None:
    with there.running("--parallel", "1") as process:
        next_report(process)
        engine.untag(TAG)
        _, errors = process.communicate(timeout=100)
    saved = there.graded()
    assert_none_wrong(there, undisturbed)
    without = there.run()
    engine.load(TAG)

    assert process.returncode == 3
    assert "The runtime image is missing" in errors
    assert f"{len(saved)} of {len(undisturbed)} are graded and saved. Run the same command again" in errors
    assert without.returncode == 2
    assert "The runtime image is missing" in without.stderr
    assert there.graded() == saved
    assert_same_command_finishes(there, undisturbed)
