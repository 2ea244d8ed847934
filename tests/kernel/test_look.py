"""Completion, inspection and completeness, as JupyterLab asks for them."""

import pytest

from tests.kernel.conftest import Notebook


def completions(notebook: Notebook, code: str) -> list[str]:
    reply = notebook.ask("complete", code, len(code))
    start, end = reply["cursor_start"], reply["cursor_end"]
    return [code[:start] + match + code[end:] for match in reply["matches"]]


def test_members_keys_globals_modules_and_magics_are_completed(notebook: Notebook) -> None:
    notebook.run("let zebra = { stripes: 1, 'odd key': 2 }; let señor = 1")

    assert completions(notebook, "zebr") == ["zebra"]
    assert completions(notebook, "zebra.str") == ["zebra.stripes"]
    assert completions(notebook, "zebra['odd") == ["zebra['odd key"]
    assert "process.stdout" in completions(notebook, "process.std")
    assert "'é'.padEnd" in completions(notebook, "'é'.pad")
    assert "import x from 'node:stream/promises" in completions(notebook, "import x from 'node:str")
    assert "require('node:http" in completions(notebook, "require('node:htt")
    assert "awai" + "t" in completions(notebook, "awai")
    assert "%%http" in completions(notebook, "%%ht")
    assert completions(notebook, "nothing_like_this.x") == []


def test_local_files_and_installed_packages_are_completed_in_imports(notebook: Notebook) -> None:
    (notebook.folder / "helper.mjs").write_text("export {}")
    (notebook.folder / "node_modules" / "leftpad").mkdir(parents=True, exist_ok=True)

    assert "import './helper.mjs" in completions(notebook, "import './hel")
    assert "import 'leftpad" in completions(notebook, "import 'leftp")


def test_completion_runs_nothing_that_changes_anything(notebook: Notebook) -> None:
    notebook.run("let touched = 0; let trap = { get inside() { touched += 1; return {}; } }; function boom() { touched += 1; return {} }")

    completions(notebook, "trap.inside.")
    completions(notebook, "boom().")

    assert notebook.run("touched").result == "0"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("greet", "function greet(name, greeting = 'hello', ...rest)"),
        ("greet('x', ", "function greet(name, greeting = 'hello', ...rest)"),
        ("Animal", "class Animal extends Array · new Animal(kind, legs)"),
        ("arrow", "async function arrow({ a, b })"),
        ("JSON.stringify", "function JSON.stringify(a, b, c)"),
        ("shape", "shape: Object\n{ sides: 4, name: 'square' }"),
        ("shape.sides + 1", "shape: Object"),
    ],
)
def test_inspection_shows_the_signature_or_the_value(notebook: Notebook, code: str, expected: str) -> None:
    notebook.run(
        "function greet(name, greeting = 'hello', ...rest) {} class Animal extends Array { constructor(kind, legs) { super(); } }"
        "let arrow = async ({ a, b }) => a; let shape = { sides: 4, name: 'square' };"
    )

    reply = notebook.ask("inspect", code, 3 if "+" in code else len(code))

    assert reply["found"] and reply["data"]["text/plain"].startswith(expected)


def test_inspection_of_a_magic_is_its_help(notebook: Notebook) -> None:
    reply = notebook.ask("inspect", "%%http\n", 4)

    assert reply["found"] and "%%http" in reply["data"]["text/markdown"]


def test_inspection_of_nothing_finds_nothing(notebook: Notebook) -> None:
    assert notebook.ask("inspect", "nothing_like_this", 5)["found"] is False
    assert notebook.ask("inspect", "   ", 1)["found"] is False


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1 + 1", "complete"),
        ("const x = await fetch('/x')", "complete"),
        ("import { a } from 'b'", "complete"),
        ("function f() {", "incomplete"),
        ("foo(", "incomplete"),
        ("`abc", "incomplete"),
        ("/* open", "incomplete"),
        ("let = ;", "invalid"),
        ("%serve x.mjs", "complete"),
    ],
)
def test_completeness(notebook: Notebook, code: str, status: str) -> None:
    assert notebook.ask("is_complete", code)["status"] == status


def test_an_incomplete_block_is_indented(notebook: Notebook) -> None:
    assert notebook.ask("is_complete", "for (;;) {\n  if (x) {")["indent"] == "    "
