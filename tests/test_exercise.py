"""Exercises are validated at the door, and what is wrong is said with its place and its cure."""

import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.errors import ExerciseError, SettingsError
from grader.exercise import Wrong, load_exercise, load_exercises
from tests import samples

ROOT = Path(__file__).parent.parent / "exercises"

MANIFEST = """
id = "1"
title = "Echo"
summary = "Echo."
module = "m00"
difficulty = 1
minutes = 5

[[tasks]]
number = 1
title = "Echo what was sent"
points = 1

[[wrong]]
folder = "silent"
why = "Says nothing."
fails = ["test_echo"]
"""
PROMPT = "# Echo\n\n## 1. Echo what was sent\n\nWhatever is sent,\ncomes back.\n"
SUITE = '''
from grader.suite import rule, task

@task(1)
@rule("Whatever is sent, comes back.")
def test_echo(server):
    """It comes back."""
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of exercises with one good one, `echo`."""
    for name, text in {"exercise.toml": MANIFEST, "prompt.md": PROMPT, "tests/test_echo.py": SUITE}.items():
        write(tmp_path, name, text)
    (tmp_path / "echo" / "wrong" / "silent").mkdir(parents=True)
    return tmp_path


def write(root: Path, name: str, text: str | bytes) -> None:
    path = root / "echo" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def complaint(root: Path) -> str:
    with pytest.raises(ExerciseError) as caught:
        load_exercise(root, "echo")
    return str(caught.value)


def with_suite(root: Path, old: str, new: str) -> str:
    """What is said about the suite after a change."""
    assert old in SUITE
    write(root, "tests/test_echo.py", SUITE.replace(old, new))
    return complaint(root)


def with_manifest(root: Path, old: str, new: str) -> str:
    assert old in MANIFEST
    write(root, "exercise.toml", MANIFEST.replace(old, new, 1))
    return complaint(root)


# ---- reading


def test_a_good_exercise_is_read_with_its_checks(root: Path) -> None:
    exercise = load_exercise(root, "echo")

    (check,) = exercise.checks
    assert (check.id, check.title, check.task, check.visible, check.quiet) == ("test_echo", "It comes back.", 1, False, False)
    assert check.rule == "Whatever is sent, comes back."
    assert exercise.max_points == 1


def test_decorators_are_read_without_running_the_suite(root: Path) -> None:
    marks = '@visible\n@quiet\n@seconds(8)\n@hint("Why?")\n@environment(MAX="1")\ndef test_echo'
    write(root, "tests/test_echo.py", "raise SystemExit('never run')\n" + SUITE.replace("def test_echo", marks))

    (check,) = load_exercise(root, "echo").checks

    assert (check.visible, check.quiet, check.seconds, check.hint) == (True, True, 8.0, "Why?")


def test_the_exercises_of_the_course_load_in_the_order_of_their_modules() -> None:
    exercises = load_exercises(ROOT)

    modules = [exercise.manifest.module for exercise in exercises]
    assert modules == sorted(modules)
    assert "json-echo" in {exercise.slug for exercise in exercises}


# ---- what is asked for


@pytest.mark.parametrize("slug", ["../echo", "echo/", "", ".", "echo\0", "ECHO", "nowhere"])
def test_a_slug_that_is_none_is_refused(root: Path, slug: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_exercise(root, slug)

    assert "There is no exercise" in str(caught.value)


def test_a_mistyped_slug_names_the_nearest(root: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_exercise(root, "ecko")

    assert "Did you mean echo?" in str(caught.value)


def test_a_folder_with_an_impossible_name_is_its_authors_mistake(root: Path) -> None:
    shutil.copytree(root / "echo", root / "My Echo")

    with pytest.raises(ExerciseError) as caught:
        load_exercises(root)

    assert "exercises/My Echo" in str(caught.value)
    assert "a-z" in str(caught.value)


# ---- the manifest


def test_an_unknown_key_is_named_with_the_one_that_was_meant(root: Path) -> None:
    said = with_manifest(root, "[[tasks]]", "[limits]\nmemroy_mb = 1\n\n[[tasks]]")

    assert said.startswith("exercises/echo/exercise.toml:")
    assert '"memroy_mb" in [limits]' in said
    assert '"memory_mb"' in said


def test_an_unknown_key_in_a_table_of_a_list_is_named(root: Path) -> None:
    said = with_manifest(root, "points = 1", "points = 1\nweight = 2")

    assert '"weight" in [[tasks]]' in said
    assert "Known keys: number, points, title" in said


def test_a_missing_key_is_named(root: Path) -> None:
    assert "`module`" in with_manifest(root, 'module = "m00"', "")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("minutes = 5", 'minutes = "5"', "minutes"),
        ("points = 1", 'points = "many"', "tasks"),
        ('fails = ["test_echo"]', 'fails = "test_echo"', "wrong"),
        ("minutes = 5", 'minutes = 5\nstatus = "raedy"', "status"),
        ("[[tasks]]", "[env]\nPORT = 1\n\n[[tasks]]", "env"),
        ("[[tasks]]", "submit = 1\n[[tasks]]", "submit"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_place(root: Path, old: str, new: str, where: str) -> None:
    said = with_manifest(root, old, new)

    assert said.startswith("exercises/echo/exercise.toml:")
    assert f"`{where}" in said


@pytest.mark.parametrize("data", [b"= 1", b"\xff\xfe", b'id = "1"\nid = "2"'])
def test_a_manifest_that_is_not_toml_is_refused(root: Path, data: bytes) -> None:
    write(root, "exercise.toml", data)

    assert "is not valid TOML" in complaint(root)


def test_two_tasks_of_one_number_are_refused(root: Path) -> None:
    said = with_manifest(root, "[[wrong]]", '[[tasks]]\nnumber = 1\ntitle = "Again"\npoints = 5\n\n[[wrong]]')

    assert "two tasks have the number 1" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("number = 1", "number = 2", "task 2 has no check"),
        ("number = 1", "number = 2", "no heading `## 2. …`"),
        ("number = 1", "number = 2", "test_echo belongs to task 1"),
        ('folder = "silent"', 'folder = "loud"', "wrong/loud does not exist"),
        ('fails = ["test_echo"]', "fails = []", "wrong/silent lists no check"),
        ('fails = ["test_echo"]', 'fails = ["test_ecko"]', "Did you mean test_echo?"),
    ],
)
def test_what_contradicts_itself_is_refused(root: Path, old: str, new: str, words: str) -> None:
    assert words in with_manifest(root, old, new)


def test_all_contradictions_are_said_at_once(root: Path) -> None:
    said = with_manifest(root, 'folder = "silent"', 'folder = "loud"\nmisconception = "x"')
    (root / "echo" / "prompt.md").write_text("nothing")

    assert len(said.splitlines()) == 1
    assert len(complaint(root).splitlines()) == 3


@given(st.binary(max_size=200))
def test_a_manifest_of_any_bytes_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("any")
    write(root, "exercise.toml", data)

    with pytest.raises(ExerciseError):
        load_exercise(root, "echo")


# ---- contract and suite


@pytest.mark.parametrize("name", ["prompt.md", "tests/test_echo.py"])
def test_a_file_that_is_missing_is_named(root: Path, name: str) -> None:
    (root / "echo" / name).unlink()

    said = complaint(root)

    assert name.removesuffix("/test_echo.py") in said
    assert "missing" in said or "no suite" in said


@pytest.mark.parametrize("name", ["prompt.md", "tests/test_echo.py"])
def test_a_file_that_is_not_utf8_is_named(root: Path, name: str) -> None:
    write(root, name, "é".encode("latin-1"))

    assert f"exercises/echo/{name}: is not UTF-8" in complaint(root)


def test_a_suite_with_a_syntax_error_names_the_line(root: Path) -> None:
    assert "tests/test_echo.py:2:" in with_suite(root, "from grader.suite import rule, task", "from grader import")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("@task(1)", "", "test_echo lacks task"),
        ('@rule("Whatever is sent, comes back.")', "", "test_echo lacks rule"),
        ('"""It comes back."""', "pass", "test_echo lacks a docstring"),
        ("@task(1)", "@task(2)", "belongs to task 2"),
        ("@task(1)", "@suite.task(1)", "plain names"),
        ("@task(1)", "@task(NUMBER)", "@task takes a literal"),
        ("@task(1)", "@task({[]: 1})", "@task takes a literal"),
        ("@task(1)", "@task", "@task takes a whole number"),
        ("@task(1)", "@task(True)", "@task takes a whole number"),
        ("@task(1)", "@task('1')", "@task takes a whole number"),
        ('@rule("Whatever is sent, comes back.")', "@rule", "@rule takes a text"),
        ('@rule("Whatever is sent, comes back.")', "@rule(5)", "@rule takes a text"),
        ("@task(1)", "@task(1)\n@hint", "@hint takes a text"),
        ("@task(1)", "@task(1)\n@seconds", "@seconds takes a number"),
        ("@task(1)", '@task(1)\n@seconds("8")', "@seconds takes a number"),
        ("comes back.", "is kept.", 'cites "Whatever is sent, is kept."'),
    ],
)
def test_a_check_that_lacks_what_it_must_declare_is_refused(root: Path, old: str, new: str, words: str) -> None:
    said = with_suite(root, old, new)

    assert said.startswith("exercises/echo/tests")
    assert words in said


def test_two_checks_of_one_name_are_refused(root: Path) -> None:
    write(root, "tests/test_more.py", SUITE)

    assert "two checks are called test_echo" in complaint(root)


def test_a_rule_is_found_over_line_breaks_only_word_for_word(root: Path) -> None:
    write(root, "prompt.md", PROMPT.replace("sent,\n", "sent,\n   "))

    assert load_exercise(root, "echo").checks

    write(root, "prompt.md", PROMPT.replace("comes", "always comes"))
    assert "is no sentence of prompt.md" in complaint(root)


# ---- digest


@pytest.mark.parametrize("name", ["exercise.toml", "prompt.md", "tests/test_echo.py", "tests/helper.py"])
def test_the_digest_changes_with_everything_that_changes_a_verdict(root: Path, name: str) -> None:
    before = load_exercise(root, "echo").digest

    path = root / "echo" / name
    write(root, name, (path.read_text() if path.exists() else "") + "\n")

    assert load_exercise(root, "echo").digest != before


@pytest.mark.parametrize("name", ["hints.md", "wrong/silent/server.mjs", "solution/server.mjs"])
def test_the_digest_does_not_change_with_what_changes_no_verdict(root: Path, name: str) -> None:
    before = load_exercise(root, "echo").digest

    write(root, name, "new")

    assert load_exercise(root, "echo").digest == before


# ---- points and misconceptions


@given(checks=st.integers(1, 40), cents=st.integers(0, 100_000))
def test_the_points_of_a_tasks_checks_add_up_to_the_task(checks: int, cents: int) -> None:
    exercise = samples.exercise(*(f"test_{n}" for n in range(checks)), points=cents / 100)

    shares = [round(exercise.points_of(check.id) * 100) for check in exercise.checks]

    assert sum(shares) == cents
    assert max(shares) - min(shares) <= 1


def wrong(folder: str, *fails: str) -> Wrong:
    return Wrong(folder=folder, why="", fails=fails, misconception=f"m-{folder}")


def test_the_misconception_is_that_of_the_known_wrong_that_explains_most() -> None:
    exercise = samples.exercise("a", "b", "c", wrong=(wrong("one", "a"), wrong("two", "a", "b"), wrong("three", "a", "b", "c")))

    assert exercise.misconception_of("a", {"a"}) == "m-one"
    assert exercise.misconception_of("a", {"a", "b"}) == "m-two"


def test_a_failure_that_fits_no_known_wrong_has_no_misconception() -> None:
    nameless = msgspec.structs.replace(wrong("nameless", "b"), misconception=None)
    exercise = samples.exercise("a", "b", wrong=(wrong("two", "a", "b"), nameless))

    assert exercise.misconception_of("a", {"a"}) is None
    assert exercise.misconception_of("b", {"b"}) is None


def test_who_fails_nearly_everything_is_told_no_misconception() -> None:
    exercise = samples.exercise("a", "b", "c", "d", wrong=(Wrong(folder="one", why="", fails=("a",), misconception="m-one"),))

    assert exercise.misconception_of("a", {"a", "b", "c"}) == "m-one"
    assert exercise.misconception_of("a", {"a", "b", "c", "d"}) is None
