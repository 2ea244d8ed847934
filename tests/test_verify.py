"""The author's gate, from hand-made reports: every rule at the top of grader/verify.py can be broken, and is then said."""

from pathlib import Path

import pytest

from grader.errors import ExerciseError
from grader.exercise import Exercise, Wrong
from grader.report import CheckResult, Report
from grader.verify import Kind, Seen, Specimen, busy_processors, specimens, suites_of, violations
from tests import samples

WRONG = Wrong(folder="silent", why="Says nothing.", fails=("test_a",))
EXERCISE = samples.exercise("test_a", "test_b", wrong=(WRONG,))


def graded(**outcomes: str) -> Report:
    """A report of checks a and b with these outcomes (default: passed)."""
    checks = [result(name, outcomes.get(name, "passed")) for name in ("a", "b")]
    points = sum(check.points for check in checks)
    return samples.report(*checks, verdict="passed" if points == 2 else "partial" if points else "failed", points=points, max_points=2.0)


def result(name: str, outcome: str) -> CheckResult:
    made = samples.failed if outcome == "failed" else samples.check
    return made(f"test_{name}", outcome=outcome, points=float(outcome == "passed"))


def seen(kind: Kind, *reports: Report, name: str = "x", wrong: Wrong | None = None, defects: tuple[str, ...] = ()) -> Seen:
    return Seen(Specimen(kind, name, Path("/nowhere"), wrong), list(reports), list(defects))


def good() -> dict[str, Seen]:
    """A suite that holds."""
    other = Wrong(folder="other", why="", fails=("test_b",))
    return {
        "solution": seen("solution", graded(), graded()),
        "right": seen("right", graded(), name="express"),
        "starter": seen("starter", graded(a="failed")),
        "silent": seen("wrong", graded(a="failed"), graded(a="failed"), name="silent", wrong=WRONG),
        "other": seen("wrong", graded(b="failed"), name="other", wrong=other),
        "impostor": seen("impostor", graded(a="failed", b="failed"), name="hangs"),
    }


def said(**changes: Seen) -> list[str]:
    return violations(EXERCISE, list({**good(), **changes}.values()))


def only(**changes: Seen) -> str:
    (sentence,) = said(**changes)
    return sentence


def test_a_suite_that_holds_has_no_violations() -> None:
    assert said() == []


# ---- solution/ and every right/ get all points


@pytest.mark.parametrize(("kind", "label"), [("solution", "solution"), ("right", "right/express")])
@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_right_solution_that_loses_a_check_is_named_with_check_and_seed(kind: Kind, label: str, outcome: str) -> None:
    sentence = only(**{kind: seen(kind, graded(b=outcome), name="express")})

    assert f"{label} should pass test_b" in sentence
    assert "1 of 1 runs" in sentence
    assert "seed 7" in sentence


def test_one_bad_run_of_many_is_enough() -> None:
    sentence = only(solution=seen("solution", graded(), graded(a="failed"), graded()))

    assert "solution should pass test_a" in sentence
    assert "1 of 3 runs: 500 came." in sentence


@pytest.mark.parametrize("verdict", ["rejected", "did_not_start"])
def test_a_right_solution_that_does_not_run_is_named_with_the_reason(verdict: str) -> None:
    assert "solution should get all points, but: It broke." in only(solution=seen("solution", samples.unusable(verdict, "It broke.")))


# ---- starter/ does not


def test_a_starter_that_gets_all_points_leaves_nothing_to_do() -> None:
    assert "starter gets all points" in only(starter=seen("starter", graded()))


@pytest.mark.parametrize("verdict", ["rejected", "did_not_start"])
def test_a_starter_that_does_not_run_is_named_with_the_reason(verdict: str) -> None:
    assert "starter does not run: It broke." in only(starter=seen("starter", samples.unusable(verdict, "It broke.")))


# ---- each wrong/ fails every check that is listed for it


def test_a_wrong_that_passes_a_listed_check_is_named() -> None:
    sentence = only(silent=seen("wrong", graded(a="failed"), graded(b="failed"), name="silent", wrong=WRONG))

    assert "wrong/silent should fail test_a" in sentence
    assert "1 of 2 runs" in sentence


def test_a_listed_check_that_was_skipped_did_not_fail() -> None:
    sentences = said(silent=seen("wrong", graded(a="skipped"), name="silent", wrong=WRONG))

    assert "wrong/silent should fail test_a" in sentences[0]


def test_a_wrong_that_does_not_run_fails_nothing() -> None:
    sentences = said(silent=seen("wrong", samples.unusable("did_not_start", "It broke."), name="silent", wrong=WRONG))

    assert "wrong/silent should fail test_a" in sentences[0]
    assert "It broke." in sentences[0]


