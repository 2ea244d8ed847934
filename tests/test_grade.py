"""From a suite's behaviour to a report: whose fault is it, and what does it cost? With a real server, on this machine."""

import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grader.exercise import load_exercise
from grader.grade import Grader, grade
from grader.report import CheckResult, Report
from grader.sandbox import Box
from grader.sandbox.local import LocalSandbox
from grader.sandbox.workplace import Workplace
from grader.settings import read_settings
from grader.submission import submission_of
from grader.suite.host import SuiteHost

SETTINGS = read_settings()
SERVER = """
import http from 'node:http';
http.createServer((request, response) => {
  if (request.url === '/crash') process.exit(3);
  if (request.url === '/silence') return;
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ who: process.env.WHO ?? null, nested: {} }));
}).listen(process.env.PORT);
"""
MANIFEST = """
id = "x"
title = "T"
summary = "S"
module = "m"
difficulty = 1
minutes = 1
[limits]
seconds = 6
[[tasks]]
number = 1
title = "Work"
points = 6
[[wrong]]
folder = "w"
why = "It is."
fails = ["test_wrong"]
misconception = "a-belief"
"""
HEAD = "import os, socket, time\nfrom grader.suite import *\n"

Judge = Callable[..., tuple[Report, list[str]]]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with SuiteHost(warm=True) as suites, Workplace(SETTINGS.run_dir) as workplace:
        sandbox = LocalSandbox(SETTINGS.node, SETTINGS.packages, workplace, i_trust_this_code=True)
        yield Grader(sandbox, suites, SETTINGS.run_dir)


@pytest.fixture
def judge(tmp_path: Path, grader: Grader) -> Judge:
    """Grades a server by a suite given as the bodies of its checks."""

    def judged(
        checks: dict[str, str], server: str = SERVER, decorators: str = "", head: str = "", grader: Grader = grader
    ) -> tuple[Report, list[str]]:
        root = tmp_path / "exercises"
        folder = root / "mini"
        (folder / "tests").mkdir(parents=True)
        (folder / "wrong" / "w").mkdir(parents=True)
        (folder / "prompt.md").write_text("## 1. Work\nIt works.\n")
        source = HEAD + head
        for name, body in checks.items():
            source += f'@task(1)\n@rule("It works.")\n{decorators}\ndef test_{name}(server, rng):\n    """Claim {name}."""\n'
            source += textwrap.indent(textwrap.dedent(body), "    ") + "\n"
        (folder / "tests" / "test_mini.py").write_text(source)
        wrong = next(iter(checks))
        (folder / "exercise.toml").write_text(MANIFEST.replace("test_wrong", f"test_{wrong}"))
        for path in (tmp_path, *tmp_path.parents):  # the suite's user has to get there
            if path.stat().st_uid == os.getuid() and path != Path("/") and str(path).startswith("/tmp/"):
                path.chmod(path.stat().st_mode | 0o711)
        return grade(grader, load_exercise(root, "mini"), submission_of({"server.mjs": server.encode()}, ("server.mjs",)), seed=1)

    return judged


def by_name(report: Report) -> dict[str, CheckResult]:
    return {check.id.removeprefix("test_"): check for check in report.checks}


GOOD = "server.get('/').expect_status(200)"


def test_points_are_shared_by_the_checks_of_a_task(judge: Judge) -> None:
    report, defects = judge({"a": GOOD, "b": "server.get('/').expect_status(404)"})
    assert (report.verdict, report.points, report.max_points) == ("partial", 3, 6)
    assert not defects


def test_a_failed_check_shows_the_exchange_and_the_misconception(judge: Judge) -> None:
    report, _ = judge({"a": "server.post('/', json={'x': 1}).expect_field('who', 'ada', because='Ada asked.')"})
    check = by_name(report)["a"]
    assert check.message == '`who` in the answer to POST / should be "ada", but it is null. Ada asked.'
    assert '{"x": 1}' in check.exchange[-1].request
    assert "HTTP/1.1 200 OK" in check.exchange[-1].response
    assert check.misconception == "a-belief"


