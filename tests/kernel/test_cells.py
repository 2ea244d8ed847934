"""What a cell of the Node kernel does: state, imports, values, errors."""

from pathlib import Path

import pytest

from tests.kernel.conftest import Notebook


def test_state_lives_across_cells_and_names_may_be_declared_again(notebook: Notebook) -> None:
    notebook.run("let a = 1; const b = { x: [1, 2, { y: 3 }] }; function double(n) { return n * 2 } class K {}")

    again = notebook.run("let a = 5; const b = 7; class K { m() {} }; double(a) + b")

    assert again.result == "17"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("const n1 = 1", "let n1 = 2; n1"),
        ("let n2 = 1", "const n2 = 2; n2"),
        ("class n3 {}", "const [n3] = [2]; n3"),
        ("const n4 = 1", "var n4 = 2; n4"),
        ("const n5 = () => 1", "function n5() { return 2 } n5()"),
        ("import n6 from 'node:fs'", "const n6 = 2; n6"),
        ("function n7() {}", "function n7() { return 2 } n7()"),
    ],
)
def test_a_name_may_be_declared_again_in_another_way(notebook: Notebook, before: str, after: str) -> None:
    notebook.run(before)

    assert notebook.run(after).result == "2"


def test_what_javascript_cannot_declare_again_is_explained(notebook: Notebook) -> None:
    notebook.run("function once() {}")

    ran = notebook.run("const once = () => 2")

    assert "Choose another name, or start afresh with %reset." in ran.traceback


def test_a_constant_is_constant_in_its_cell(notebook: Notebook) -> None:
    assert notebook.run("const fixed = 1; fixed = 2").error == "TypeError: Assignment to constant variable."
    assert notebook.run("let a1 = 1; let a1 = 2").error == "SyntaxError: Identifier 'a1' has already been declared"


def test_await_works_at_the_top_level_and_the_last_value_is_shown(notebook: Notebook) -> None:
    assert notebook.run("const slept = await sleep(20, 'slept'); slept").result == "'slept'"
    assert notebook.run("undefined").result is None
    assert notebook.run("null").result == "null"
    assert notebook.run("5;").result == "5"


def test_a_semicolon_hides_servers_streams_and_timers_which_nobody_wants_to_read(notebook: Notebook) -> None:
    assert notebook.run("const quiet = require('node:http').createServer(); quiet.unref();").result is None
    assert notebook.run("setTimeout(() => {}, 1);").result is None
    assert "Server" in (notebook.run("quiet").result or "")


def test_values_are_shown_as_node_inspects_them(notebook: Notebook) -> None:
    assert notebook.run("({ a: [1, { b: new Map([[1, 2]]) }] })").result == "{\n  a: [ 1, { b: Map(1) { 1 => 2 } } ]\n}"


def test_every_form_of_import_works(notebook: Notebook) -> None:
    (notebook.folder / "shapes.mjs").write_text("export default 'd'; export const x = 1; export { x as 'odd name' };")
    cells = [
        ("import shape, { x as one } from './shapes.mjs'; [shape, one]", "[ 'd', 1 ]"),
        ("import * as all from './shapes.mjs'; Object.keys(all).join()", "'default,odd name,x'"),
        ("import other, * as rest from './shapes.mjs'; [other, rest.x]", "[ 'd', 1 ]"),
        ("import { 'odd name' as odd } from './shapes.mjs'; odd", "1"),
        ("import './shapes.mjs'; import {\n  sep,\n  join } from 'node:path'; join('a', 'b') === `a${sep}b`", "true"),
        ("(await import('./shapes.mjs')).x + '(not import(\\'this\\'))'.length", "21"),
        ("require('node:os').EOL === '\\n' && typeof require('./shapes.mjs').x", "'number'"),
        ("[import.meta.dirname === process.cwd(), import.meta.url.endsWith('.mjs')]", "[ true, true ]"),
        ("/* import x from 'y' */ `import z from 'w'`.length", "17"),
    ]

    shown = {code: notebook.run(code) for code, _ in cells}

    assert {code: ran.error or ran.result for code, ran in shown.items()} == dict(cells)


def test_json_is_imported_with_its_attribute(notebook: Notebook) -> None:
    (notebook.folder / "config.json").write_text('{"port": 1}')

    assert notebook.run("import config from './config.json' with { type: 'json' }; config.port").result == "1"


def test_an_import_of_a_name_that_is_not_there_fails_as_it_does_in_node(notebook: Notebook) -> None:
    ran = notebook.run("import { nope } from 'node:fs'")

    assert ran.error == "SyntaxError: The module 'node:fs' does not provide an export named 'nope'"


def test_a_changed_file_is_imported_anew_also_through_another_module(notebook: Notebook) -> None:
    (notebook.folder / "outer.mjs").write_text("export { value } from './inner.mjs';")
    (notebook.folder / "inner.mjs").write_text("export const value = 1;")
    first = notebook.run("(await import('./outer.mjs')).value").result
    notebook.run("%%file inner.mjs\nexport const value = 22;\n")

    second = notebook.run("import { value } from './outer.mjs'; value").result

    assert (first, second) == ("1", "22")


