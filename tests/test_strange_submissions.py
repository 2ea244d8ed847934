"""Every folder of tests/submissions is graded in a real container, and does what its expected.toml says and no harm."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.cli.common import open_grader
from grader.exercise import load_exercise
from grader.grade import Grader, grade_path
from grader.sandbox.docker import LABEL, Engine
from grader.settings import read_settings

SETTINGS = read_settings()
FOLDERS = sorted(path.parent for path in (Path(__file__).parent / "submissions").glob("*/expected.toml"))
BUDGET_SECONDS = 60.0
"""30 for the checks, 10 until the server must listen, and what containers take on a busy machine."""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with open_grader(SETTINGS, "docker") as opened:
        yield opened


@pytest.mark.docker
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_strange_submission_gets_what_it_deserves(grader: Grader, folder: Path) -> None:
    expected: dict[str, Any] = tomllib.loads((folder / "expected.toml").read_text())
    exercise = load_exercise(SETTINGS.exercises, "json-echo")
    report, defects = grade_path(grader, exercise, folder)

    assert report.verdict in [expected["verdict"], *expected.get("also", [])], report.facts
    assert report.points == 0
    assert not defects
    assert re.search(expected.get("says", ""), report.facts.message), report.facts.message
    seen = " ".join([report.facts.output, *(c.message for c in report.checks), "out of memory" if report.facts.out_of_memory else ""])
    assert re.search(expected.get("seen", ""), seen), seen[:2000]
    assert report.facts.output_truncated >= expected.get("truncated", False)
    assert report.timings.total < BUDGET_SECONDS
    session = Path(report.facts.sandbox and grader.sandbox._workplace.folder)  # type: ignore[attr-defined]
    assert not [path for path in session.iterdir() if path.name != "lock"]
    assert not Engine().containers(f"{LABEL}={session.name}")
