"""The same class gets the same verdicts alone, beside others, and on a machine that somebody else keeps busy."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from grader.classes import Handed, find_submissions, grade_class
from grader.cli.common import open_grader
from grader.exercise import load_exercise
from grader.report import Report
from grader.settings import Settings, read_settings
from grader.store import open_store

SETTINGS = read_settings()
SPECIMENS = {
    "json-echo": [],  # the solution and every second of the others
    "ndjson-lines": ["solution", "wrong/keeps-any-line-whole"],
    "polite-cpu": ["solution", "wrong/sleeps-every-fifty-rounds"],
}
"""Beside many quick ones those whose checks measure time and memory."""

Outcome = list[tuple[str | None, str, str, tuple[str, ...]]]

pytestmark = [pytest.mark.docker, pytest.mark.siege]


def hand_in(folder: Path) -> list[Handed]:
    exercises = [load_exercise(SETTINGS.exercises, slug) for slug in SPECIMENS]
    for exercise in exercises:
        everybody = sorted(path for kind in ("right", "wrong") for path in (exercise.folder / kind).iterdir())
        found = [exercise.folder / name for name in SPECIMENS[exercise.slug]] or [exercise.folder / "solution", *everybody[::2]]
        for path in found:
            shutil.copytree(path, folder / str(path.relative_to(exercise.folder)).replace("/", "-") / exercise.slug)
    return find_submissions(folder, exercises)[0]


def grade(handed: list[Handed], folder: Path, settings: Settings, *, parallel: int) -> Outcome:
    with open_grader(settings, "docker") as grader, open_store(f"sqlite:///{folder}.db") as store:
        return sorted(outcome(report) for report, _ in grade_class(grader, handed, store, parallel=parallel, seed=7))


def outcome(report: Report) -> tuple[str | None, str, str, tuple[str, ...]]:
    return report.learner, report.exercise, report.verdict, tuple(sorted(f"{check.id} {check.outcome}" for check in report.checks))


@contextmanager
def hogs(count: int) -> Iterator[None]:
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


def test_verdicts_depend_on_the_servers_alone(tmp_path: Path) -> None:
    handed = hand_in(tmp_path / "class")
    quick = [item for item in handed if item.exercise.slug == "json-echo"]

    alone = grade(handed, tmp_path / "alone", SETTINGS, parallel=1)
    for learner, exercise, verdict, checks in alone:
        assert (verdict == "passed") == (not str(learner).startswith("wrong")), (learner, exercise, verdict, checks)

    assert grade(handed, tmp_path / "together", SETTINGS, parallel=4) == alone, "four at a time"
    with hogs(2):
        assert grade(handed, tmp_path / "hogs", SETTINGS, parallel=2) == alone, "beside two that take all the time they can get"
    once = grade(quick, tmp_path / "once", replace(SETTINGS, container_uses=1), parallel=2)
    assert once == [outcome for outcome in alone if outcome[1] == "json-echo"], "in containers that are used once"
