"""The feedback as a piece of a page: everything that helps, and nothing that a learner's program could do to the page."""

import unicodedata
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.exercise import Task
from grader.formats.html import report_html
from grader.report import Exchange, Report
from tests import samples
from tests.formats.test_terminal import ESCAPES

EXERCISE = samples.exercise()
TAGS = {"code", "div", "p", "strong", "span", "em", "details", "summary", "pre"}
HOSTILE = [
    "</pre><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' style='position:fixed",
    "&lt;b&gt;&#60;script&#62;",
    "<!-- ",
    "]]><?xml ?>",
    "</details></div></div>",
    "javascript:alert(1)",
    "url(https://evil.example/x)",
    *ESCAPES,
]


class Page(HTMLParser):
    """What a browser would see: tags, their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.depth: list[str] = []
        self.odd: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.depth.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.depth or self.depth.pop() != tag:
            self.odd.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.odd.append(data)

    def handle_decl(self, decl: str) -> None:
        self.odd.append(decl)

    def handle_pi(self, data: str) -> None:
        self.odd.append(data)


def page(report: Report, **options: Any) -> Page:
    return Page(report_html(report, EXERCISE, **options))


def harmless(found: Page) -> bool:
    """Only our tags, each closed, with nothing but styles of ours; no reference to anything; no invisible character."""
    styles = [value or "" for _, attributes in found.tags for name, value in attributes.items() if name == "style"]
    return (
        {tag for tag, _ in found.tags} <= TAGS
        and {name for _, attributes in found.tags for name in attributes} <= {"style", "open"}
        and not found.odd
        and not found.depth
        and not any("url(" in style or "position" in style or "script" in style for style in styles)
        and all(c == "\n" or not unicodedata.category(c).startswith("C") for c in found.text)
    )


def full_of(text: str) -> Report:
    """A report in which every text is `text`."""
    exchange = (Exchange(text, text, 0.01, False),)
    checks = (
        samples.failed("a", title=text, rule=text, message=text, hint=text, misconception=text, exchange=exchange),
        samples.check("b", title=text, outcome="skipped", points=0.0, message=text),
    )
    return samples.report(*checks, learner=text, exercise=text, facts={"message": text, "output": text}, verdict="failed", points=0.0)


# ---- safe


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("hints", [False, True])
def test_a_hostile_text_is_only_text(text: str, hints: bool) -> None:
    assert harmless(page(full_of(text), hints=hints))


@given(st.text())
def test_any_text_is_only_text(text: str) -> None:
    assert harmless(page(full_of(text), hints=True))


def test_what_was_written_can_be_read() -> None:
    found = page(full_of("a < b && größe 李 🙂"))

    assert found.text.count("a < b && größe 李 🙂") >= 8


# ---- everything that helps


def test_a_failed_check_shows_message_rule_and_exchange() -> None:
    found = page(samples.report(samples.failed(message="500 came."), verdict="failed", points=0.0))

    for words in ("✗What was sent comes back", "500 came.", "“It comes back.”", "GET / HTTP/1.1", "HTTP/1.1 500 Oh", "in 10 ms"):
        assert words in found.text
    assert ("details", {"open": None}) in [(tag, {k: v for k, v in attrs.items() if k == "open"}) for tag, attrs in found.tags]


def test_words_in_back_quotes_are_code_and_cannot_be_more() -> None:
    found = page(samples.report(samples.failed(message="`bytes` is `<b>` and ` alone")))

    assert "bytes is <b> and ` alone" in found.text
    assert harmless(found)


def test_a_passed_check_is_one_line() -> None:
    found = page(samples.report())

    assert "✓What was sent comes back" in found.text
    assert "The contract" not in found.text
    assert "details" not in [tag for tag, _ in found.tags]


def test_hints_are_folded_and_only_there_when_they_are_asked_for() -> None:
    report = samples.report(samples.failed(hint="What is a chunk?"))

    folded = [attributes for tag, attributes in page(report, hints=True).tags if tag == "details"]

    assert "open" not in folded[-1]
    assert "What is a chunk?" in page(report, hints=True).text
    assert "What is a chunk?" not in page(report).text


def test_a_misconception_names_its_page() -> None:
    assert "course/misconceptions/one-chunk.md" in page(samples.report(samples.failed(misconception="one-chunk"))).text


def test_a_reason_that_many_skipped_checks_share_is_said_once() -> None:
    skipped = [samples.check(f"test_{n}", outcome="skipped", points=0.0, message="No time left.") for n in range(5)]

    assert page(samples.report(*skipped)).text.count("No time left.") == 1


def test_points_are_summed_by_task_and_one_task_can_be_shown_alone() -> None:
    two = msgspec.structs.replace(EXERCISE.manifest, tasks=(*EXERCISE.manifest.tasks, Task(2, "Refuse", 3.0)))
    exercise = msgspec.structs.replace(EXERCISE, manifest=two)
    checks = (
        samples.check("a", points=0.1, max_points=0.1),
        samples.check("b", points=0.2, max_points=0.2),
        samples.failed("c", task=2, max_points=3.0),
    )
    report = samples.report(*checks, points=0.3, max_points=3.3, verdict="partial")

    whole, first = Page(report_html(report, exercise)), Page(report_html(report, exercise, task=1))

    assert "0.3 of 3.3 points · some points" in whole.text
    assert "1. Echo what was sent0.3 / 0.3" in whole.text
    assert "2. Refuse0 / 3" in whole.text
    assert "0.3 of 0.3 points · task 1" in first.text
    assert "Refuse" not in first.text


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (samples.report(), "1 of 1 points · all points"),
        (samples.not_graded("Docker is gone."), "not graded · not graded yet"),
        (samples.unusable("rejected", "Empty."), "0 of 1 points · not accepted"),
        (samples.unusable("did_not_start", "It exited."), "0 of 1 points · did not start"),
    ],
)
def test_the_headline_says_points_and_verdict(report: Report, words: str) -> None:
    for task in (None, 1):
        if task is None or not report.checks:
            assert words in page(report, task=task).text
            assert report.facts.message in page(report, task=task).text


def test_the_end_of_the_servers_output_is_shown_unless_it_passed() -> None:
    output = "\n".join(f"line {n}" for n in range(100))

    found = page(samples.report(facts={"output": output}, verdict="failed"))

    assert "Your server wrote:…\n" in found.text
    assert "line 99" in found.text
    assert "line 1\n" not in found.text
    assert "line 99" not in page(samples.report(facts={"output": output})).text


def test_a_long_exchange_is_cut() -> None:
    long = "\n".join(["x" * 1000] * 100)

    assert len(report_html(samples.report(samples.failed(exchange=(Exchange(long, long, 0.0, True),))), EXERCISE)) < 12_000
