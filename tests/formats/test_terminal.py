"""What a person sees at a terminal: everything that helps, and nothing that a learner's program could drive the terminal with."""

import io
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from grader.exercise import Task
from grader.formats.table import class_progress, print_class
from grader.formats.terminal import print_report
from grader.formats.text import safe
from grader.report import Exchange, Report
from tests import samples

EXERCISE = samples.exercise()
ESCAPES = [
    "\x1b[2J",  # clears the screen
    "\x1b]0;owned\x07",  # sets the title
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",  # a link
    "\x1b]52;c;ZXZpbA==\x07",  # writes the clipboard
    "\x9b31m",  # the same with one byte
    "\x90q\x9c",
    "\r\x1b[1A\x1b[2Kall points",  # overwrites what was printed
    "\x08\x08\x08",
    "\x00",
    "\x07",
    "\x7f",
    "\x0b\x0c",
    "abc\u202etxt.exe",  # RTL override
    "\u2066\u2069\u200f\u061c",
    "\u200b\ufeff",
    "\U000e0041",  # invisible tag characters
    "\ue000\ud800",
]


def shown(report: Report, width: int = 120, **options: Any) -> str:
    """What is written to a terminal without colours, where every escape would be the learner's."""
    out = io.StringIO()
    print_report(
        report, EXERCISE, console=Console(file=out, width=width, highlight=False, color_system=None, force_terminal=True), **options
    )
    return out.getvalue()


def table(*reports: Report) -> str:
    out = io.StringIO()
    print_class(list(reports), Console(file=out, width=120, highlight=False, color_system=None, force_terminal=True))
    return out.getvalue()


def harmless(text: str) -> bool:
    return all(c == "\n" or not unicodedata.category(c).startswith("C") for c in text)


# ---- nothing that drives a terminal

PLACES: dict[str, Callable[[str], Report]] = {
    "message": lambda text: samples.report(samples.failed(message=text)),
    "request": lambda text: samples.report(samples.failed(exchange=(Exchange(text, "", 0.0, False),))),
    "response": lambda text: samples.report(samples.failed(exchange=(Exchange("", text, 0.0, False),))),
    "skipped": lambda text: samples.report(samples.check(outcome="skipped", message=text)),
    "output": lambda text: samples.report(facts={"output": f"x{text}x"}, verdict="failed"),
    "facts": lambda text: samples.unusable("did_not_start", text),
    "rejected": lambda text: samples.unusable("rejected", text),
    "learner": lambda text: samples.report(learner=text),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_nothing_that_drives_a_terminal_reaches_it(place: str, text: str) -> None:
    written = shown(PLACES[place](text))

    assert harmless(written), ascii(written)
    assert "\ufffd" in written


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "[link=https://evil.example]x", "[@click=app.bell]x", ":smile:", "\\["])
def test_markup_is_text(place: str, text: str) -> None:
    assert text in shown(PLACES[place](text))


@given(st.text(max_size=60), st.sampled_from(sorted(PLACES)))
def test_any_text_is_shown_without_harm(text: str, place: str) -> None:
    assert harmless(shown(PLACES[place](text)))


@pytest.mark.parametrize("name", [*ESCAPES, "[red]x", "[/]", "[link=https://evil.example]x"], ids=ascii)
def test_a_learners_name_is_text_in_the_table_of_a_class(name: str) -> None:
    written = table(samples.report(learner=name))

    assert harmless(written)
    assert safe(name).split("\n")[0] in written


@pytest.mark.parametrize("name", ["[/red]", "[red]x", "\x1b[2Jx", "x\u202e"])
def test_a_learners_name_is_text_beside_the_progress_bar(name: str) -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, color_system=None, force_terminal=True)

    with class_progress(console, 1) as step:
        step(samples.report(learner=name))

    assert safe(name) in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert name.startswith("[") or "\x1b[2J" not in out.getvalue()


# ---- safe


@given(st.text())
def test_safe_text_has_no_control_and_keeps_what_can_be_read(text: str) -> None:
    cleaned = safe(text)

    assert harmless(cleaned)
    assert safe(cleaned) == cleaned
    readable = [c for c in text if c.isprintable()]
    assert [c for c in cleaned if c != "\ufffd" and c.isprintable() and c != " "] == [c for c in readable if c not in " \ufffd"]


