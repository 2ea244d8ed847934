"""The first line of a magic: what it takes, and what is said about mistakes."""

import inspect

import pytest

from course.kernel import magics
from course.kernel.magics.arguments import Magic
from tests.kernel.magics.cells import SETTINGS, PlainCell, fails, run

# ---- which cells


@pytest.mark.parametrize("code", ["%stop", "%%node\n1", "\n\n  %serve", "%node?", "%nosuch"])
def test_a_cell_that_begins_with_a_percent_sign_is_magic(code: str) -> None:
    assert magics.is_magic(code)


@pytest.mark.parametrize("code", ["", "5 % 2", "// %stop", "'%stop'", "let a = 1\n%stop"])
def test_other_cells_are_javascript(code: str) -> None:
    assert not magics.is_magic(code)


def test_several_magics_may_stand_in_one_cell(cell: PlainCell) -> None:
    run(cell, "%stop\n\n// nothing runs\n%serve")

    assert cell.out.count("No server is running") == 2


def test_javascript_below_a_magic_is_refused_before_anything_is_done(cell: PlainCell) -> None:
    error = fails(cell, "%stop\nconst x = 1")

    assert error.name == "UsageError"
    assert error.value == "Line 2 is no magic: const x = 1. A cell that begins with a magic holds nothing else: use another cell."
    assert cell.out == ""


# ---- mistakes become sentences


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%sevre x.mjs", "There is no magic %sevre. Did you mean %serve?"),
        ("%%writefile x.mjs\n1", "There is no magic %%writefile. Did you mean %%file?"),
        ("%xyzzy", "There is no magic %xyzzy. %magics lists them all."),
        ("%", "There is no magic %. %magics lists them all."),
        ("%node", "Write %%node, not %node: it takes the rest of the cell."),
        ("%%stop", "Write %stop, not %%stop: it stands alone on its line."),
        ("%stop\n%%node\n1", "%%node takes the rest of a cell: it must stand in its first line."),
        ("%stop!", 'After %stop comes a space, not "!".'),
        ("%%node --cj\n1", "%%node does not know --cj. Did you mean --cjs?"),
        ("%%node --quiet\n1", "%%node does not know --quiet. It knows --cjs, --as, --predict, --env, --seconds."),
        ("%stop --all", "%stop does not know --all. It has no options."),
        ("%%node --cjs=1\n1", "--cjs takes no value."),
        ("%%node --as\n1", "--as needs a value: --as <name>"),
        ("%%node --as --cjs\n1", "--as needs a value: --as <name>"),
        ("%%node --as a --as b\n1", "--as stands there twice."),
        ("%%node --as a.b\n1", '--as takes the name of a JavaScript variable, such as "result", not "a.b".'),
        ("%%node --as class\n1", '--as takes the name of a JavaScript variable, such as "result", not "class".'),
        ("%%node --seconds soon\n1", '--seconds takes a number, not "soon".'),
        ("%%node --seconds=nan\n1", "--seconds takes a number from 0.1 to 600, not nan."),
        ("%%node --seconds 0\n1", "--seconds takes a number from 0.1 to 600, not 0."),
        ("%%node --env A\n1", '--env takes NAME=VALUE, such as --env MAX_BODY=1000, not "A".'),
        ("%%file 'a b\n1", "A quote is not closed in this line: 'a b"),
        ("%%file\n1", "%%file needs <path>. It is written: %%file <path>"),
        ("%%file a b\n1", '%%file does not know what to do with "b". It is written: %%file <path>'),
        ("%stop -- x", "Nothing may follow `--` in %stop. It is written: %stop [<name>]"),
        ("%log --lines many", '--lines takes a whole number, not "many".'),
    ],
)
def test_a_mistake_is_told_with_the_nearest_right_word(cell: PlainCell, code: str, sentence: str) -> None:
    error = fails(cell, code)

    assert (error.name, error.value) == ("UsageError", sentence)


# ---- help


@pytest.mark.parametrize("magic", magics.MAGICS, ids=lambda magic: magic.name)
def test_every_magic_has_help_with_its_usage_and_an_example(magic: Magic) -> None:
    text = magics.help_of(magic.name)

    usage, example = text.split("```text\n")[1:]
    assert usage.startswith(magic.usage)
    assert example.startswith(magic.name)
    assert magic.summary.endswith(".")
    assert all(option.name in text for option in magic.options)
    assert "!" not in inspect.cleandoc(text)


@pytest.mark.parametrize("name", ["serve", "%serve", "%%serve", "%serve?", " serve ? "])
def test_help_is_found_however_it_is_asked_for(cell: PlainCell, name: str) -> None:
    assert magics.help_of(name) == magics.help_of("%serve")


def test_a_question_mark_shows_the_help_and_does_nothing(cell: PlainCell) -> None:
    run(cell, "%%file?", "%serve ?")

    assert "Writes the cell to a file" in cell.plain
    assert "Starts a server in the background" in cell.shown[1][0]["text/markdown"]
    assert cell.written == []


def test_the_list_names_every_magic(cell: PlainCell) -> None:
    run(cell, "%magics")

    assert all(magic.name in cell.plain for magic in magics.MAGICS)


def test_reset_asks_for_a_fresh_process(cell: PlainCell) -> None:
    run(cell, "%reset")

    assert cell.resets == 1


# ---- completion


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%se", ["%serve"]),
        ("%no", ["%%node"]),
        ("%%pre", ["%%predict"]),
        ("%%node --c", ["--cjs"]),
        ("%%node --as x --se", ["--seconds"]),
        ("%check json-e", ["json-echo"]),
        ("%hint json-e", ["json-echo"]),
        ("%serve de", ["demo/"]),
        ("%serve demo/s", ["demo/server.mjs"]),
        ("%%http --to ", []),
        ("%%node --predict or", ["order"]),
        ("%%node -- --max", []),
        ("const x", []),
    ],
)
def test_completion_offers_what_can_follow(cell: PlainCell, text: str, offered: list[str]) -> None:
    (cell.cwd / "demo").mkdir()
    (cell.cwd / "demo" / "server.mjs").touch()
    cell.session.predictions["order"] = "sync"

    assert magics.complete_magic(text, SETTINGS, cell.cwd, cell.session) == offered


def test_completion_without_knowledge_of_the_place_still_knows_the_magics() -> None:
    assert magics.complete_magic("%") == [magic.name for magic in magics.MAGICS]
    assert magics.complete_magic("%check ") == []