def test_an_unchanged_file_is_imported_once(notebook: Notebook) -> None:
    (notebook.folder / "counter.mjs").write_text("globalThis.loads = (globalThis.loads ?? 0) + 1; export {};")

    notebook.run("await import('./counter.mjs')")

    assert notebook.run("import './counter.mjs'; globalThis.loads").result == "1"


def test_a_changed_commonjs_file_is_required_anew(notebook: Notebook) -> None:
    (notebook.folder / "old.cjs").write_text("module.exports = 1;")
    first = notebook.run("require('./old.cjs')").result
    (notebook.folder / "old.cjs").write_text("module.exports = 'two';")

    assert (first, notebook.run("require('./old.cjs')").result) == ("1", "'two'")


def test_an_error_shows_the_line_of_the_cell_and_a_clean_stack(notebook: Notebook) -> None:
    ran = notebook.run("function g() {\n  throw new TypeError('bad thing');\n}\ng();")

    assert ran.error == "TypeError: bad thing"
    assert "  throw new TypeError('bad thing');" in ran.traceback and "line 2" in ran.traceback
    assert "at g (cell-" in ran.traceback
    assert "node:internal" not in ran.traceback and "agent" not in ran.traceback


def test_an_error_in_a_function_of_an_earlier_cell_shows_that_cells_line(notebook: Notebook) -> None:
    notebook.run("// one\n// two\nconst fails = () => { throw new Error('from afar') };")

    ran = notebook.run("fails()")

    assert "const fails = () =>" in ran.traceback and "line 3" in ran.traceback


def test_an_error_in_a_file_shows_that_files_line_with_a_short_path(notebook: Notebook) -> None:
    (notebook.folder / "broken.mjs").write_text("export function f() {\n  return nothing.there;\n}\n")

    ran = notebook.run("import { f } from './broken.mjs'; f()")

    assert "return nothing.there;" in ran.traceback and "broken.mjs, line 2" in ran.traceback
    assert str(notebook.folder) not in ran.traceback


def test_a_syntax_error_is_shown_where_it_is(notebook: Notebook) -> None:
    plain = notebook.run("const fine = 1;\nlet q = ;")
    with_import = notebook.run("import x from 'node:fs';\nlet q = ;")
    exporting = notebook.run("export const x = 1;")

    assert plain.error == "SyntaxError: Unexpected token ';'" and "let q = ;" in plain.traceback
    assert with_import.error and with_import.error.startswith("SyntaxError: Unexpected token") and "line 2" in with_import.traceback
    assert exporting.error and "%%file" in exporting.error


def test_a_cause_and_things_that_are_no_errors_are_shown(notebook: Notebook) -> None:
    caused = notebook.run("throw new Error('outer', { cause: new RangeError('inner') })")
    thrown = notebook.run("throw { code: 5 }")
    rejected = notebook.run("await Promise.reject(undefined)")

    assert "outer" in caused.traceback and "RangeError: inner" in caused.traceback
    assert thrown.error == "Uncaught: { code: 5 }"
    assert rejected.error == "Uncaught: undefined"


def test_an_unhandled_rejection_and_a_late_throw_are_told_and_harm_nothing(notebook: Notebook) -> None:
    ran = notebook.run(
        "let kept = 8; Promise.reject(new Error('nobody caught me')); setTimeout(() => { throw new Error('late') }, 1); await sleep(50); kept"
    )

    assert "Unhandled rejection" in ran.stderr and "nobody caught me" in ran.stderr
    assert "Uncaught exception" in ran.stderr and "late" in ran.stderr
    assert ran.result == "8"


def test_the_order_inside_of_a_stream_and_between_streams_and_displays_is_kept(notebook: Notebook) -> None:
    ran = notebook.run("console.log('a'); display.html('<b>b</b>'); console.error('c'); console.log('d'); display({ e: 1 })")

    kinds = [one.get("text") or one["data"].get("text/html") or one["data"]["text/plain"] for one in ran.outputs]
    assert kinds == ["a\n", "<b>b</b>", "c\n", "d\n", "{ e: 1 }"]


def test_two_kernels_in_one_folder_do_not_disturb_each_other(notebook: Notebook) -> None:
    other = Notebook(notebook.folder)
    try:
        notebook.run("let whose = 'first'")
        other.run("let whose = 'second'")

        assert (notebook.run("whose").result, other.run("whose").result) == ("'first'", "'second'")
    finally:
        other.close()


def test_history_knows_the_cells(notebook: Notebook) -> None:
    notebook.run("'remember me'")

    tail = notebook.ask("history", True, False, "tail")
    found = notebook.client.history(hist_access_type="search", pattern="*remember*", n=5)

    assert tail["history"][-1][2] == "'remember me'"
    assert found


def test_silent_cells_show_nothing(notebook: Notebook) -> None:
    notebook.client.execute("console.log('not shown'); 5", silent=True)
    notebook.client.get_shell_msg(timeout=60)

    assert notebook.run("'after'").stdout == ""


def test_a_folder_without_rights_to_write_is_no_obstacle_to_javascript(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    opened = Notebook(tmp_path / "locked")
    try:
        assert opened.run("1 + 1").result == "2"
    finally:
        opened.close()
