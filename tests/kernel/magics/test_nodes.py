"""%%node: a program of its own, in the faithful order, within limits, and gone afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.kernel import magics
from tests.kernel.magics.cells import PlainCell, fails, run, run_with

ORDER = """
process.nextTick(() => console.log('nextTick'));
Promise.resolve().then(() => console.log('promise'));
setTimeout(() => console.log('timeout'));
console.log('sync');
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def soon_gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def left_in(cell: PlainCell) -> list[str]:
    return [path.name for path in cell.cwd.iterdir() if path.name.startswith(".")]


# ---- what it does


def test_the_order_is_that_of_a_main_script(cell: PlainCell) -> None:
    run(cell, f"%%node --as esm\n{ORDER}", f"%%node --cjs --as cjs\n{ORDER}")

    assert cell.variables["esm"]["stdout"].split() == ["sync", "promise", "nextTick", "timeout"]
    assert cell.variables["cjs"]["stdout"].split() == ["sync", "nextTick", "promise", "timeout"]


def test_imports_and_await_work_and_start_at_the_notebooks_folder(cell: PlainCell) -> None:
    (cell.cwd / "shapes.mjs").write_text("export const sides = 3;")
    (cell.cwd / "node_modules" / "tiny").mkdir(parents=True)
    (cell.cwd / "node_modules" / "tiny" / "index.js").write_text("module.exports = 'tiny';")

    run(
        cell,
        "%%node\nimport { sides } from './shapes.mjs';\nimport tiny from 'tiny';\nconsole.log(await sides, tiny, process.argv.length);",
    )

    assert cell.out == "3 tiny 2\n"


def test_the_result_says_how_it_went(cell: PlainCell) -> None:
    run(
        cell,
        "%%node --as r --env MODE=test -- --no-warnings\nconsole.log(process.env.MODE, process.execArgv[0]); console.error('e'); process.exitCode = 3;",
    )

    told = cell.variables["r"]
    assert (told["stdout"], told["stderr"], told["code"], told["signal"]) == ("test --no-warnings\n", "e\n", 3, None)
    assert 0 < told["ms"] < 30_000
    assert "The program exited with code 3." in cell.out
    assert cell.err == "e\n"


def test_memory_is_that_of_the_program_and_not_of_who_started_it(cell: PlainCell) -> None:
    ballast = bytearray(b"x" * 400 * 1024 * 1024)

    run(cell, "%%node --as small\n0", "%%node --as large\nconst kept = Buffer.alloc(300e6, 1); console.log(kept.length);")

    assert 20 < cell.variables["small"]["maxRssMb"] < 200 < 290 < cell.variables["large"]["maxRssMb"] < 500
    assert len(ballast) > 0


def test_output_comes_as_it_is_written(cell: PlainCell) -> None:
    seen: list[str] = []

    async def watch() -> None:
        while "first" not in cell.out:
            await asyncio.sleep(0.01)
        seen.append(cell.out)
        (cell.cwd / "go").touch()

    run_with(cell, "%%node\nimport fs from 'node:fs';\nconsole.log('first');\nwhile (!fs.existsSync('go'));\nconsole.log('second');", watch)

    assert seen == ["first\n"]
    assert cell.out == "first\nsecond\n"


def test_a_character_in_two_writes_comes_whole(cell: PlainCell) -> None:
    run(
        cell,
        "%%node\nconst bytes = Buffer.from('é');\nprocess.stdout.write(bytes.subarray(0, 1));\nsetTimeout(() => process.stdout.write(bytes.subarray(1)), 30);",
    )

    assert cell.out == "é"


def test_much_output_is_handed_on_and_its_beginning_is_kept(cell: PlainCell) -> None:
    run(cell, "%%node --as r\nfor (let i = 0; i < 300000; i++) console.log('line ' + i);")

    assert len(cell.variables["r"]["stdout"]) == 1024 * 1024
    assert "line 299999" in cell.out
    assert "the first 1 MB are kept" in cell.out


# ---- errors


def test_an_exit_code_is_an_error_of_the_cell(cell: PlainCell) -> None:
    error = fails(cell, "%%node\nprocess.exit(7)")

    assert (error.name, error.value) == ("ProgramError", "The program exited with code 7.")


def test_a_stack_trace_names_the_cell_and_its_lines(cell: PlainCell) -> None:
    fails(cell, "%%node\n// the cell's second line\nfunction f() {\n  throw new Error('here');\n}\nf();")

    assert "cell.mjs:4" in cell.err
    assert "at f (cell.mjs:4:9)" in cell.err
    assert "at cell.mjs:6:1" in cell.err
    assert ".looplab" not in cell.err
    assert str(cell.cwd) not in cell.err


def test_a_stack_trace_names_other_files_shortly(cell: PlainCell) -> None:
    (cell.cwd / "broken.mjs").write_text("export function f() {\n  return nothing.there;\n}\n")

    fails(cell, "%%node\nimport { f } from './broken.mjs';\nf();")

    assert "at f (broken.mjs:2:3)" in cell.err


def test_a_signal_and_running_out_of_memory_are_told_in_words(cell: PlainCell) -> None:
    killed = fails(cell, "%%node\nprocess.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000);")
    full = fails(cell, "%%node -- --max-old-space-size=30\nconst all = []; for (;;) all.push(new Array(1000).fill(1.5));")

    assert killed.value == "The program was ended by SIGKILL."
    assert (full.name, full.value) == ("OutOfMemory", "The program ran out of memory and was ended by V8.")


def test_a_flag_that_node_does_not_know_is_node_s_word(cell: PlainCell) -> None:
    error = fails(cell, "%%node -- --no-such-flag\n1")

    assert error.value == "The program exited with code 9."
    assert "bad option: --no-such-flag" in cell.err


