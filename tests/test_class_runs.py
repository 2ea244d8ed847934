"""A class run that is stopped loses nothing: by Ctrl-C, by SIGKILL, by an engine that goes away."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.report import from_json
from grader.sandbox.docker import RUN_DIR_LABEL, Engine
from grader.settings import read_settings
from grader.store import open_store

SETTINGS = read_settings()
LOOPLAB = str(Path(sys.executable).with_name("looplab"))
ECHO = SETTINGS.exercises / "json-echo"

pytestmark = pytest.mark.docker


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="looplab-class-", dir="/tmp") as run_dir:
        os.chmod(run_dir, 0o711)
        yield {**os.environ, "LOOPLAB_DATA": str(tmp_path / "data"), "LOOPLAB_RUN_DIR": run_dir}


def hand_in(folder: Path, **learners: Path) -> Path:
    for learner, source in learners.items():
        shutil.copytree(source, folder / learner / "json-echo")
    return folder


def grade(folder: Path, environ: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOOPLAB, "grade", "--class", str(folder), "--json", *options],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def kept(environ: dict[str, str]) -> int:
    with open_store(f"sqlite:///{environ['LOOPLAB_DATA']}/looplab.db") as store:
        return len(store.latest())


def wait_for_the_first_report(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def nothing_is_left(environ: dict[str, str]) -> bool:
    sessions = [path.name for path in Path(environ["LOOPLAB_RUN_DIR"]).glob("g*")]
    return not sessions


def test_a_class_gives_one_report_a_line_and_the_right_exit_code(tmp_path: Path, environ: dict[str, str]) -> None:
    wrong = ECHO / "wrong" / "counts-characters"
    folder = hand_in(
        tmp_path / "class", ada=ECHO / "solution", linus=wrong, ken=SETTINGS.home / "tests" / "submissions" / "crashes-at-start"
    )
    (folder / "stray.txt").write_text("?")
    (folder / "ada" / "no-such-exercise").mkdir()

    done = grade(folder, environ)
    reports = {report.learner: report for report in map(from_json, done.stdout.encode().splitlines())}

    assert done.returncode == 1
    assert {who: report.verdict for who, report in reports.items()} == {"ada": "passed", "linus": "partial", "ken": "did_not_start"}
    assert "stray.txt" in done.stderr
    assert "no-such-exercise" in done.stderr
    assert kept(environ) == 3


def test_a_second_run_grades_only_what_is_new(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = hand_in(tmp_path / "class", ada=ECHO / "solution")
    grade(folder, environ)
    hand_in(folder, grace=ECHO / "solution")

    again = grade(folder, environ)

    assert [json.loads(line)["learner"] for line in again.stdout.splitlines()] == ["ada", "grace"]
    assert "1 graded" in again.stderr
    assert "1 were graded before" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, environ: dict[str, str], number: signal.Signals) -> None:
    folder = hand_in(tmp_path / "class", **{f"learner{n}": ECHO / "solution" for n in range(5)})
    command = [LOOPLAB, "grade", "--class", str(folder), "--json", "--parallel", "1"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_the_first_report(process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    saved = kept(environ)

    assert 1 <= saved < 5
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "are graded and saved. Run the same command again" in errors
        assert nothing_is_left(environ)
    done = grade(folder, environ)
    assert done.returncode == 0
    assert f"{saved} were graded before" in done.stderr
    assert kept(environ) == 5
    assert nothing_is_left(environ)


def test_a_proof_that_is_terminated_gives_up_what_runs_and_leaves_nothing(environ: dict[str, str]) -> None:
    ours = f"{RUN_DIR_LABEL}={environ['LOOPLAB_RUN_DIR']}"
    command = [LOOPLAB, "verify", "polite-cpu", "--repeat", "20", "--load"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not Engine().containers(ours):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)  # the twenty gradings alone would take minutes

    assert process.returncode == 143, errors
    assert "Terminated. Nothing is left running." in errors
    assert not Engine().containers(ours)


def test_a_broken_suite_is_told_to_the_operator_and_costs_nobody_points(tmp_path: Path, environ: dict[str, str]) -> None:
    home = tmp_path / "home"
    shutil.copytree(ECHO, home / "exercises" / "json-echo", ignore=shutil.ignore_patterns("wrong", "right"))
    shutil.copytree(ECHO / "wrong", home / "exercises" / "json-echo" / "wrong")
    shutil.copy(ECHO.parent / "common-contract.md", home / "exercises")
    suite = home / "exercises" / "json-echo" / "tests" / "test_json_echo.py"
    suite.write_text(suite.read_text().replace("import json\n", "import json\nimport no_such_module\n", 1))
    folder = hand_in(tmp_path / "class", ada=ECHO / "solution")

    done = grade(folder, {**environ, "LOOPLAB_HOME": str(home)})

    assert done.returncode == 3
    assert from_json(done.stdout.encode()).verdict == "not_graded"
    assert "A defect of the suite, for its author" in done.stderr
    assert "no_such_module" in done.stderr and "no_such_module" not in done.stdout


def test_an_engine_that_does_not_answer_is_said_and_costs_nobody_points(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = hand_in(tmp_path / "class", ada=ECHO / "solution")

    done = grade(folder, {**environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"})

    assert done.returncode == 3
    assert "Docker does not answer" in done.stderr
    assert done.stdout == ""


def test_an_engine_that_goes_away_in_the_middle_ends_the_run_and_keeps_what_is_graded(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = hand_in(tmp_path / "class", **{f"learner{n}": ECHO / "solution" for n in range(4)})
    with EngineProxy(tmp_path / "docker.sock") as proxy:
        command = [LOOPLAB, "grade", "--class", str(folder), "--json", "--parallel", "1"]
        through = {**environ, "DOCKER_HOST": f"unix://{proxy.path}", "LOOPLAB_CONTAINER_USES": "1"}
        with subprocess.Popen(command, env=through, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for_the_first_report(process)
            proxy.cut()
            _, errors = process.communicate(timeout=90)
    saved = kept(environ)

    assert process.returncode == 3
    assert "Docker does not answer" in errors
    assert "are graded and saved. Run the same command again" in errors
    assert 1 <= saved < 4
    assert grade(folder, environ).returncode == 0  # sweeps the container that could not be removed, too
    assert kept(environ) == 4
    assert not Engine().containers(f"{RUN_DIR_LABEL}={environ['LOOPLAB_RUN_DIR']}")


def test_an_engine_that_goes_away_while_containers_are_used_again_is_missed_only_at_the_end(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    folder = hand_in(tmp_path / "class", **{f"learner{n}": ECHO / "solution" for n in range(4)})
    with EngineProxy(tmp_path / "docker.sock") as proxy:
        command = [LOOPLAB, "grade", "--class", str(folder), "--json", "--parallel", "1"]
        through = {**environ, "DOCKER_HOST": f"unix://{proxy.path}"}
        with subprocess.Popen(command, env=through, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for_the_first_report(process)
            proxy.cut()
            _, errors = process.communicate(timeout=90)

    assert process.returncode == 3
    assert "1 idle container could not be removed; the next command does it." in errors
    assert kept(environ) == 4
    assert grade(folder, environ).returncode == 0
    assert not Engine().containers(f"{RUN_DIR_LABEL}={environ['LOOPLAB_RUN_DIR']}")


class EngineProxy:
    """A Docker socket that can go away without stopping the real engine, which others use at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "EngineProxy":
        program = (
            "import net from 'node:net'; const all = new Set();"
            "net.createServer({ allowHalfOpen: true }, (a) => { const b = net.connect({ path: '/var/run/docker.sock', allowHalfOpen: true });"
            " for (const s of [a, b]) { all.add(s); s.on('error', () => {}); s.on('close', () => { a.destroy(); b.destroy(); }); } a.pipe(b); b.pipe(a); })"
            f".listen({json.dumps(str(self.path))}, () => console.log('up'));"
        )
        self._process = subprocess.Popen([SETTINGS.node, "--input-type=module", "-e", program], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def cut(self) -> None:
        self._process.kill()
        self._process.wait()
        self.path.unlink()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
