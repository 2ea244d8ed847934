"""The report is frozen, complete and published: what the schema says and what is written are one thing."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.report import Report, from_json, json_schema, verdict_of
from tests import samples

PUBLISHED = Path(__file__).parent.parent / "site" / "docs" / "reference" / "report.schema.json"
REPORTS = [
    samples.report(),
    samples.report(samples.check(), samples.failed("test_b", misconception="m"), verdict="partial"),
    samples.report(samples.check(outcome="skipped", points=0.0, message="No time."), verdict="failed", points=0.0),
    samples.not_graded(),
    samples.unusable("rejected", "Empty.", learner=None, submission_digest=""),
    samples.unusable(
        "did_not_start", "It exited.", facts=msgspec.structs.replace(samples.report().facts, listening_on=(8000,), exit_code=1)
    ),
]


def valid(document: object) -> bool:
    return jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def written(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(report.to_json())
    return document


# ---- the schema


def test_the_published_schema_is_up_to_date() -> None:
    expected = json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"

    assert PUBLISHED.read_text() == expected, f"Write it anew: python -m tests.test_report > {PUBLISHED}"


def test_the_published_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(PUBLISHED.read_text()))


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.verdict)
def test_a_real_report_fits_the_schema(report: Report) -> None:
    assert valid(written(report))


def test_every_required_field_is_missed() -> None:
    document = written(samples.report())

    for field in (
        "learner",
        "exercise",
        "exercise_digest",
        "submission_digest",
        "verdict",
        "points",
        "max_points",
        "seed",
        "checks",
        "facts",
    ):
        without = {key: value for key, value in document.items() if key != field}
        assert not valid(without), field
        with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
            from_json(json.dumps(without).encode())


@pytest.mark.parametrize("place", [(), ("facts",), ("timings",), ("checks", 0), ("checks", 0, "exchange", 0)], ids=str)
def test_an_unknown_field_is_refused_at_every_depth(place: tuple[str | int, ...]) -> None:
    document = written(samples.report(samples.failed()))
    inner: Any = document
    for step in place:
        inner = inner[step]
    inner["grade"] = 100

    assert not valid(document)
    with pytest.raises(msgspec.ValidationError, match="unknown field `grade`"):
        from_json(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("verdict", "great"),
        ("points", "10"),
        ("checks", None),
        ("seed", 1.5),
        ("exercise", None),
        ("facts", {"sandbox": "none"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(field: str, value: object) -> None:
    document = {**written(samples.report()), field: value}

    assert not valid(document)
    with pytest.raises(msgspec.ValidationError, match=field):
        from_json(json.dumps(document).encode())


# ---- to and from JSON


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.verdict)
def test_a_report_survives_being_written_and_read(report: Report) -> None:
    assert from_json(report.to_json()) == report


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_being_written_on_one_line(text: str) -> None:
    report = samples.report(samples.failed(message=text), facts={"output": text})

    assert from_json(report.to_json()) == report
    assert b"\n" not in report.to_json()


@given(st.binary(max_size=100))
def test_bytes_that_are_no_report_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        from_json(data)


def test_a_report_is_never_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        samples.report().points = 10.0  # type: ignore[misc]


# ---- the verdict


def test_passed_needs_every_expected_check() -> None:
    checks = (samples.check("a"), samples.check("b"))

    assert verdict_of(checks, {"a", "b"}) == "passed"
    assert verdict_of(checks, {"a", "b", "c"}) == "partial"


def test_nothing_expected_is_never_passed() -> None:
    assert verdict_of((), set()) == "failed"
    assert verdict_of((), {"a"}) == "failed"


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_without_a_point_it_is_failed_and_with_one_it_is_partial(outcome: str) -> None:
    lost = samples.check("a", outcome=outcome, points=0.0)

    assert verdict_of((lost,), {"a"}) == "failed"
    assert verdict_of((lost, samples.check("b")), {"a", "b"}) == "partial"


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, sort_keys=True))
