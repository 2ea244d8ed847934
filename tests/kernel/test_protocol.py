"""jupyter_kernel_test: the checks that Jupyter's makers have for any kernel. And displays, which are ours."""

import jupyter_kernel_test as jkt

from tests.kernel.conftest import Notebook


class NodeKernelTests(jkt.KernelTests):  # type: ignore[misc]
    kernel_name = "looplab-node"
    language_name = "javascript"
    file_extension = ".js"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    code_generate_error = "throw new Error('bad')"
    code_execute_result = ({"code": "6 * 7", "result": "42"},)
    code_display_data = (
        {"code": "display.html('<b>x</b>')", "mime": "text/html"},
        {"code": "display.svg('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "mime": "image/svg+xml"},
        {"code": "display.markdown('*x*')", "mime": "text/markdown"},
        {"code": "display.json({ a: 1 })", "mime": "application/json"},
        {"code": "plot({ data: [{ a: 1 }], mark: 'point', encoding: { x: { field: 'a' } } })", "mime": "image/svg+xml"},
    )
    completion_samples = ({"text": "process.std", "matches": {"stdin", "stdout", "stderr"}}, {"text": "conso", "matches": {"console"}})
    complete_code_samples = ("1", "console.log('x')", "function f() {\n}\n")
    incomplete_code_samples = ("function f() {", "foo(", "`x")
    invalid_code_samples = ("let q = ;", "foo)")
    code_inspect_sample = "parseInt"
    code_history_pattern = "6*7"
    supported_history_operations = ("tail", "range", "search")
    test_pager = None  # neither a pager nor clearing an output belongs to this kernel
    test_clear_output = None


def test_a_table_shows_chosen_columns_and_aligns_numbers(notebook: Notebook) -> None:
    ran = notebook.run(
        "display.table([{ what: 'a<b', n: 1234567, x: 0.123456 }, { what: 'c', n: 2 }], { columns: ['what', 'n'], title: 'T' })"
    )

    assert ran.displays[0]["text/plain"] == "T\nwhat          n\na<b   1,234,567\nc             2"
    assert "a&lt;b" in ran.displays[0]["text/html"] and "0.12" not in ran.displays[0]["text/html"]


def test_a_claim_says_whether_it_held_and_never_throws(notebook: Notebook) -> None:
    ran = notebook.run(
        "claim('Water is wet', 12.5, { above: 10, unit: 'ms' }); claim('Fire is cold', 900, { below: 100 }); claim('Same', [1], { is: [1] })"
    )

    assert [one["looplab"]["held"] for one in ran.metadata] == [True, False, True]
    assert ran.displays[0]["text/plain"] == "✓ Water is wet (measured 12.5 ms, claimed above 10 ms)"
    assert "came out otherwise" in ran.displays[1]["text/plain"]


def test_a_claim_without_a_bound_is_a_mistake(notebook: Notebook) -> None:
    assert notebook.run("claim('x', 1)").error == "TypeError: claim needs a bound: { above }, { below } or { is }"


def test_a_plot_is_vega_lite_and_the_same_chart_as_svg(notebook: Notebook) -> None:
    ran = notebook.run(
        "plot({ title: 'Lag', layer: [{ data: [{ a: 1, b: 2 }], mark: 'bar', encoding: { x: { field: 'a' }, y: { field: 'b', type: 'quantitative' } } }] })"
    )

    (shown,) = ran.displays
    assert shown["image/svg+xml"].startswith("<svg") and "Lag" in shown["image/svg+xml"]
    assert shown["application/vnd.vegalite.v5+json"]["layer"][0]["data"] == {"values": [{"a": 1, "b": 2}]}
    assert shown["text/plain"] == "[Plot: Lag]"


def test_a_chart_that_cannot_be_drawn_is_explained(notebook: Notebook) -> None:
    ran = notebook.run("plot({ mark: 'no-such-mark', data: [] })")

    assert "cannot be drawn" in ran.stderr and "cdn" not in ran.stderr


def test_a_chart_without_data_is_not_drawn_empty(notebook: Notebook) -> None:
    ran = notebook.run("plot({ mark: 'bar', encoding: {} })")

    assert "This chart has no data" in ran.stderr and not ran.displays


def test_a_widget_channel_is_refused_by_closing_it(notebook: Notebook) -> None:
    client = notebook.client
    client.shell_channel.send(client.session.msg("comm_open", {"comm_id": "c1", "target_name": "jupyter.widget", "data": {}}))

    message = client.get_iopub_msg(timeout=60)
    while message["msg_type"] != "comm_close":
        message = client.get_iopub_msg(timeout=60)

    assert message["content"]["comm_id"] == "c1"
    assert notebook.run("'still here'").result == "'still here'"
