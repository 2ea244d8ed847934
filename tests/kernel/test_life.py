"""Ends of a cell that are no ends of the kernel: interrupts, exits, crashes, floods of output."""

import os
import signal

import pytest

from tests.kernel.conftest import Notebook, gone

BUSY = {
    "a loop": "console.log('go'); while (true) {}",
    "microtasks without end": "console.log('go'); for (;;) await null",
    "a regular expression": "console.log('go'); /^(a+)+$/.test('a'.repeat(60) + 'b')",
    "Atomics.wait": "console.log('go'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "a catch-all": "console.log('go'); for (;;) { try { JSON.parse('{') } catch {} }",
}


@pytest.mark.parametrize("what", BUSY)
def test_running_javascript_is_interrupted_with_its_state_kept(notebook: Notebook, what: str) -> None:
    notebook.run("let precious = 42")

    ran = notebook.run(BUSY[what], interrupt_after="go")

    assert ran.error and "All variables are as it left them" in ran.error
    assert notebook.run("precious").result == "42"


def test_a_waiting_cell_is_interrupted_with_its_state_kept(notebook: Notebook) -> None:
    notebook.run("let treasure = 43")

    ran = notebook.run("console.log('go'); await new Promise(() => {})", interrupt_after="go")

    assert ran.error and "was waiting" in ran.error
    assert notebook.run("treasure").result == "43"


def test_a_process_that_is_stuck_outside_of_javascript_is_ended_and_replaced(notebook: Notebook) -> None:
    ran = notebook.run("console.log('go'); require('node:child_process').execSync('sleep 600')", interrupt_after="go")

    assert ran.error and "stuck outside of JavaScript" in ran.error
    assert notebook.run("1 + 1").result == "2"


def test_an_interrupt_without_a_running_cell_harms_nothing(notebook: Notebook) -> None:
    notebook.run("let still = 'here'")
    control = notebook.manager._control_socket  # whose answer says that the interrupt came before the next cell
    assert control is not None
    while control.poll(0):
        control.recv_multipart()  # answers to earlier tests' interrupts
    notebook.manager.interrupt_kernel()
    assert control.poll(30_000)

    assert notebook.run("still").result == "'here'"


def test_exit_is_told_with_its_code_and_the_next_cell_works(notebook: Notebook) -> None:
    notebook.run("let lost = 1")

    ran = notebook.run("console.log('bye'); process.exit(3)")

    assert ran.stdout == "bye\n"
    assert ran.error == "NodeEnded: Node ended with exit code 3. Its variables are lost; the next cell gets a fresh process."
    assert notebook.run("typeof lost").result == "'undefined'"


def test_an_exit_between_cells_is_told_below_the_cell_that_caused_it(notebook: Notebook) -> None:
    notebook.run("setTimeout(() => process.exit(4), 10); 'set'")

    message = notebook.late("exit code 4")

    assert message["content"]["name"] == "stderr"
    assert notebook.run("'well'").result == "'well'"


def test_a_signal_is_told(notebook: Notebook) -> None:
    ran = notebook.run("process.kill(process.pid, 'SIGKILL'); await sleep(60_000)")

    assert ran.error and "SIGKILL" in ran.error


def test_out_of_memory_is_told_in_words_and_the_next_cell_works(notebook: Notebook) -> None:
    ran = notebook.run("const hoard = []; for (;;) hoard.push(new Array(4e6).fill(1.5))")

    assert ran.error and "ran out of memory" in ran.error
    assert "GC" not in ran.stderr
    assert notebook.run("'well'").result == "'well'"


def test_two_hundred_thousand_lines_are_cut_with_a_sentence(notebook: Notebook) -> None:
    ran = notebook.run("for (let i = 0; i < 200_000; i++) console.log('line ' + i)")

    lines = ran.stdout.splitlines()
    assert lines[:2] == ["line 0", "line 1"] and lines[1999] == "line 1999"
    assert len(lines) == 2001 and "198,000 more lines" in lines[-1]
    assert len(ran.outputs) < 200  # few messages, not one a line


def test_one_endless_line_is_cut_too(notebook: Notebook) -> None:
    ran = notebook.run("for (let i = 0; i < 50; i++) process.stdout.write('x'.repeat(1_000_000))")

    assert len(ran.stdout) < 300_000 and "47.4 MB" in ran.stdout


def test_the_output_of_child_processes_is_cut_as_well(notebook: Notebook) -> None:
    ran = notebook.run("require('node:child_process').execSync('yes | head -n 100000', { stdio: 'inherit' }); 'done'")

    assert ran.stdout.count("y\n") == 2000 and "truncated" in ran.stdout
    assert ran.result == "'done'"


def test_an_output_of_fifty_megabytes_is_named_and_not_sent(notebook: Notebook) -> None:
    ran = notebook.run("display.html('x'.repeat(50e6))")

    assert "48 MB is not shown" in ran.displays[0]["text/plain"]


def test_binary_output_is_made_readable(notebook: Notebook) -> None:
    ran = notebook.run("process.stdout.write(Buffer.from([0x41, 0, 7, 0xff, 0xfe, 0x1b, 0x5b, 0x32, 0x4a, 0x42, 10])); '\\ud800'")

    assert ran.stdout == "A����B\n"
    assert ran.error is None


def test_a_character_in_two_writes_comes_whole(notebook: Notebook) -> None:
    ran = notebook.run("const [a, b] = Buffer.from('é'); process.stdout.write(Buffer.from([a])); process.stdout.write(Buffer.from([b]))")

    assert ran.stdout == "é"


def test_late_output_lands_below_its_own_cell(notebook: Notebook) -> None:
    first = notebook.client.execute("setTimeout(() => console.log('from the first'), 300); 'started'")
    notebook.client.get_shell_msg(timeout=60)
    notebook.run("'another cell'")

    message = notebook.late("from the first")

    assert message["parent_header"]["msg_id"] == first


def test_a_person_is_asked_and_can_be_interrupted(notebook: Notebook) -> None:
    asked = notebook.run("const name = await input('Name? '); `hello ${name}`", answers=("Ada",))
    alone = notebook.run("await input('Name? ')")

    assert asked.result == "'hello Ada'"
    assert alone.error and "without a person" in alone.error


def test_nothing_outlives_the_kernel_even_when_it_is_killed(notebook: Notebook) -> None:
    other = Notebook(notebook.folder)
    busy = int(other.run("process.pid").result or 0)
    kernel = int(other.run("process.ppid").result or 0)
    other.client.execute("console.log('go'); while (true) {}")
    other.late("go")

    os.kill(kernel, signal.SIGKILL)

    assert gone(busy)
    other.close()