def test_a_folder_that_cannot_be_written_is_named(cell: PlainCell) -> None:
    cell.cwd = cell.cwd / "not-there"

    error = fails(cell, "%%node\n1")

    assert error.name == "FileError"
    assert str(cell.cwd) in error.value


# ---- limits


def test_a_program_that_does_not_end_is_ended(cell: PlainCell) -> None:
    error = fails(cell, "%%node --seconds 0.5\nconsole.log(process.pid); while (true);")

    assert error.name == "TimeLimit"
    assert "still ran after 0.5 s" in error.value
    assert not alive(int(cell.out))


def test_with_a_name_even_that_is_something_to_look_at(cell: PlainCell) -> None:
    run(cell, "%%node --seconds 0.5 --as r\nconsole.log('on'); setInterval(() => {}, 1000);")

    assert (cell.variables["r"]["code"], cell.variables["r"]["signal"], cell.variables["r"]["stdout"]) == (None, "SIGKILL", "on\n")
    assert "still ran after 0.5 s" in cell.out


def test_stop_ends_the_program_with_its_children(cell: PlainCell) -> None:
    async def press_stop() -> None:
        while cell.out.count("\n") < 2:
            await asyncio.sleep(0.01)
        cell.interrupted.set()

    began = time.monotonic()
    code = "%%node\nimport { spawn } from 'node:child_process';\nconsole.log(process.pid);\nconsole.log(spawn('sleep', ['60']).pid);\nwhile (true);"
    with pytest.raises(Exception, match="Interrupted"):
        run_with(cell, code, press_stop)

    assert time.monotonic() - began < 10
    assert all(soon_gone(int(pid)) for pid in cell.out.split())


def test_what_a_program_leaves_behind_is_ended(cell: PlainCell) -> None:
    run(
        cell,
        "%%node\nimport { spawn } from 'node:child_process';\nconst child = spawn('sleep', ['60'], { stdio: 'inherit' });\nchild.unref();\nconsole.log(child.pid);",
    )

    assert soon_gone(int(cell.out))


def test_no_file_is_left_however_it_ended(cell: PlainCell) -> None:
    run(cell, "%%node\n1")
    fails(cell, "%%node\nprocess.exit(1)")
    fails(cell, "%%node --seconds 0.3\nwhile (true);")

    assert left_in(cell) == []


def test_what_a_killed_kernel_has_left_is_swept(cell: PlainCell) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (cell.cwd / f".looplab-cell-{ended.pid}-1.mjs").touch()
    (cell.cwd / f".looplab-cell-{os.getppid()}-1.mjs").touch()

    run(cell, "%%node\n1")

    assert left_in(cell) == [f".looplab-cell-{os.getppid()}-1.mjs"]


KERNEL = """
import sys
from pathlib import Path
from tests.kernel.magics.cells import PlainCell, run
cell = PlainCell(Path(sys.argv[1]))
cell.write = lambda text, stream="stdout": print(text, end="", flush=True)
run(cell, sys.argv[2])
"""


def test_a_program_ends_when_the_kernel_is_killed(cell: PlainCell) -> None:
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, cell.cwd, "%%node\nconsole.log(process.pid); while (true);"], stdout=subprocess.PIPE, text=True
    )
    assert kernel.stdout is not None
    pid = int(kernel.stdout.readline())

    kernel.send_signal(signal.SIGKILL)
    kernel.wait()

    assert soon_gone(pid)
    kernel.stdout.close()


# ---- predictions


def test_a_prediction_is_shown_beside_what_came(cell: PlainCell) -> None:
    run(cell, "%%predict order\nsync\n  timeout \npromise", "%%node --predict order\nconsole.log('sync\\npromise\\ntimeout');")

    lines = cell.plain.splitlines()
    assert [line.split() for line in lines[1:4]] == [["=", "sync", "sync"], ["≠", "timeout", "promise"], ["≠", "promise", "timeout"]]
    assert lines[-1] == "1 of 3 lines came as predicted."
    assert cell.shown[-1][1] == {"looplab": {"prediction": "order", "same": 1, "lines": 3}}


def test_lines_are_matched_when_their_number_differs(cell: PlainCell) -> None:
    run(cell, "%%predict p\na\nb\nc", "%%node --predict p\nconsole.log('a\\nc');")

    assert [line.split()[0] for line in cell.plain.splitlines()[1:4]] == ["=", "≠", "="]


def test_a_right_prediction_is_told(cell: PlainCell) -> None:
    run(
        cell,
        "%%predict one\n42",
        "%%node --predict one\nconsole.log(42);",
        "%%predict two\na\nb",
        "%%node --predict two\nconsole.log('a\\nb');",
    )

    assert "It came as predicted." in cell.plain
    assert "All 2 lines came as predicted." in cell.plain


def test_no_prediction_is_no_mistake(cell: PlainCell) -> None:
    run(cell, "%%predict order\n…", "%%node --predict order\nconsole.log('sync');")

    assert "sync\n" in cell.out
    assert "no prediction “order” yet" in cell.plain
    assert [metadata for _, metadata in cell.shown] == [{"looplab": {"reminder": "order"}}] * 2


def test_a_comparison_without_a_prediction_still_shows_what_came(cell: PlainCell) -> None:
    magics.show_comparison(cell, "sum", "42")

    assert cell.out == "42\n"
    assert "no prediction “sum” yet" in cell.plain


def test_a_hostile_prediction_is_only_text(cell: PlainCell) -> None:
    run(cell, "%%predict x\n</div><script>alert(1)</script>\x1b[2J", "%%node --predict x\nconsole.log('<img src=x onerror=alert(1)>');")

    assert "<script" not in cell.html
    assert "<img" not in cell.html
    assert "\x1b" not in cell.html + cell.plain