def test_a_crash_fails_only_the_check_in_which_it_happened(judge: Judge) -> None:
    report, _ = judge({"a": GOOD, "b": "server.attempt('GET', '/crash')", "c": GOOD})
    outcomes = {name: check.outcome for name, check in by_name(report).items()}
    assert outcomes == {"a": "passed", "b": "failed", "c": "passed"}
    assert "exited with code 3" in by_name(report)["b"].message


def test_a_check_that_dies_fails_the_learner_politely_and_is_told_to_the_author(judge: Judge) -> None:
    report, defects = judge({"a": "server.get('/').expect_object()['no such key']", "b": GOOD})
    check = by_name(report)["a"]
    assert check.outcome == "failed"
    assert "KeyError" not in check.message
    assert "KeyError" in defects[0]


def test_a_check_that_does_not_end_is_ended(judge: Judge) -> None:
    report, _ = judge({"a": "time.sleep(60)"}, decorators="@seconds(0.5)")
    assert "not done after 0.5 seconds" in by_name(report)["a"].message
    assert by_name(report)["a"].seconds < 3


def test_what_the_total_time_does_not_allow_is_skipped_and_is_no_pass(judge: Judge) -> None:
    report, _ = judge({f"c{n}": "time.sleep(60)" for n in range(4)}, decorators="@seconds(4)")
    outcomes = sorted(check.outcome for check in report.checks)
    assert outcomes == ["failed", "skipped", "skipped", "skipped"]
    assert report.facts.timed_out
    assert report.points == 0


def test_a_server_that_answers_nothing_at_all_is_given_up(judge: Judge) -> None:
    silent = "import http from 'node:http'; http.createServer(() => {}).listen(process.env.PORT);"
    report, _ = judge({f"c{n}": "server.get('/', timeout=0.3)" for n in range(5)}, server=silent)
    skipped = [check for check in report.checks if check.outcome == "skipped"]
    assert len(skipped) == 4
    assert "does not answer even GET /health" in skipped[0].message


def test_silence_on_one_path_is_not_held_against_the_others(judge: Judge) -> None:
    report, _ = judge({"a": "server.get('/silence', timeout=0.3)", "b": GOOD, "c": GOOD})
    assert {name: check.outcome for name, check in by_name(report).items()} == {"a": "failed", "b": "passed", "c": "passed"}


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_suite_that_ends_early_grades_nothing_and_costs_nothing(judge: Judge, ending: str) -> None:
    report, _ = judge({"a": GOOD, "b": ending})
    assert report.verdict == "not_graded"
    assert report.points is None


def test_a_suite_that_cannot_be_imported_grades_nothing(judge: Judge) -> None:
    report, defects = judge({"a": GOOD}, head="import no_such_module\n")
    assert (report.verdict, report.points) == ("not_graded", None)
    assert "The suite of mini is broken" in report.facts.message
    assert "no_such_module" in defects[0]  # for the author alone


def test_each_environment_gets_a_server_of_its_own(judge: Judge) -> None:
    body = "server.get('/').expect_field('who', 'ada'); server.restart({'WHO': 'grace'}); server.get('/').expect_field('who', 'grace')"
    report, _ = judge({"a": body, "b": body}, decorators='@environment(WHO="ada")')
    assert report.verdict == "passed"


def test_an_expected_end_is_no_crash(judge: Judge) -> None:
    body = "server.signal('SIGTERM'); expect(server.wait_exit(5).signal == 'SIGTERM', 'It did not end.')"
    report, _ = judge({"a": body, "b": GOOD})
    assert report.verdict == "passed"


def test_the_suite_has_no_environment_no_rights_and_no_network(judge: Judge) -> None:
    body = """
        expect(set(os.environ) <= {'PYTEST_DISABLE_PLUGIN_AUTOLOAD', 'PYTEST_VERSION', 'PYTEST_CURRENT_TEST', 'LC_CTYPE'}, str(dict(os.environ)))
        if ROOT:
            expect(os.getuid() == 2_000_001_000 and os.getgid() == 2_000_001_000 and not os.getgroups(), 'It has rights.')
            expect([name for _, name in socket.if_nameindex()] == ['lo'], 'It has a network.')
            try:
                open('/etc/shadow').read()
            except PermissionError:
                return
            fail('It can read what only root may.')
    """
    report, _ = judge({"a": body}, head=f"ROOT = {os.getuid() == 0}\n")
    assert report.verdict == "passed", report.checks


