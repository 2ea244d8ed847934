"""The learner's copy of a suite: complete for what is visible, silent about what is not."""

import ast
import builtins
import dis
import types
from collections.abc import Iterator
from typing import Any

import pytest

from grader.errors import ExerciseError
from grader.exercise import Exercise, load_exercises
from grader.notebooks.visible import visible_checks, visible_part
from grader.settings import read_settings

EXERCISES = load_exercises(read_settings().exercises)
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.slug)

SUITE = '''\
"""Proves what the hidden checks hide."""

import json
import random, string
from grader.suite import Server, hint, rule, task, visible
from os import path as where, sep

# ---- for the hidden one

SECRET = "the hidden one sends this"
"""Why it does."""
SHARED = 3
"""Both use it."""
word = 5


def secret(server: Server) -> str:
    return SECRET


def helper(server: "Server", word: int = SHARED) -> str:
    # seen, because it stands inside
    def inner() -> str:
        return json.dumps(word)

    return inner()


class Later:
    kept = sep


# about the hidden one
@task(1)
@rule("R")
@hint("hidden hint")
def test_hidden(server: Server) -> None:
    """Hidden."""
    secret(server), random, word


# before the visible one
@task(1)
@rule("R")
@visible
def test_seen(server: Server) -> None:
    """Seen."""
    helper(server)
    Later().kept
'''

COPY = '''\
import json
from grader.suite import Server, rule, task, visible
from os import sep

SHARED = 3
"""Both use it."""


def helper(server: "Server", word: int = SHARED) -> str:
    # seen, because it stands inside
    def inner() -> str:
        return json.dumps(word)

    return inner()


class Later:
    kept = sep


@task(1)
@rule("R")
@visible
def test_seen(server: Server) -> None:
    """Seen."""
    helper(server)
    Later().kept
'''


def loaded(text: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "copy"}
    exec(compile(text, "copy.py", "exec"), space)
    return space


def globals_of(code: types.CodeType) -> Iterator[str]:
    yield from (str(i.argval) for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from globals_of(inner)


def test_only_what_a_visible_check_needs_is_kept() -> None:
    assert visible_part(SUITE, "suite.py").replace("\n\nfrom grader", "\nfrom grader") == COPY


def test_a_suite_without_visible_checks_gives_nothing() -> None:
    assert visible_part(SUITE.replace("@visible\n", ""), "suite.py") == ""


def test_a_statement_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ExerciseError, match=r"^suite\.py:3: a suite is made of imports"):
        visible_part('"""Doc."""\n\nfor x in ():\n    pass\n', "suite.py")


@each_exercise
def test_a_copy_has_the_visible_checks_and_no_other(exercise: Exercise) -> None:
    ((name, text),) = visible_checks(exercise).items()

    defined = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert name == f"test_{exercise.slug.replace('-', '_')}.py"
    assert defined == {check.id for check in exercise.checks if check.visible}
    for check in exercise.checks:
        assert check.visible or check.id not in text
        assert check.visible or check.title not in text


@each_exercise
def test_a_copy_lacks_nothing(exercise: Exercise) -> None:
    for text in visible_checks(exercise).values():
        space = loaded(text)

        functions = [value for value in space.values() if isinstance(value, types.FunctionType) and value.__module__ == "copy"]
        used = {name for function in functions for name in globals_of(function.__code__)}
        assert functions
        assert used <= set(space) | set(dir(builtins))
