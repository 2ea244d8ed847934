"""The record of exchanges: capped, printable, and about the right ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.suite.journal import BYTES_KEPT, EXCHANGES_SHOWN, Journal, Side


def side(*pieces: bytes) -> Side:
    made = Side()
    for piece in pieces:
        made.add(piece)
    return made


def journal_of(count: int) -> Journal:
    journal = Journal()
    for number in range(count):
        journal.open().request.add(b"%d" % number)
    return journal


def requests(journal: Journal, guilty: int | None = None) -> list[object]:
    return [exchange["request"] for exchange in journal.to_report(guilty)]


def test_text_is_text_and_the_rest_is_escaped() -> None:
    assert side("GET /größe\r\n".encode(), b"\xff\x00\x1b[2J\r").text() == "GET /größe\n\\xff\\x00\\x1b[2J\\x0d"


@pytest.mark.parametrize("text", ["\u202e", "\u2028", "\ufeff", "\U000e0041"])
def test_characters_that_cannot_be_seen_are_escaped(text: str) -> None:
    assert side(text.encode()).text().isascii()


@given(st.lists(st.binary(max_size=3000), max_size=4))
def test_any_bytes_become_printable_text_of_bounded_length(pieces: list[bytes]) -> None:
    made = side(*pieces)

    assert all(c == "\n" or c.isprintable() for c in made.text())
    assert len(made.kept) <= BYTES_KEPT
    assert made.total == sum(map(len, pieces))
    assert len(made.text().encode()) <= 4 * BYTES_KEPT + 40


def test_what_is_cut_is_said() -> None:
    journal = Journal()
    entry = journal.open()
    entry.request.add(b"x")
    entry.response.add(b"y" * (BYTES_KEPT + 1))

    (exchange,) = journal.to_report(None)

    assert exchange["truncated"] is True
    assert f"({BYTES_KEPT + 1} bytes in all)" in str(exchange["response"])


def test_silence_is_said() -> None:
    assert journal_of(1).to_report(None)[0]["response"] == "(nothing came)"


def test_the_last_exchanges_are_shown() -> None:
    assert requests(journal_of(10)) == ["7", "8", "9"]
    assert EXCHANGES_SHOWN == 3


def test_the_guilty_exchange_is_shown_after_those_that_led_to_it() -> None:
    assert requests(journal_of(10), guilty=4) == ["2", "3", "4"]
    assert requests(journal_of(10), guilty=0) == ["0"]


def test_a_connection_without_a_request_is_not_shown() -> None:
    journal = journal_of(1)
    journal.open()

    assert requests(journal) == ["0"]


def test_thousands_of_exchanges_keep_the_latest() -> None:
    assert requests(journal_of(5000)) == ["4997", "4998", "4999"]


def test_a_cleared_journal_is_empty_and_counts_anew() -> None:
    journal = journal_of(3)

    journal.clear()

    assert journal.to_report(None) == []
    assert journal.open().number == 0


def test_an_exchange_can_be_written_as_json() -> None:
    assert json.dumps(journal_of(1).to_report(None))
