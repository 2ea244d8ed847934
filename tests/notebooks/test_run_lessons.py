"""Lessons run from top to bottom under the Node kernel; a lesson that lies, fails or hangs is told in a sentence."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from grader.notebooks.course import load_course
from grader.notebooks.lessons import load_lesson
from grader.notebooks.run import LESSON_SECONDS, SHOWN_FOLDER, Run, run_lesson
from tests.notebooks.home import SETTINGS, SLUG, course_of

pytestmark = pytest.mark.notebook


def cell(code: str, options: str = "") -> str:
    return f"```{{code-cell}} javascript\n{options}{code}\n```\n\n"


def run(root: Path, lesson: str, limit: float = 60) -> Run:
    settings = course_of(root, lesson)
    return run_lesson(load_lesson(settings.home, SLUG), settings, limit)


def outputs(done: Run) -> list[dict[str, Any]]:
    return [output for cell in json.loads(done.executed)["cells"] for output in cell.get("outputs", [])]


@pytest.mark.parametrize("slug", load_course(SETTINGS.home).lessons)
def test_a_lesson_runs_and_its_claims_hold(slug: str) -> None:
    done = run_lesson(load_lesson(SETTINGS.home, slug), SETTINGS)

    plots = [output for output in outputs(done) if any("vegalite" in kind for kind in output.get("data", {}))]
    assert done.troubles == ()
    assert [claim for claim in done.claims if not claim.held] == []
    assert done.seconds < LESSON_SECONDS
    assert len(done.claims) >= 5
    assert len(plots) >= 2


def test_outputs_and_claims_come_back(tmp_path: Path) -> None:
    code = "console.log(process.cwd());\nclaim('Two is more than one', 2, { above: 1, unit: 'ms' });"
    done = run(tmp_path, cell("const x = 1;") + cell(code) + cell("x + 1"))

    executed = nbformat.reads(done.executed.decode(), as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(executed)
    assert done.good
    assert [(claim.statement, claim.held, claim.measured) for claim in done.claims] == [("Two is more than one", True, 2)]
    assert outputs(done)[0]["text"] == [f"{SHOWN_FOLDER}\n"]
    assert "2" in str(outputs(done)[-1]["data"]["text/plain"])


def test_what_changes_for_no_reason_is_not_kept(tmp_path: Path) -> None:
    lesson = cell("console.log('a'); console.error('b'); process.cwd()")

    assert run(tmp_path, lesson).executed == run(tmp_path, lesson).executed


def test_a_claim_that_does_not_hold_is_no_success(tmp_path: Path) -> None:
    done = run(tmp_path, cell("claim('One is more than two', 1, { above: 2 });") + cell("2"))

    assert not done.good
    assert done.troubles == ()
    assert [claim.held for claim in done.claims] == [False]


def test_a_cell_that_fails_is_named_and_the_others_run(tmp_path: Path) -> None:
    done = run(tmp_path, cell("// first\nthrow new TypeError('no luck')") + cell("1 + 1"))

    assert done.troubles == ("Cell 3 (// first) failed: TypeError: no luck",)
    assert outputs(done)[-1]["data"]["text/plain"] == ["2"]


def test_an_error_may_be_wanted(tmp_path: Path) -> None:
    wanted = ":tags: [raises-exception]\n\n"

    assert run(tmp_path, cell("throw new TypeError('as said')", wanted)).good
    assert run(tmp_path, cell("1", wanted)).troubles == ("Cell 3 (1) is tagged raises-exception, but nothing was thrown.",)


def test_a_lesson_that_does_not_end_is_ended(tmp_path: Path) -> None:
    done = run(tmp_path, cell("1") + cell("await new Promise((r) => setTimeout(r, 600_000));") + cell("2"), limit=2)

    assert done.troubles == (
        "Cell 4 (await new Promise((r) => setTimeout(r, 600_000));) was still running when the 2 s of a lesson were over.",
    )
    assert len(outputs(done)) == 1
