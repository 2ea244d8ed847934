"""One list of behaviours that every sandbox must show, and the walls that only the container has."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.errors import SandboxFault, SettingsError
from grader.exercise import Limits
from grader.sandbox import Box, Sandbox
from grader.sandbox.docker import LABEL, LEARNER_UIDS, SUPERVISOR_THREADS, DockerSandbox, Engine, sweep
from grader.sandbox.image import image_tag
from grader.sandbox.local import LocalSandbox
from grader.sandbox.workplace import Workplace
from grader.settings import read_settings
from grader.submission import Submission, submission_of

Opened = Callable[[str], contextlib.AbstractContextManager[Box]]
SETTINGS = read_settings()


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker), pytest.param("used docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Workplace(SETTINGS.run_dir) as workplace:
        if request.param == "local":
            yield LocalSandbox(SETTINGS.node, SETTINGS.packages, workplace, i_trust_this_code=True)
        else:
            uses = 16 if request.param == "used docker" else 1
            with DockerSandbox(Engine(), image_tag(SETTINGS), workplace, uses=uses) as docker:
                if uses > 1:
                    with docker.open(submission({"server.mjs": MESSY.encode()}), Limits(), ()) as box:
                        box.link.start(4000, "server.mjs", {})
                        assert box.link.ready(10, 10).reachable
                yield docker
                assert not docker.ended, "every container could be used again"


@contextlib.contextmanager
def opened(sandbox: Sandbox, source: str, limits: Limits | None = None, **more: bytes) -> Iterator[tuple[Box, int]]:
    files = {"server.mjs": source.encode(), **{name.replace("__", "."): data for name, data in more.items()}}
    with sandbox.open(submission(files), limits or Limits(), ("express",)) as box:
        yield box, box.port or free_port()


def submission(files: dict[str, bytes]) -> Submission:
    return submission_of(files, ("server.mjs",))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(box: Box, path: str = "/") -> bytes:
    connection, _ = box.link.connect(5)
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


MESSY = """import fs from 'node:fs'; import http from 'node:http'; import net from 'node:net'; import { spawn } from 'node:child_process';
for (const place of ['/tmp', '/dev/shm']) { fs.mkdirSync(place + '/a/b', { recursive: true }); fs.writeFileSync(place + '/a/b/c', 'x'.repeat(1e5)); fs.symlinkSync('/proc', place + '/link'); }
for (const path of ['\\0mine', '/tmp/mine.sock']) net.createServer().listen(path);
net.createServer().listen(0, '::1');
spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
http.createServer((q, r) => r.end('hello')).listen(process.env.PORT, '127.0.0.1');"""
HELLO = "import http from 'node:http'; http.createServer((q, r) => r.end('hello ' + process.env.WHO)).listen(process.env.PORT);"


# ---- what every sandbox does


def test_a_server_is_started_asked_and_stopped(sandbox: Sandbox) -> None:
    with opened(sandbox, HELLO) as (box, port):
        box.link.start(port, "server.mjs", {"WHO": "ada"})
        status = box.link.ready(10, 10)
        assert status.reachable
        assert port in status.listening_on
        assert b"hello ada" in ask(box)
        final, stats = box.link.stop()
        assert final.state == "running"  # as it was just before
        assert stats.processes >= 1
        assert stats.rss_bytes > 10_000_000
        assert box.link.status().signal == "SIGKILL"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_any_loopback_address_will_do(sandbox: Sandbox, address: str) -> None:
    with opened(sandbox, HELLO.replace("process.env.PORT)", f"process.env.PORT, '{address}')")) as (box, port):
        box.link.start(port, "server.mjs", {})
        assert box.link.ready(10, 10).reachable
        assert b"hello" in ask(box)


def test_the_exit_code_and_the_last_output_are_reported(sandbox: Sandbox) -> None:
    with opened(sandbox, "console.log('so long'); process.exit(7);") as (box, port):
        box.link.start(port, "server.mjs", {})
        status = box.link.ready(10, 10)
        assert (status.state, status.code, status.signal) == ("exited", 7, None)
        assert "so long" in status.output


def test_a_server_on_another_port_is_found(sandbox: Sandbox) -> None:
    other = free_port()
    with opened(sandbox, HELLO.replace("process.env.PORT", str(other))) as (box, port):
        box.link.start(port, "server.mjs", {})
        status = box.link.ready(10, 0.2)
        assert not status.reachable
        assert status.listening_on == (other,)


def test_a_server_that_never_listens_is_given_up(sandbox: Sandbox) -> None:
    with opened(sandbox, "setInterval(() => {}, 1000)") as (box, port):
        box.link.start(port, "server.mjs", {})
        status = box.link.ready(0.5, 0.5)
        assert (status.state, status.reachable, status.listening_on) == ("running", False, ())
        with pytest.raises(ConnectionRefusedError):
            box.link.connect(2)


def test_output_is_capped_at_both_ends_and_the_program_goes_on(sandbox: Sandbox) -> None:
    source = (
        "console.log('first'); for (let n = 0; n < 3000; n++) process.stdout.write('x'.repeat(1000)); console.log('last');"
        + HELLO.replace("import http from 'node:http';", "const http = await import('node:http');")
    )
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        assert box.link.ready(10, 10).reachable
        poll(lambda: box.link.status().output.rstrip().endswith("last"))
        status = box.link.status()
        assert status.output.startswith("first")
        assert status.output_truncated
        assert len(status.output) < 100_000


def test_stop_kills_children_of_a_session_of_their_own(sandbox: Sandbox) -> None:
    source = (
        "import { spawn } from 'node:child_process';"
        "spawn(process.execPath, ['-e', 'process.on(`SIGTERM`, () => {}); setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).unref();"
        + HELLO.replace("import http", "import http")
    )
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        assert box.link.stats().processes == 2
        box.link.stop()
        assert box.link.stats().processes == 0


def test_a_stopped_server_starts_again_with_another_environment(sandbox: Sandbox) -> None:
    with opened(sandbox, HELLO) as (box, port):
        for who in ("ada", "grace"):
            box.link.start(port, "server.mjs", {"WHO": who})
            assert box.link.ready(10, 10).reachable
            assert f"hello {who}".encode() in ask(box)
            box.link.stop()
        assert box.link.status().starts == 2


def test_signals_reach_the_program(sandbox: Sandbox) -> None:
    source = "process.on('SIGTERM', () => { console.log('bye'); process.exit(0); });" + HELLO
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        box.link.signal("SIGTERM")
        status = box.link.wait_exit(5)
        assert (status.state, status.code) == ("exited", 0)
        assert "bye" in status.output


def test_an_interrupted_question_does_not_spoil_the_next_one(sandbox: Sandbox) -> None:
    with opened(sandbox, HELLO) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        with pytest.raises(SandboxFault, match="wait_exit"):
            box.link.call("wait_exit", timeout=0.05, timeout_ms=300)
        assert box.link.state() == "running"


def test_half_closed_connections_still_get_their_answer(sandbox: Sandbox) -> None:
    source = "import net from 'node:net'; net.createServer({ allowHalfOpen: true }, (c) => { let n = 0; c.on('data', (d) => (n += d.length)); c.on('end', () => c.end(`${n}`)); }).listen(process.env.PORT);"
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        connection, _ = box.link.connect(5)
        with connection:
            connection.sendall(b"x" * 300_000)
            connection.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: connection.recv(100), b"")) == b"300000"


def test_a_reset_arrives_as_a_reset(sandbox: Sandbox) -> None:
    source = "import net from 'node:net'; net.createServer((c) => c.on('error', (e) => console.log(e.code))).listen(process.env.PORT);"
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        connection, number = box.link.connect(5)
        connection.sendall(b"hello")
        box.link.reset(number or 0)
        connection.close()
        poll(lambda: "ECONNRESET" in box.link.status().output)


def test_a_reader_that_stops_reading_stops_the_sender(sandbox: Sandbox) -> None:
    source = "import net from 'node:net'; net.createServer((c) => c.pause()).listen(process.env.PORT);"
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        connection, _ = box.link.connect(5)
        with connection:
            connection.settimeout(0.5)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 200_000_000:
                    sent += connection.send(b"x" * 65536)
            assert sent < 50_000_000


def test_the_program_reaches_a_socket_of_the_host_through_the_forwarder(sandbox: Sandbox) -> None:
    source = "import http from 'node:http'; http.createServer((q, r) => http.get(process.env.UPSTREAM_URL, (u) => u.pipe(r))).listen(process.env.PORT);"
    with opened(sandbox, source) as (box, port):
        path = box.link.folder / "upstream.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen()
            thread = threading.Thread(target=answer_once, args=(listener,))
            thread.start()
            forwarded = box.link.forward("upstream.sock")
            box.link.start(port, "server.mjs", {"UPSTREAM_URL": f"http://127.0.0.1:{forwarded}"})
            box.link.ready(10, 10)
            assert b"from upstream" in ask(box)
            thread.join(5)


def answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom upstream")


def test_the_bytes_of_a_database_can_be_read_and_its_lock_be_held(sandbox: Sandbox) -> None:
    source = """
      import { DatabaseSync } from 'node:sqlite';
      import http from 'node:http';
      const db = new DatabaseSync(process.env.DB_PATH);
      db.exec("PRAGMA busy_timeout = 0; CREATE TABLE t (x); INSERT INTO t VALUES ('needle')");
      http.createServer((q, r) => { try { db.exec('INSERT INTO t VALUES (1)'); r.end('written'); } catch (e) { r.end(e.message); } }).listen(process.env.PORT);
    """
    with opened(sandbox, source) as (box, port):
        file = f"{box.temp}/data-1.db"
        box.link.start(port, "server.mjs", {"DB_PATH": file})
        assert box.link.ready(10, 10).reachable
        assert b"needle" in box.link.read_data(file)["data-1.db"]
        box.link.lock_database(file, 1.0)
        assert b"locked" in ask(box)
        poll(lambda: b"written" in ask(box))


def test_a_data_file_that_is_a_link_is_not_followed(sandbox: Sandbox) -> None:
    source = "import fs from 'node:fs'; fs.symlinkSync('/etc/passwd', process.env.DB_PATH);" + HELLO
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {"DB_PATH": f"{box.temp}/data-1.db"})
        box.link.ready(10, 10)
        assert box.link.read_data(f"{box.temp}/data-1.db") == {}


def test_a_database_that_is_none_cannot_be_locked_and_that_is_the_learners_matter(sandbox: Sandbox) -> None:
    source = "import fs from 'node:fs'; fs.mkdirSync(process.env.DB_PATH);" + HELLO
    with opened(sandbox, source) as (box, port):
        box.link.start(port, "server.mjs", {"DB_PATH": f"{box.temp}/data-1.db"})
        assert box.link.ready(10, 10).reachable
        assert "unable to open database file" in box.link.lock_database(f"{box.temp}/data-1.db", 1.0)
        assert box.link.lock_database(f"{box.temp}/data-2.db", 0.1) == ""


def test_offered_packages_can_be_imported_and_others_cannot(sandbox: Sandbox) -> None:
    with opened(sandbox, "import 'express'; import 'fastify';") as (box, port):
        box.link.start(port, "server.mjs", {})
        status = box.link.ready(10, 10)
        assert "Cannot find package 'fastify'" in status.output


def test_a_thousand_connections_are_too_many_and_harm_nobody(sandbox: Sandbox) -> None:
    with opened(sandbox, HELLO) as (box, port):
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        with contextlib.ExitStack() as stack:
            refused = 0
            for _ in range(1100):
                try:
                    stack.enter_context(box.link.connect(5)[0])
                except ConnectionRefusedError:
                    refused += 1
            assert refused >= 1100 - 1024
        poll(lambda: refuses_nothing(box))


def refuses_nothing(box: Box) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        return b"hello" in ask(box)
    return False


def poll(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_nothing_is_left_of_a_box_that_was_closed(sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
    with opened(sandbox, HELLO) as (box, port):
        folder = box.link.folder.parent
        box.link.start(port, "server.mjs", {})
        box.link.ready(10, 10)
        pid = box.link.status().pid
    left = Engine().containers(f"{LABEL}={folder.parent.name}") if sandbox.name == "docker" else []
    if not left:
        assert not folder.exists()
        assert sandbox.name == "docker" or not Path(f"/proc/{pid}").exists()
    else:  # a container that is used again holds nobody but its init and its supervisor
        assert "used" in request.node.name
        assert len(Engine().client.api.top(left[0]["Id"])["Processes"]) == 2


# ---- the walls of the container


@pytest.fixture
def container() -> Iterator[DockerSandbox]:
    with Workplace(SETTINGS.run_dir) as workplace, DockerSandbox(Engine(), image_tag(SETTINGS), workplace) as docker:
        yield docker


@pytest.mark.docker
def test_memory_ends_a_hog_and_either_the_supervisor_or_the_engine_says_so(container: DockerSandbox) -> None:
    with opened(container, "const k = []; for (;;) k.push(Buffer.alloc(1 << 24, 1));", Limits(memory_mb=128)) as (box, port):
        box.link.start(port, "server.mjs", {})
        try:
            status = box.link.ready(20, 20)
        except SandboxFault:  # the hog was slow to die, and the kernel took PID 1, too
            assert container.ran_out_of_memory(box)
        else:
            assert (status.out_of_memory, status.signal) == (True, "SIGKILL")
            assert not container.ran_out_of_memory(box)


@pytest.mark.docker
def test_the_number_of_processes_is_limited(container: DockerSandbox) -> None:
    source = """
      import { spawn } from 'node:child_process';
      let failed = 0;
      for (let n = 0; n < 40; n++) spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']).on('error', () => failed++);
      setTimeout(() => console.log(`refused ${failed}`), 1500);
    """
    with opened(container, source, Limits(processes=64)) as (box, port):
        box.link.start(port, "server.mjs", {})
        poll(lambda: "refused" in box.link.status().output or box.link.status().state == "exited")
        assert box.link.stats().threads <= 64 + SUPERVISOR_THREADS


@pytest.mark.docker
def test_nothing_but_a_small_tmp_can_be_written(container: DockerSandbox) -> None:
    source = """
      import fs from 'node:fs';
      for (const place of ['/srv/app/x', '/srv/node_modules/x', '/opt/looplab/x', '/etc/x', '/x', '/run/looplab/x'])
        try { fs.writeFileSync(place, 'x'); console.log('wrote', place); } catch (e) { console.log(e.code, place); }
      let size = 0;
      try { for (let n = 0; ; n++) { fs.writeFileSync('/tmp/' + n, Buffer.alloc(1 << 20)); size++; } } catch (e) { console.log(e.code, 'after', size); }
    """
    with opened(container, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        output = box.link.wait_exit(20).output
        assert "wrote" not in output
        assert "ENOSPC after 6" in output


@pytest.mark.docker
def test_there_is_no_network_but_the_loopback(container: DockerSandbox) -> None:
    with opened(container, "import os from 'node:os'; console.log(Object.keys(os.networkInterfaces()).join());") as (box, port):
        box.link.start(port, "server.mjs", {})
        assert box.link.wait_exit(10).output.strip() == "lo"


@pytest.mark.docker
def test_the_programs_rights_are_none(container: DockerSandbox) -> None:
    source = "import fs from 'node:fs'; console.log(fs.readFileSync('/proc/self/status', 'utf8'));"
    with opened(container, source) as (box, port):
        box.link.start(port, "server.mjs", {})
        lines = dict(line.split(":\t", 1) for line in box.link.wait_exit(10).output.splitlines() if ":\t" in line)
        assert lines["CapEff"] == lines["CapPrm"] == lines["CapAmb"] == "0" * 16
        assert lines["NoNewPrivs"] == "1"
        assert lines["Seccomp"] == "2"
        assert lines["Groups"].strip() == ""
        assert int(lines["Uid"].split()[0]) in LEARNER_UIDS


# ---- a grader that was killed


@pytest.mark.docker
@pytest.mark.parametrize("folder_is_there", [True, False])
def test_the_next_start_sweeps_what_a_killed_grader_left_and_only_that(run_dir: Path, folder_is_there: bool) -> None:
    engine = Engine()
    with Workplace(run_dir) as alive:
        with DockerSandbox(engine, image_tag(SETTINGS), alive).open(submission({"server.mjs": HELLO.encode()}), Limits(), ()):
            dead = abandon_a_container(run_dir, engine)
            if not folder_is_there:
                shutil.rmtree(run_dir / dead)
            with Workplace(run_dir) as later:
                later.sweep()
                removed = sweep(engine, later)
            assert removed == 1
            assert not engine.containers(f"{LABEL}={dead}")
            assert not (run_dir / dead).exists()
            assert len(engine.containers(f"{LABEL}={alive.session}")) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives the suites a user of their own")
def test_a_run_directory_that_suites_cannot_reach_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(SettingsError, match=f"other users cannot pass through {closed}. Allow it"), Workplace(closed / "run"):
        pass


@pytest.mark.docker
def test_a_sweep_leaves_the_containers_of_another_run_directory_alone(run_dir: Path, tmp_path: Path) -> None:
    engine = Engine()
    dead = abandon_a_container(run_dir, engine)
    with tempfile.TemporaryDirectory(dir="/tmp") as elsewhere:
        os.chmod(elsewhere, 0o711)
        with Workplace(Path(elsewhere)) as other:
            assert sweep(engine, other) == 0
    assert len(engine.containers(f"{LABEL}={dead}")) == 1
    with Workplace(run_dir) as own:
        assert sweep(engine, own) == 1


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="looplab-sweep-", dir="/tmp") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


def abandon_a_container(run_dir: Path, engine: Engine) -> str:
    """What SIGKILL leaves: a session whose lock nobody holds, and its container."""
    workplace = Workplace(run_dir)
    workplace.__enter__()
    sandbox = DockerSandbox(engine, image_tag(SETTINGS), workplace)
    with workplace.box_folder() as folder:
        engine.client.api.start(sandbox._create(folder, Limits()))
    os.close(workplace._lock)
    return workplace.session
