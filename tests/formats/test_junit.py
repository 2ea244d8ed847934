"""JUnit XML: a reader of the format finds the same numbers, whatever text is inside.

The names of elements and attributes are those that Jenkins' xunit plugin accepts (its junit-10.xsd).
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.formats.junit import junit_xml
from grader.formats.text import xml_safe
from grader.report import Report
from tests import samples

EXERCISES = [samples.exercise()]
SKIPPED = samples.check("test_c", outcome="skipped", points=0.0, message="No time.")
ATTRIBUTES = {  # element: required, allowed
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    ),
    "properties": (set(), set()),
    "property": ({"name", "value"}, {"name", "value"}),
    "testcase": ({"name"}, {"name", "time", "classname", "group"}),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped"},
}


def suites(*reports: Report) -> list[Any]:
    """The suites as junitparser reads them."""
    return list(junitparser.JUnitXml.fromstring(junit_xml(list(reports), EXERCISES)))


def only_case(report: Report) -> Any:
    ((case,),) = suites(report)
    return case


def strangers(root: ET.Element) -> Iterator[str]:
    """Elements and attributes that Jenkins would refuse."""
    for element in root.iter():
        required, allowed = ATTRIBUTES[element.tag]
        yield from (f"{element.tag} lacks {name}" for name in required - set(element.attrib))
        yield from (f"{element.tag}/@{name}" for name in set(element.attrib) - allowed)
        yield from (f"{element.tag}/{child.tag}" for child in element if child.tag not in CHILDREN.get(element.tag, set()))


@pytest.mark.parametrize(
    "report",
    [
        samples.report(samples.check(), samples.failed("b"), SKIPPED),
        samples.report(learner=None),
        samples.not_graded(),
        samples.unusable("rejected", "Empty."),
    ],
    ids=lambda report: report.verdict,
)
def test_only_elements_and_attributes_that_jenkins_knows_are_written(report: Report) -> None:
    root = ET.fromstring(junit_xml([report], EXERCISES))

    assert root.tag == "testsuites"
    assert list(strangers(root)) == []


def test_a_suite_counts_its_cases() -> None:
    (suite,) = suites(samples.report(samples.check(), samples.failed("b"), SKIPPED))

    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("ada/echo", 3, 1, 0, 1)
    assert suite.time == 0.5


def test_every_submission_is_a_suite_and_nobody_is_none() -> None:
    assert [suite.name for suite in suites(samples.report(), samples.report(learner="bob"), samples.report(learner=None))] == [
        "ada/echo",
        "bob/echo",
        "echo",
    ]
    assert suites() == []


def test_points_and_seed_are_properties() -> None:
    (suite,) = suites(samples.report(points=0.5, max_points=10.0))

    properties = {p.name: p.value for p in suite.properties()}
    assert properties == {"title": "Echo", "verdict": "passed", "points": "0.5", "max_points": "10", "seed": "7"}


def test_a_failed_check_carries_its_message_and_its_exchange() -> None:
    (failure,) = only_case(samples.report(samples.failed(message="500 came."))).result

    assert isinstance(failure, junitparser.Failure)
    assert failure.message == "500 came."
    assert "HTTP/1.1 500 Oh" in failure.text
    assert "The contract:" in failure.text


def test_a_hint_is_not_given_away() -> None:
    assert b"Think of chunks" not in junit_xml([samples.report(samples.failed(hint="Think of chunks"))], EXERCISES)


def test_a_passed_check_has_no_result() -> None:
    case = only_case(samples.report())

    assert case.is_passed
    assert (case.name, case.classname) == ("What was sent comes back", "echo")


def test_a_skipped_check_says_why() -> None:
    (skipped,) = only_case(samples.report(SKIPPED)).result

    assert isinstance(skipped, junitparser.Skipped)
    assert skipped.message == "No time."


@pytest.mark.parametrize(
    "report", [samples.not_graded("Docker is gone."), samples.unusable("rejected", "Empty."), samples.unusable("did_not_start", "Exit.")]
)
def test_what_has_no_checks_is_one_case_with_an_error(report: Report) -> None:
    (error,) = only_case(report).result

    assert isinstance(error, junitparser.Error)
    assert (error.message, error.type) == (report.facts.message, report.verdict)


def test_what_was_not_graded_has_no_points() -> None:
    (suite,) = suites(samples.not_graded())

    assert {p.name: p.value for p in suite.properties()}["points"] in ("", None)


@pytest.mark.parametrize(
    "text", ["<!ENTITY x SYSTEM 'file:///etc/passwd'>&x;", "]]>", "<failure/>", '" onload="', "a\0b\x1b[0m\x08", "\ufffe", "-->"]
)
def test_text_stays_text(text: str) -> None:
    (failure,) = only_case(samples.report(samples.failed(message=text))).result

    assert failure.message == xml_safe(text)
    assert xml_safe(text) in failure.text


@given(st.text())
def test_any_text_can_be_read_back(text: str) -> None:
    exchange = samples.failed().exchange
    report = samples.report(samples.failed(message=text, title=text, rule=text, exchange=exchange), SKIPPED, learner=text)

    (suite,) = suites(report)

    failure = next(iter(suite)).result[0]
    assert (suite.tests, suite.failures) == (2, 1)
    assert failure.message == xml_safe(text)


@given(st.text())
def test_what_xml_cannot_carry_is_replaced_one_for_one(text: str) -> None:
    safe = xml_safe(text)

    assert len(safe) == len(text)
    assert ET.fromstring(f"<a>{safe.replace('&', '&amp;').replace('<', '&lt;')}</a>") is not None
    assert all(new in (old, "\ufffd") for old, new in zip(text, safe, strict=True))
