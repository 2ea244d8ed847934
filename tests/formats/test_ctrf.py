"""CTRF: the published schema of the format (npm package ctrf 0.3.0) accepts whatever we write, and the numbers are right."""

import json
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.formats.ctrf import SPEC_VERSION, ctrf_json
from grader.report import Report
from tests import samples

SCHEMA = json.loads((Path(__file__).parent / "ctrf.schema.json").read_text())
EXERCISES = [samples.exercise()]
SKIPPED = samples.check("test_c", outcome="skipped", points=0.0, message="No time.")


def document(*reports: Report) -> dict[str, Any]:
    """The document, which fits the schema."""
    made: dict[str, Any] = json.loads(ctrf_json(list(reports), EXERCISES))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(made)
    return made


def entries(*reports: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(*reports)["results"]["tests"]
    return found


@pytest.mark.parametrize(
    "report",
    [
        samples.report(),
        samples.report(samples.check(), samples.failed("test_b"), SKIPPED, verdict="partial"),
        samples.report(learner=None),
        samples.not_graded(),
        samples.unusable("rejected", "Empty."),
        samples.unusable("did_not_start", "It exited."),
    ],
    ids=lambda report: report.verdict,
)
def test_every_kind_of_report_fits_the_schema(report: Report) -> None:
    assert entries(report)


def test_a_whole_class_and_nobody_fit_the_schema() -> None:
    assert len(entries(*(samples.report(learner=f"l{n}") for n in range(30)))) == 30
    assert entries() == []


def test_the_document_says_what_it_is() -> None:
    made = document(samples.report())

    assert made["reportFormat"] == "CTRF"
    assert made["specVersion"] == SPEC_VERSION == "0.0.0"  # the only one that the package ctrf 0.3.0 supports
    assert uuid.UUID(made["reportId"])
    assert made["results"]["tool"]["name"] == "looplab"


def test_the_summary_counts_every_test_once() -> None:
    summary = document(samples.report(samples.check(), samples.failed("b"), SKIPPED), samples.not_graded())["results"]["summary"]

    assert summary["tests"] == 4
    assert [summary[status] for status in ("passed", "failed", "skipped", "pending", "other")] == [1, 1, 1, 0, 1]
    assert 0 <= summary["start"] <= summary["stop"]


def test_points_and_ids_are_in_extra() -> None:
    (test,) = entries(samples.report(samples.check("test_a", points=0.5, max_points=2.0)))

    assert test["extra"] == {"id": "test_a", "task": 1, "points": 0.5, "max_points": 2.0}
    assert test["suite"] == ["ada", "echo"]


def test_a_failed_check_carries_its_message_and_its_exchange() -> None:
    (test,) = entries(samples.report(samples.failed(message="500 came.")))

    assert (test["status"], test["message"]) == ("failed", "500 came.")
    assert "HTTP/1.1 500 Oh" in test["trace"]
    assert "The contract:" in test["trace"]


def test_a_hint_is_not_given_away() -> None:
    assert "Think of chunks" not in json.dumps(document(samples.report(samples.failed(hint="Think of chunks"))))


def test_a_passed_check_has_no_message() -> None:
    (test,) = entries(samples.report())

    assert "message" not in test
    assert "trace" not in test


def test_a_skipped_check_says_why() -> None:
    (test,) = entries(samples.report(SKIPPED))

    assert (test["status"], test["message"]) == ("skipped", "No time.")


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (samples.not_graded("Docker is gone."), "other"),
        (samples.unusable("rejected", "Empty."), "failed"),
        (samples.unusable("did_not_start", "It exited."), "failed"),
    ],
)
def test_what_has_no_checks_is_one_test_and_our_fault_is_no_failure(report: Report, status: str) -> None:
    (test,) = entries(report)

    assert test["status"] == status
    assert test["message"] == report.facts.message
    assert test["extra"]["points"] == report.points


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_fits_the_schema(text: str) -> None:
    (test,) = entries(samples.report(samples.failed(message=text), learner=text))

    assert test["message"] == text
