"""Every hostile server of tests/submissions is graded in a real container: it gets what it deserves and harms nobody.

A case is a folder. What is asserted of each is in the one test below; what is particular to it stands in its expected.toml.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from grader.cli.common import open_grader
from grader.exercise import Exercise, load_exercise
from grader.grade import Grader, grade, grade_path
from grader.report import Report
from grader.sandbox.docker import IDLE_MAX, LABEL, Engine
from grader.settings import read_settings
from grader.submission import Submission, read_submission
from grader.submission.rules import IGNORED
from tests.corpus import (
    SUBMISSIONS,
    Case,
    Neighbour,
    faces,
    fingerprint,
    learners_processes,
    neighbour_submission,
    only,
    raw_controls,
    server_cases,
    suites_processes,
)

SETTINGS = read_settings()
CASES = server_cases()
USES = [SETTINGS.container_uses, 1]
"""How many submissions a container holds, one after the other: each number here runs the whole corpus once more."""
AROUND_SECONDS = 30.0
"""Beside the checks' own time: 10 until the server must listen, 10 for a check that cannot be interrupted, and a busy machine."""
REPORT_BYTES_MAX = 1_000_000
GONE_SECONDS = 10.0
"""How long the kernel may take to bury what was killed."""
JSON_ECHO = load_exercise(SETTINGS.exercises, "json-echo")
HONEST_CHECKS = [
    "test_any_json_value_comes_back",
    "test_bytes_counts_the_body_as_received",
    "test_malformed_json_is_refused_and_the_connection_lives_on",
]
"""Enough to see that the next submission is graded as if nothing had been, after more than a hundred attacks."""
ROWS = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 22, 31, 32, 33, 37, 38}
"""Of ATTACKS.md: what a program in a box can try. Row 15 needs a server that counts attempts; the others are about files and pages."""


@dataclass(frozen=True)
class Stage:
    """A Grader that lives for all cases, as a worker's does, and who else is there."""

    grader: Grader
    engine: Engine
    neighbour: Neighbour
    folder: Path
    """Of the session."""
    honest_exercise: Exercise
    honest: Submission

    @property
    def label(self) -> str:
        return f"{LABEL}={self.folder.name}"

    def untouched(self) -> dict[str, object]:
        """Everything that an attack must leave as it was."""
        return {
            "exercise": fingerprint(JSON_ECHO.folder),
            "submissions": fingerprint(SUBMISSIONS / "hangs"),
            "canary": fingerprint(self.grader.run_dir / "canary"),
            "neighbour": fingerprint(self.neighbour.folder),
            "run directory": {path.name for path in self.grader.run_dir.iterdir()},
        }

    def boxes(self) -> int:
        """Folders of boxes in the session: one for each container that lives."""
        return len([path for path in self.folder.iterdir() if path.is_dir()])

    def processes(self) -> set[int]:
        """Host pids of what learners and suites run."""
        return learners_processes(self.grader.run_dir) | suites_processes(self.grader.suites._process.pid)


@pytest.fixture(scope="module", params=USES, ids="used-{}-times".format)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    run_dir = Path(tempfile.mkdtemp(prefix="ll-"))  # its own: other tests measure beside this one
    run_dir.chmod(0o711)
    (run_dir / "canary").write_text("nobody comes here")
    (run_dir / "canary").chmod(0o666)
    try:
        with open_grader(replace(SETTINGS, run_dir=run_dir, container_uses=request.param), "docker") as grader:
            with grader.sandbox.open(neighbour_submission(), JSON_ECHO.manifest.limits, ()) as box:
                folder = next(path.parent for path in run_dir.glob("*/lock"))
                honest = read_submission(JSON_ECHO.folder / "solution", JSON_ECHO.manifest.submit.entry)
                opened = Stage(grader, Engine(), Neighbour(box), folder, only(JSON_ECHO, *HONEST_CHECKS), honest)
                grade_honestly(opened)
                yield opened
        assert not opened.engine.containers(opened.label) and not opened.processes()
        assert not [path for path in run_dir.iterdir() if path.name != "canary" and path.suffix != ".lock"]
    finally:
        shutil.rmtree(run_dir)


@pytest.mark.docker
@pytest.mark.siege
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_submission_gets_what_it_deserves_and_harms_nobody(stage: Stage, case: Case) -> None:
    exercise = case.load_exercise(SETTINGS)
    before, running = stage.untouched(), stage.processes()

    with stage.neighbour.asked_all_the_time():
        for _ in range(case.times):
            began = time.monotonic()
            report, defects = grade_path(stage.grader, exercise, case.folder, learner="mallory")
            took = time.monotonic() - began

    gets_what_it_deserves(case, report)
    assert not defects
    assert took < exercise.manifest.limits.seconds + AROUND_SECONDS
    can_be_shown_to_anybody(report, exercise)
    assert stage.untouched() == before
    assert stage.boxes() == len(stage.engine.containers(stage.label)) <= 1 + IDLE_MAX
    deadline = time.monotonic() + GONE_SECONDS
    while (left := stage.processes()) != running:
        assert time.monotonic() < deadline, f"processes {left ^ running} should have gone, or should be there"
        time.sleep(0.05)
    stage.neighbour.lives_as_before()
    grade_honestly(stage)


def gets_what_it_deserves(case: Case, report: Report) -> None:
    seen = "\n".join([report.facts.output, *(check.message for check in report.checks), "out of memory" * report.facts.out_of_memory])
    story = f"{report.verdict}, {report.points} points: {report.facts.message}\n{seen[:3000]}"
    assert report.verdict in (case.verdict, *case.also), story
    if case.points_at_most is None:
        assert report.points == case.points, story
    else:
        assert report.points is not None and report.points <= case.points_at_most, story
    if report.verdict == case.verdict:
        assert re.search(case.says, report.facts.message), story
        assert all(re.search(pattern, seen) for pattern in case.seen), story
    assert report.facts.output_truncated >= case.truncated


def can_be_shown_to_anybody(report: Report, exercise: Exercise) -> None:
    assert len(report.to_json()) < REPORT_BYTES_MAX
    assert {name: raw_controls(face) for name, face in faces(report, exercise).items() if raw_controls(face)} == {}


def grade_honestly(stage: Stage) -> None:
    """Whoever comes next gets all their points."""
    report, _ = grade(stage.grader, stage.honest_exercise, stage.honest)
    assert report.verdict == "passed", report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_what_it_expects(case: Case) -> None:
    patterns = [pattern for pattern in (case.says, *case.seen) if pattern]

    assert case.why.endswith(".")
    assert patterns, "neither `says` nor `seen`: the message could be a lie"
    assert not [pattern for pattern in patterns if re.search(pattern, "") or re.search(pattern, "Lorem ipsum dolor sit amet.")]
    assert set(case.attack) <= ROWS and case.attack


def test_every_row_that_a_program_can_try_is_tried() -> None:
    assert {row for case in CASES for row in case.attack} == ROWS


def test_folders_that_are_never_read_are_part_of_the_corpus() -> None:
    """A case that lost its node_modules, say by a .gitignore, would prove nothing."""
    found = {path.name for path in SUBMISSIONS.rglob("*")}
    assert {"node_modules", ".npmrc", "package.json"} <= found and "node_modules" in IGNORED