def test_lines_and_tabs_stay_readable() -> None:
    assert safe("a\r\nb\n\tc größe 李 🙂") == "a\nb\n    c größe 李 🙂"


# ---- everything that helps


def test_a_failed_check_shows_message_rule_and_exchange() -> None:
    written = shown(samples.report(samples.failed(message="500 came."), verdict="failed", points=0.0))

    for words in (
        "✗ What was sent comes back",
        "500 came.",
        "The contract: “It comes back.”",
        "GET / HTTP/1.1",
        "HTTP/1.1 500 Oh",
        "10 ms",
    ):
        assert words in written


def test_a_passed_check_is_one_line() -> None:
    written = shown(samples.report())

    assert "✓ What was sent comes back" in written
    assert "The contract" not in written


def test_hints_are_shown_only_when_they_are_asked_for() -> None:
    report = samples.report(samples.failed(hint="What is a chunk?"))

    assert "Hint: What is a chunk?" in shown(report)
    assert "What is a chunk?" not in shown(report, hints=False, command="looplab check echo")
    assert "looplab check echo --hints" in shown(report, hints=False, command="looplab check echo")


def test_a_misconception_names_its_page() -> None:
    assert "course/misconceptions/one-chunk.md" in shown(samples.report(samples.failed(misconception="one-chunk")))


def test_a_reason_that_many_skipped_checks_share_is_said_once() -> None:
    skipped = [samples.check(f"test_{n}", outcome="skipped", points=0.0, message="No time left.") for n in range(5)]

    assert shown(samples.report(*skipped)).count("No time left.") == 1


def test_points_are_summed_by_task() -> None:
    two = msgspec.structs.replace(EXERCISE.manifest, tasks=(*EXERCISE.manifest.tasks, Task(2, "Refuse", 3.0)))
    exercise = msgspec.structs.replace(EXERCISE, manifest=two)
    checks = (samples.check("a", points=0.5), samples.check("b"), samples.failed("c", task=2, max_points=3.0, exchange=()))
    out = io.StringIO()

    print_report(samples.report(*checks, points=1.5, max_points=5.0), exercise, console=Console(file=out, width=100, color_system=None))

    assert "1.5 of 5 points" in out.getvalue()
    assert [line.split()[-3:] for line in out.getvalue().splitlines() if " / " in line] == [["1.5", "/", "2"], ["0", "/", "3"]]


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
    assert words in shown(report)
    assert report.facts.message in shown(report)


def test_what_was_not_graded_is_never_shown_as_zero_points() -> None:
    written = shown(samples.not_graded()) + table(samples.not_graded())

    assert "0 of" not in written
    assert "not graded" in written
    assert "0 / 0" in written


def test_the_end_of_the_servers_output_is_shown_unless_it_passed() -> None:
    output = "\n".join(f"line {n}" for n in range(100))

    written = shown(samples.report(facts={"output": output}, verdict="failed"))

    assert "Your server wrote:" in written
    assert "line 99" in written
    assert "line 1\n" not in written
    assert "line 99" not in shown(samples.report(facts={"output": output}))


def test_a_long_exchange_is_cut() -> None:
    long = "\n".join(["x" * 1000] * 100)

    written = shown(samples.report(samples.failed(exchange=(Exchange(long, long, 0.0, True),))))

    assert "…" in written
    assert len(written) < 12_000


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_is_no_trouble(width: int) -> None:
    written = shown(samples.report(samples.failed()), width=width)

    assert max(map(len, written.splitlines())) <= width


# ---- the class


def test_the_table_has_a_row_a_learner_and_a_column_an_exercise() -> None:
    written = table(
        samples.report(points=0.5),
        samples.report(exercise="cpu", points=2.0, max_points=3.0),
        samples.unusable("did_not_start", "", learner="bob"),
        samples.not_graded(learner="eve"),
    )

    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in written.splitlines() if line.strip()}
    assert rows == {"learner": "cpu echo sum", "ada": "2 0.5 2.5 / 4", "bob": "– no start 0 / 1", "eve": "– not graded 0 / 0"}
