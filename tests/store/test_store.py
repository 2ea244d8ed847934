"""Reports are kept as they were given, newer ones are added, and a database that cannot be used is an operator's matter."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import msgspec
import pytest

from grader.errors import SandboxFault, SettingsError
from grader.store import Store, open_store
from tests import samples


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/looplab.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


def graded(store: Store) -> object:
    """What a resumed class run would find of the sample report."""
    return store.graded("ada", "echo", "sha256:e", "sha256:s")


# ---- keeping


def test_a_report_comes_back_as_it_was_given(store: Store) -> None:
    report = samples.report(samples.failed(message="größe\n\x1b[0m"), verdict="failed", points=0.0)

    assert store.get(store.add(report)) == report


def test_a_report_outlives_the_program(url: str) -> None:
    with open_store(url) as first:
        number = first.add(samples.report())

    with open_store(url) as second:
        assert second.get(number) == samples.report()


def test_a_report_that_is_not_there_is_none(store: Store) -> None:
    assert store.get(1) is None
    assert store.latest() == []


def test_a_report_without_points_stays_without(store: Store) -> None:
    kept = store.get(store.add(samples.not_graded()))

    assert kept is not None
    assert kept.points is None


def test_adding_changes_nothing_that_is_there(store: Store) -> None:
    numbers = [store.add(samples.report(seed=seed)) for seed in (1, 2, 3)]

    assert numbers == sorted(set(numbers))
    assert [kept.seed for number in numbers if (kept := store.get(number))] == [1, 2, 3]


# ---- finding


def test_the_latest_is_the_newest_of_each_learner_and_exercise(store: Store) -> None:
    for seed, learner, exercise in [
        (1, "bob", "echo"),
        (2, "ada", "echo"),
        (3, "ada", "cpu"),
        (4, "ada", "echo"),
        (5, None, "echo"),
        (6, None, "echo"),
    ]:
        store.add(samples.report(seed=seed, learner=learner, exercise=exercise))

    latest = [(report.learner, report.exercise, report.seed) for _, report in store.latest()]

    assert latest == [(None, "echo", 6), ("ada", "cpu", 3), ("ada", "echo", 4), ("bob", "echo", 1)]
    assert all(store.get(number) == report for number, report in store.latest())


def test_the_same_bytes_by_the_same_suite_were_graded(store: Store) -> None:
    store.add(samples.report(seed=1))
    store.add(samples.report(seed=2))

    assert graded(store) == samples.report(seed=2)


@pytest.mark.parametrize("field", ["learner", "exercise", "exercise_digest", "submission_digest"])
def test_another_learner_exercise_suite_or_submission_was_not_graded(store: Store, field: str) -> None:
    store.add(msgspec.structs.replace(samples.report(), **{field: "other"}))

    assert graded(store) is None


def test_what_our_machine_failed_to_grade_was_not_graded(store: Store) -> None:
    store.add(samples.not_graded())
    assert graded(store) is None

    store.add(samples.report())
    store.add(samples.not_graded())
    assert graded(store) == samples.report()


@pytest.mark.parametrize("text", ["'; DROP TABLE reports; --", "%", "Åsa 李雷", "=1+1", "\x00"])
def test_a_learners_name_is_nothing_but_text(store: Store, text: str) -> None:
    store.add(samples.report(learner=text))

    assert store.graded(text, "echo", "sha256:e", "sha256:s") == samples.report(learner=text)
    assert graded(store) is None


# ---- at the same time


def test_many_threads_may_add_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda seed: store.add(samples.report(seed=seed)), range(40)))

    assert len(set(numbers)) == 40
    assert {kept.seed for number in numbers if (kept := store.get(number))} == set(range(40))


def test_many_may_make_a_new_database_at_once(url: str) -> None:
    ready = Barrier(8)

    def add(seed: int) -> int:
        ready.wait(10)
        with open_store(url) as opened:
            return opened.add(samples.report(seed=seed))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(add, range(8)))) == 8


# ---- what cannot be used


def test_a_database_that_cannot_do_it_now_is_our_machines_fault_and_names_the_report(store: Store, url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as somebody_else:
        somebody_else.execute("DROP TABLE reports")

    with pytest.raises(SandboxFault, match="The database could not keep the report of ada for echo: no such table") as caught:
        store.add(samples.report())

    assert "run the same command again" in str(caught.value)
    reads: list[Callable[[], object]] = [store.latest, lambda: store.get(1), lambda: graded(store)]
    for read in reads:
        with pytest.raises(SandboxFault, match="The database could not"):
            read()


@pytest.mark.parametrize("url", ["", "nonsense", "/var/db", "postgresql://u:secret@h:port/db"])
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError) as caught, open_store(url):
        pass

    assert "LOOPLAB_DATABASE_URL is not the URL of a database" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nodatabase://h/db", "postgresql+nodriver://u:secret@h/db", "sqlite:////proc/nowhere/x.db"])
def test_a_database_that_cannot_be_opened_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught, open_store(url):
        pass

    assert "LOOPLAB_DATABASE_URL" in str(caught.value)
    assert "cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "grades.txt"
    path.write_text("precious " * 1000)

    with pytest.raises(SettingsError, match="cannot be opened"), open_store(f"sqlite:///{path}"):
        pass

    assert path.read_text() == "precious " * 1000