def test_a_wrong_may_fail_more_than_is_listed() -> None:
    assert said(silent=seen("wrong", graded(a="failed", b="failed"), name="silent", wrong=WRONG)) == []


# ---- each check is failed by at least one wrong/


def test_a_check_that_no_wrong_fails_is_named() -> None:
    sentence = only(other=seen("wrong", graded(), name="other", wrong=Wrong(folder="other", why="", fails=())))

    assert "No wrong/ solution fails test_b" in sentence


@pytest.mark.parametrize("kind", ["starter", "impostor"])
def test_starter_and_impostors_prove_nothing_about_a_check(kind: Kind) -> None:
    sentences = violations(EXERCISE, [good()["silent"], seen(kind, graded(a="failed", b="failed"))])

    assert any("No wrong/ solution fails test_b" in sentence for sentence in sentences)


# ---- impostors get no points at all


def test_an_impostor_that_gets_points_is_named_with_its_gifts() -> None:
    sentence = only(impostor=seen("impostor", graded(a="failed"), name="ok-to-all"))

    assert "impostor/ok-to-all gets 1 points for nothing: test_b" in sentence


@pytest.mark.parametrize("verdict", ["rejected", "did_not_start"])
def test_an_impostor_that_does_not_run_gets_nothing(verdict: str) -> None:
    assert said(impostor=seen("impostor", samples.unusable(verdict, "It broke."))) == []


# ---- no check crashes on any of them


@pytest.mark.parametrize("kind", ["solution", "right", "starter", "impostor"])
def test_a_check_that_crashes_is_said_once_for_each_specimen(kind: Kind) -> None:
    specimen = good()[kind]
    specimen.defects += ["test_a: KeyError: 'x'\n"] * 3

    sentence = only(**{kind: specimen})

    assert f"A check crashed on {specimen.specimen.label}: test_a: KeyError: 'x'" in sentence


def test_a_check_that_crashes_on_a_wrong_is_said_although_it_failed() -> None:
    assert "A check crashed on wrong/silent" in only(
        silent=seen("wrong", graded(a="failed"), name="silent", wrong=WRONG, defects=("boom",))
    )


# ---- our machine


@pytest.mark.parametrize("kind", ["solution", "right", "starter", "impostor"])
def test_what_was_not_graded_proves_nothing_and_blames_nobody(kind: Kind) -> None:
    specimen = good()[kind]
    specimen.reports.append(samples.not_graded("Docker is gone."))

    sentence = only(**{kind: specimen})

    assert f"{specimen.specimen.label} was not graded in 1 of {len(specimen.reports)} runs: Docker is gone." in sentence


def test_all_violations_are_said_at_once() -> None:
    sentences = said(
        solution=seen("solution", graded(a="failed")),
        starter=seen("starter", graded()),
        impostor=seen("impostor", graded(), defects=("boom",)),
    )

    assert len(sentences) == 4


# ---- what is run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("solution", "starter", "right/b", "right/a", "wrong/silent"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def in_folder(folder: Path) -> Exercise:
    return samples.exercise("test_a", folder=folder, wrong=(WRONG,))


def test_every_specimen_is_run(folder: Path) -> None:
    labels = [specimen.label for specimen in specimens(in_folder(folder))]

    assert labels[:5] == ["solution", "right/a", "right/b", "starter", "wrong/silent"]
    assert {"impostor/hangs", "impostor/ok-to-all", "impostor/listens-to-nothing"} <= set(labels[5:])


def test_a_wrong_that_the_manifest_does_not_know_is_refused(folder: Path) -> None:
    (folder / "wrong" / "forgotten").mkdir()

    with pytest.raises(ExerciseError) as caught:
        specimens(in_folder(folder))

    assert "wrong/forgotten: is not listed" in str(caught.value)


def test_busy_processors_are_idle_again_afterwards() -> None:
    before = children()
    with busy_processors(2):
        hogs = children() - before

    assert len(hogs) == 2
    assert not hogs & children()


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


# ---- what a repetition runs


def test_a_repeated_known_wrong_runs_the_whole_suite_once_and_then_only_what_must_fail_it() -> None:
    wrong = Specimen("wrong", "silent", Path("/nowhere"), WRONG)

    checks = [[check.id for check in suite.checks] for suite in suites_of(EXERCISE, wrong, 3)]

    assert checks == [["test_a", "test_b"], ["test_a"], ["test_a"]]


def test_what_is_right_repeats_the_whole_suite_and_an_impostor_runs_once() -> None:
    right, impostor = (Specimen(kind, "x", Path("/nowhere")) for kind in ("right", "impostor"))

    assert suites_of(EXERCISE, right, 3) == [EXERCISE] * 3
    assert suites_of(EXERCISE, impostor, 3) == [EXERCISE]