def test_random_inputs_depend_on_the_seed_and_the_check_alone(judge: Judge) -> None:
    report, _ = judge({"a": "fail(str(rng.random()))", "b": "fail(str(rng.random()))"})
    numbers = {name: check.message for name, check in by_name(report).items()}
    assert numbers == {name: str(random.Random(f"1 test_{name}").random()) for name in ("a", "b")}


TRIED = "TRIES = []\n"
FIRST_TRY_FAILS = """
    TRIES.append(server.get('/').status)
    time.sleep(0.3)
    expect(len(TRIES) > 1, 'This was the first try.')
"""


@pytest.fixture
def hogs() -> Iterator[None]:
    """As many as there are processors, so that nobody who measures is alone."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for hog in running:
        hog.kill()
        hog.wait()


def test_a_quiet_check_that_fails_beside_a_noisy_neighbour_is_measured_again(judge: Judge, hogs: None) -> None:
    report, _ = judge({"a": FIRST_TRY_FAILS}, decorators="@quiet", head=TRIED)
    assert report.verdict == "passed", report.checks


def test_a_bounded_check_is_measured_again_alone_when_it_failed_beside_others(judge: Judge) -> None:
    report, _ = judge({"a": FIRST_TRY_FAILS, "b": "fail('It is slow.')"}, decorators="@bounded", head=TRIED)
    assert {name: check.outcome for name, check in by_name(report).items()} == {"a": "passed", "b": "failed"}


def test_noise_excuses_no_wrong_server_and_no_check_that_does_not_measure(judge: Judge, hogs: None, tmp_path: Path) -> None:
    wrong, _ = judge({"a": "time.sleep(0.3)\nserver.get('/').expect_status(404)"}, decorators="@quiet")
    shutil.rmtree(tmp_path / "exercises")
    loud, _ = judge({"a": FIRST_TRY_FAILS}, head=TRIED)
    assert (wrong.verdict, loud.verdict) == ("failed", "failed")


def test_an_aborted_grading_is_not_graded(grader: Grader, judge: Judge) -> None:
    with SuiteHost(warm=False) as suites:
        suites.abort()
        began = time.monotonic()
        other = Grader(grader.sandbox, suites, grader.run_dir)
        exercise = load_exercise(SETTINGS.exercises, "json-echo")
        report, _ = grade(other, exercise, submission_of({"server.mjs": SERVER.encode()}, ("server.mjs",)))
    assert (report.verdict, report.points) == ("not_graded", None)
    assert time.monotonic() - began < 30


class OutOfMemory(LocalSandbox):
    """A local sandbox whose every end was the memory's: containers alone can tell the difference."""

    def ran_out_of_memory(self, box: Box) -> bool:
        return True


def test_a_box_that_ends_for_its_memory_fails_the_check_of_that_moment_and_keeps_what_was_earned(grader: Grader, judge: Judge) -> None:
    with Workplace(SETTINGS.run_dir) as workplace:
        sandbox = OutOfMemory(SETTINGS.node, SETTINGS.packages, workplace, i_trust_this_code=True)
        server = SERVER.replace("process.exit(3)", "process.kill(process.ppid, 'SIGKILL')")

        checks_in_order_of_seed_1 = {"third": GOOD, "first": GOOD, "second": "server.get('/crash').expect_status(200)"}
        report, _ = judge(checks_in_order_of_seed_1, server, grader=replace(grader, sandbox=sandbox))

    checks = by_name(report)
    assert [checks[name].outcome for name in ("first", "second", "third")] == ["passed", "failed", "skipped"]
    assert "256 MB of memory" in checks["second"].message
    assert (report.verdict, report.points, report.facts.out_of_memory) == ("partial", 2.0, True)
