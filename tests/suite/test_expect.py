"""How a check speaks: in sentences for the learner, about values, whatever a server put into them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.suite.expect import SHOWN_MAX, CheckFailed, expect, expect_same, fail, shown

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def complaint(came: object, expected: object) -> str:
    with pytest.raises(CheckFailed) as caught:
        expect_same("`received`", came, expected)
    return str(caught.value)


def nested(depth: int, kernel: object = 0) -> object:
    for _ in range(depth):
        kernel = [kernel]
    return kernel


# ---- failing


def test_a_failure_is_the_sentence_and_its_reason() -> None:
    with pytest.raises(CheckFailed) as caught:
        fail("This came.", because="That matters.")

    assert str(caught.value) == "This came. That matters."
    assert caught.value.exchange is None


@pytest.mark.parametrize("condition", [False, None, 0, "", []])
def test_expect_fails_for_what_does_not_hold(condition: object) -> None:
    with pytest.raises(CheckFailed, match=r"^No\.$"):
        expect(condition, "No.")


def test_expect_is_silent_for_what_holds() -> None:
    expect([0], "No.")


# ---- comparing


@pytest.mark.parametrize(
    ("came", "expected"), [(1, 1.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([], []), (None, None), (nested(50_000), nested(50_000))]
)
def test_equal_values_are_the_same(came: object, expected: object) -> None:
    expect_same("it", came, expected)


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (True, 1),
        (0, False),
        ([1, 2], [2, 1]),
        ({}, []),
        (None, False),
        ("1", 1),
        ({"a": None}, {}),
        ([True], [1]),
        ({"a": [{"b": 0}]}, {"a": [{"b": False}]}),
    ],
)
def test_different_values_are_not(came: object, expected: object) -> None:
    assert f"should be {json.dumps(expected)}, but it is {json.dumps(came)}" in complaint(came, expected)


@given(JSON)
def test_a_value_is_the_same_as_what_json_makes_of_it(value: object) -> None:
    expect_same("it", json.loads(json.dumps(value)), value)


@pytest.mark.parametrize("depth", [900, 5000, 100_000])
def test_a_value_nested_too_deep_is_a_failure_and_no_crash(depth: int) -> None:
    assert "`received` should be 1" in complaint(nested(depth), 1)


# ---- showing


@pytest.mark.parametrize(
    ("value", "text"),
    [("é\n", '"é\\n"'), ({"a": [1, None]}, '{"a": [1, null]}'), (b"caf\xc3\xa9", "café"), (b"\xff", "\\xff"), (float("inf"), "Infinity")],
)
def test_values_are_shown_as_json_and_bytes_as_text(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut_and_its_length_is_said() -> None:
    text = shown("x" * 10_000)

    assert text.startswith('"xxx')
    assert len(text) < SHOWN_MAX + 40
    assert "(10002 characters)" in text


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert shown(json.loads('"\\ud83d"')) == '"\\ud83d"'


@given(JSON | st.binary() | st.text(st.characters()) | st.complex_numbers() | st.sets(st.integers()))
def test_anything_can_be_shown_and_sent(value: object) -> None:
    assert len(shown(value).encode()) <= 4 * (SHOWN_MAX + 40)
