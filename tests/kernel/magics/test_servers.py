"""%serve, %log and %stop: a server in the background, and nothing left of it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from course.kernel.magics.background import LOG_BYTES, Log
from tests.kernel.magics.cells import PlainCell, fails, run, run_with
from tests.kernel.magics.test_nodes import KERNEL, alive, soon_gone

HELLO = """%%file hello.mjs
import http from 'node:http';
http.createServer((request, response) => {
  console.log(request.method, request.url);
  response.end(process.env.GREETING ?? 'hello');
}).listen(process.env.PORT, () => console.log('listening'));
"""


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def until_logged(cell: PlainCell, text: str, name: str = "server") -> None:
    """Output takes its time from the server to the kernel."""
    deadline = time.monotonic() + 10
    while text not in "\n".join(cell.session.servers[name].log.tail(1000)):
        assert time.monotonic() < deadline, f"{text!r} was never logged"
        time.sleep(0.01)


def until_ended(cell: PlainCell, name: str) -> None:
    deadline = time.monotonic() + 10
    while cell.session.servers[name].ending is None:
        assert time.monotonic() < deadline, f"{name} still runs"
        time.sleep(0.01)


# ---- a life


def test_a_server_starts_answers_logs_and_stops(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs")
    server = cell.variables["server"]
    assert get(server["url"]) == "hello"
    assert f"hello.mjs listens on {server['url']} (variable `server`, process {server['pid']})." in cell.out
    until_logged(cell, "GET /")
    cell.forget()

    run(cell, "%log", "%log", "%stop", "%log")

    assert "listening\nGET /\nserver has written nothing since the last look.\n" in cell.out
    assert re.search(r"server ended by SIGTERM after \d+ ms\.", cell.out)
    assert cell.out.endswith("server was ended by SIGTERM.\n")
    assert not alive(server["pid"])


def test_names_environment_port_and_flags_are_passed_on(cell: PlainCell) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (cell.cwd / "flags.mjs").write_text(
        "import http from 'node:http'; http.createServer((q, s) => s.end([process.env.A, process.execArgv].join())).listen(process.env.PORT);"
    )

    run(cell, f"%serve flags.mjs --as mine --port {port} --env A=1 -- --no-warnings")

    assert cell.variables["mine"]["port"] == port
    assert get(cell.variables["mine"]["url"]) == "1,--no-warnings"


def test_host_is_left_alone(cell: PlainCell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST", raising=False)
    (cell.cwd / "h.mjs").write_text(
        "import http from 'node:http'; http.createServer((q, s) => s.end(String(process.env.HOST))).listen(process.env.PORT);"
    )

    run(cell, "%serve h.mjs")

    assert get(cell.variables["server"]["url"]) == "undefined"


def test_the_same_name_again_stops_the_old_one_and_another_name_does_not(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs --as a")
    first = cell.variables["a"]["pid"]
    run(cell, "%serve hello.mjs --as b")
    second = cell.variables["b"]["pid"]

    run(cell, "%serve hello.mjs --as b")

    assert alive(first)
    assert not alive(second)
    assert sorted(cell.session.servers) == ["a", "b"]


def test_a_server_on_ipv6_only_is_found(cell: PlainCell) -> None:
    (cell.cwd / "six.mjs").write_text(
        "import http from 'node:http'; http.createServer((q, s) => s.end('six')).listen(process.env.PORT, '::1');"
    )

    run(cell, "%serve six.mjs")

    assert cell.variables["server"]["url"].startswith("http://[::1]:")
    assert get(cell.variables["server"]["url"]) == "six"


def test_the_list_tells_what_runs_and_what_has_ended(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs --as one")
    (cell.cwd / "brief.mjs").write_text((cell.cwd / "hello.mjs").read_text() + "setTimeout(() => { throw new RangeError('enough') }, 400);")
    run(cell, "%serve brief.mjs --as two")
    until_ended(cell, "two")
    until_logged(cell, "RangeError", "two")
    cell.forget()

    run(cell, "%serve")

    lines = sorted(cell.out.splitlines())
    assert f"{cell.variables['one']['url']}  hello.mjs  process {cell.variables['one']['pid']}, runs for 0 min" in lines[0]
    assert lines[1].endswith("exited with code 1, saying: RangeError: enough")


def test_a_server_that_ignores_the_polite_sign_is_killed(cell: PlainCell) -> None:
    (cell.cwd / "deaf.mjs").write_text(
        "import http from 'node:http'; process.on('SIGTERM', () => console.log('no')); http.createServer().listen(process.env.PORT);"
    )
    run(cell, "%serve deaf.mjs")

    run(cell, "%stop server")

    assert "did not end within 2 s of SIGTERM and was killed." in cell.out
    assert not alive(cell.variables["server"]["pid"])


def test_a_server_that_closes_on_the_polite_sign_is_told_so(cell: PlainCell) -> None:
    (cell.cwd / "polite.mjs").write_text(
        "import http from 'node:http'; const s = http.createServer(); process.on('SIGTERM', () => { console.log('bye'); s.close() }); s.listen(process.env.PORT);"
    )

    run(cell, "%serve polite.mjs", "%stop", "%log")

    assert re.search(r"server ended by itself \d+ ms after SIGTERM, with exit code 0\.", cell.out)
    assert "bye\n" in cell.out


# ---- what goes wrong


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("throw new TypeError('bad thing');", "x.mjs exited with code 1 before it listened: TypeError: bad thing"),
        ("let q = ;", "x.mjs exited with code 1 before it listened: SyntaxError: Unexpected token ';'"),
        ("import 'express-that-is-not-here';", "x.mjs exited with code 1 before it listened: Error [ERR_MODULE_NOT_FOUND]"),
        ("console.log('done');", "x.mjs ended by itself, without an error, before it listened. Does it call listen()?"),
        ("process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 9);", "x.mjs was ended by SIGKILL before it listened."),
        ("require = 0", "x.mjs exited with code 1 before it listened: ReferenceError: require is not defined"),
        ("process.exit(4);", "x.mjs exited with code 4 before it listened."),
    ],
)
def test_a_server_that_does_not_start_is_explained(cell: PlainCell, program: str, sentence: str) -> None:
    (cell.cwd / "x.mjs").write_text(program)

    error = fails(cell, "%serve x.mjs")

    assert error.name == "ServerError"
    assert error.value.startswith(sentence)
    assert cell.session.servers == {}
    assert cell.variables == {}


def test_a_server_that_listens_elsewhere_is_told_where_and_ended(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text(
        "import http from 'node:http'; const s = http.createServer().listen(0, '127.0.0.1', () => console.log('on', s.address().port, process.pid));"
    )

    error = fails(cell, "%serve x.mjs")

    assert re.fullmatch(r"x\.mjs did not open port \d+, which PORT names\. It listens on \d+: use process\.env\.PORT\.", error.value)
    words = next(line for line in error.lines if line.startswith("on ")).split()
    assert f"It listens on {words[1]}:" in error.value
    assert soon_gone(int(words[2]))


def test_running_out_of_memory_is_told_in_words(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text("const all = []; for (;;) all.push(new Array(1000).fill(1.5));")

    assert fails(cell, "%serve x.mjs -- --max-old-space-size=30").value == "x.mjs ran out of memory and was ended by V8 before it listened."


def test_its_last_words_are_shown(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text("console.log('reading the settings'); process.exit(1);")

    error = fails(cell, "%serve x.mjs")

    assert error.lines[-1] == "reading the settings"


def test_waiting_for_a_server_can_be_interrupted(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text("console.log(process.pid); setInterval(() => {}, 1000);")

    async def press_stop() -> None:
        await asyncio.sleep(0.3)
        cell.interrupted.set()

    with pytest.raises(Exception, match="Interrupted"):
        run_with(cell, "%serve x.mjs", press_stop)

    assert cell.session.servers == {}


def test_a_taken_port_is_told_before_anything_starts(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs")
    (cell.cwd / "other.mjs").write_text("1")

    error = fails(cell, f"%serve other.mjs --as other --port {cell.variables['server']['port']}")

    assert f"Another program listens on port {cell.variables['server']['port']} already." in error.value


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("%serve helo.mjs", "There is no file helo.mjs. Did you mean hello.mjs?"),
        ("%serve nothing-like-it.txt", "There is no file nothing-like-it.txt. Write it first, with %%file."),
        ("%serve folder", "folder is a folder. Name the file of the server, such as folder/server.mjs."),
        ("%serve --port 3000", "%serve needs the file of a server, such as %serve server.mjs."),
        ("%log", "There is no server yet. Start one with %serve server.mjs."),
        ("%stop nobody", "There is no server nobody. Start one with %serve server.mjs."),
        ("%serve hello.mjs --port 70000", "--port takes a number from 1 to 65535, not 70000."),
    ],
)
def test_a_mistake_is_told(cell: PlainCell, code: str, sentence: str) -> None:
    run(cell, HELLO)
    (cell.cwd / "folder").mkdir()

    assert fails(cell, code).value == sentence


def test_which_server_is_asked_when_there_are_several(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs --as one")
    (cell.cwd / "other.mjs").write_text((cell.cwd / "hello.mjs").read_text())
    run(cell, "%serve other.mjs --as two")

    assert fails(cell, "%log").value == "Which server? There are one, two."
    assert fails(cell, "%log on").value == "There is no server on. Did you mean one?"
    run(cell, "%stop one", "%log two")


def test_stopping_twice_is_no_mistake(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs", "%stop", "%stop", "%stop server")

    assert "No server is running." in cell.out
    assert "server does not run: it was ended by SIGTERM." in cell.out


def test_a_fresh_process_still_knows_the_servers_that_run(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs --as kept")
    known = cell.variables.pop("kept")

    run(cell, "%reset")

    assert cell.variables == {"kept": known}
    assert "all variables are gone, except those of the servers: kept." in cell.out


# ---- nothing is left


def test_servers_end_with_the_session(cell: PlainCell) -> None:
    run(cell, HELLO, "%serve hello.mjs --as one")

    asyncio.run(cell.session.close())

    assert not alive(cell.variables["one"]["pid"])


def test_servers_and_their_children_end_when_the_kernel_is_killed(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text(
        "import http from 'node:http'; import { spawn } from 'node:child_process'; import fs from 'node:fs';"
        "fs.writeFileSync('pids', `${process.pid} ${spawn('sleep', ['60']).pid}`); http.createServer().listen(process.env.PORT);"
    )
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL + "print('ready', flush=True); sys.stdin.read()", cell.cwd, "%serve x.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    while "ready" not in kernel.stdout.readline():
        pass
    pids = [int(pid) for pid in (cell.cwd / "pids").read_text().split()]
    assert all(map(alive, pids))

    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.wait()

    assert all(map(soon_gone, pids))
    kernel.stdin.close()
    kernel.stdout.close()


# ---- the log


def test_a_log_keeps_its_last_megabyte_and_says_what_is_lost() -> None:
    log = Log()
    line = b"x" * 99 + b"\n"
    for _ in range(50_000):
        log.add(line)

    text, lost = log.unread()

    assert len(text) == LOG_BYTES
    assert lost == 50_000 * 100 - LOG_BYTES
    assert log.unread() == ("", 0)


def test_a_server_that_writes_without_end_neither_fills_memory_nor_stops(cell: PlainCell) -> None:
    (cell.cwd / "x.mjs").write_text(
        "import http from 'node:http'; http.createServer((q, s) => { for (let i = 0; i < 40000; i++) console.log('x'.repeat(99)); s.end('written') }).listen(process.env.PORT);"
    )
    run(cell, "%serve x.mjs")

    assert get(cell.variables["server"]["url"]) == "written"
    until_logged(cell, "xxx")
    run(cell, "%log --lines 2")

    assert cell.out.count("x" * 99 + "\n") == 2
    assert "are not shown" in cell.out
