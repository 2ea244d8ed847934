"""The whole story of one grading, on one screen: Exercise + Submission + Sandbox -> Report. There is no other road to a Report."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from grader.errors import EngineGone, SandboxFault, SubmissionRejected
from grader.exercise import Exercise
from grader.quiet import Quiet
from grader.report import CheckResult, Exchange, Facts, Report, Timings, Verdict, verdict_of
from grader.sandbox import Box, Sandbox
from grader.sandbox.link import ProcessStats, ServerStatus
from grader.submission import Submission, read_submission
from grader.suite.host import SuiteHost, SuiteRun, SuiteStopped
from grader.suite.job import Job, Result
from grader.suite.server import READY_SECONDS, error_line

SUITE_FAULT_RETRIES = 1


@dataclass(frozen=True)
class Grader:
    """What a grading needs beside exercise and submission."""

    sandbox: Sandbox
    suites: SuiteHost
    run_dir: Path
    visible_only: bool = False
    elsewhere_seconds: float = READY_SECONDS
    """How long a server may listen on a wrong port before we say so. Fair is the whole time; a learner waits less."""


@dataclass
class _Progress:
    """What is known so far; becomes the Report."""

    began: float = field(default_factory=time.monotonic)
    marks: dict[str, float] = field(default_factory=dict)
    status: ServerStatus = field(default_factory=lambda: ServerStatus("not_started"))
    stats: ProcessStats = field(default_factory=lambda: ProcessStats(0, 0, 0.0, 0, 0, 0))

    def mark(self, phase: str) -> None:
        self.marks[phase] = time.monotonic() - self.began - sum(self.marks.values())


def grade_path(
    grader: Grader, exercise: Exercise, path: Path, *, learner: str | None = None, seed: int | None = None
) -> tuple[Report, list[str]]:
    """Grades what lies at `path`; see `grade`. A submission that cannot be read becomes a Report too."""
    return grade_read(
        grader, exercise, lambda: read_submission(path, exercise.manifest.submit.entry, exercise.slug), learner=learner, seed=seed
    )


def grade_read(
    grader: Grader, exercise: Exercise, read: Callable[[], Submission], *, learner: str | None = None, seed: int | None = None
) -> tuple[Report, list[str]]:
    """Grades what `read` returns; see `grade`. Its SubmissionRejected becomes a Report too."""
    try:
        submission = read()
    except SubmissionRejected as refusal:
        return _without_checks(grader, exercise, None, learner, seed or 0, "rejected", str(refusal), _Progress()), []
    return grade(grader, exercise, submission, learner=learner, seed=seed)


def grade(
    grader: Grader, exercise: Exercise, submission: Submission, *, learner: str | None = None, seed: int | None = None
) -> tuple[Report, list[str]]:
    """Grades one submission. Returns the Report and, for the author, the defects that the suite showed.

    The same seed sends the same requests. A fault of our machine is retried once, then becomes verdict `not_graded`;
    EngineGone is raised, since nothing else can be graded either.
    """
    seed = random.randrange(2**31) if seed is None else seed
    for attempt in range(SUITE_FAULT_RETRIES + 1):
        progress = _Progress()
        try:
            return _grade_once(grader, exercise, submission, learner, seed, progress, again=attempt < SUITE_FAULT_RETRIES)
        except EngineGone:
            raise
        except SandboxFault as fault:
            if attempt == SUITE_FAULT_RETRIES:
                report = _without_checks(grader, exercise, submission, learner, seed, "not_graded", str(fault), progress)
                return report, [fault.detail] if fault.detail else []
    raise AssertionError("unreachable")


def _grade_once(
    grader: Grader, exercise: Exercise, submission: Submission, learner: str | None, seed: int, progress: _Progress, *, again: bool
) -> tuple[Report, list[str]]:
    quiet = Quiet(grader.run_dir)
    limits = exercise.manifest.limits
    try:
        opening = grader.sandbox.open(submission, limits, exercise.manifest.packages)
        with quiet.hold(alone=False):
            box = opening.__enter__()
        try:
            port = box.port or _free_port()
            progress.mark("start")
            env = dict(exercise.manifest.env)
            with quiet.hold(alone=False):
                box.link.start(port, submission.entry, {**env, "DB_PATH": f"{box.temp}/data-0.db"})
                progress.status = box.link.ready(READY_SECONDS, grader.elsewhere_seconds)
            progress.mark("ready")
            if not progress.status.reachable:
                why = why_not_started(progress.status, submission.entry, port, box, exercise)
                return _without_checks(grader, exercise, submission, learner, seed, "did_not_start", why, progress, box), []
            run = grader.suites.run(_job(grader, exercise, submission, box, port, env, seed), box.network)
            progress.mark("checks")
            progress.status, progress.stats = box.link.stop()
        except SandboxFault as fault:
            # The kernel ends the learner's process and, when that is slow to die, sometimes ours as well: with luck not the next time.
            if again or not grader.sandbox.ran_out_of_memory(box):
                raise
            why = f"Your server took more than the {limits.memory_mb} MB of memory that it may use, and was ended."
            progress.status = msgspec.structs.replace(progress.status, out_of_memory=True)
            if not isinstance(fault, SuiteStopped):
                return _without_checks(grader, exercise, submission, learner, seed, "failed", why, progress, box), []
            run = fault.run  # what it earned before stays earned
            run.results[fault.check] = Result(check=fault.check, outcome="failed", message=why)
        finally:
            with quiet.hold(alone=False):
                opening.__exit__(None, None, None)
            progress.mark("stop")
        return _report(grader, exercise, submission, learner, seed, run, progress, box), run.defects
    finally:
        quiet.close()


def _job(grader: Grader, exercise: Exercise, submission: Submission, box: Box, port: int, env: dict[str, str], seed: int) -> Job:
    return Job(
        tests=tuple(str(path) for path in sorted((exercise.folder / "tests").glob("test_*.py"))),
        checks=tuple(c for c in exercise.checks if c.visible or not grader.visible_only),
        box=str(box.link.folder),
        run_dir=str(grader.run_dir),
        entry=submission.entry,
        port=port,
        direct=box.network is not None,
        temp=box.temp,
        env=env,
        seed=seed,
        seconds=exercise.manifest.limits.seconds,
    )


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ---- from what was seen to a Report


def _report(
    grader: Grader, exercise: Exercise, submission: Submission, learner: str | None, seed: int, run: SuiteRun, progress: _Progress, box: Box
) -> Report:
    wanted = [c for c in exercise.checks if c.visible or not grader.visible_only]
    failed = {id for id, result in run.results.items() if result.outcome == "failed"}
    checks = []
    for check in wanted:
        result = run.results.get(check.id)
        outcome = result.outcome if result else "skipped"
        points = exercise.points_of(check.id)
        checks.append(
            CheckResult(
                id=check.id,
                title=check.title,
                rule=check.rule,
                task=check.task,
                visible=check.visible,
                outcome="passed" if outcome == "passed" else "failed" if outcome == "failed" else "skipped",
                points=points if outcome == "passed" else 0.0,
                max_points=points,
                message=_relative(result.message, box) if result else "The checks were ended before this one could run.",
                hint=check.hint if outcome == "failed" else "",
                misconception=exercise.misconception_of(check.id, failed) if outcome == "failed" else None,
                exchange=tuple(_exchange(e) for e in result.exchange) if result else (),
                seconds=result.seconds if result else 0.0,
            )
        )
    if run.defects and not run.results:
        slug = exercise.slug
        why = f"The suite of {slug} is broken, so nothing could be graded. Its author can see why with `looplab verify {slug}`."
        raise SandboxFault(why, "\n".join(run.defects))
    return _assemble(
        grader,
        exercise,
        submission,
        learner,
        seed,
        tuple(checks),
        verdict_of(tuple(checks), {c.id for c in wanted}),
        "",
        progress,
        box,
        run.timed_out,
    )


def _exchange(raw: dict[str, object]) -> Exchange:
    return Exchange(str(raw["request"]), str(raw["response"]), float(str(raw["seconds"])), bool(raw["truncated"]))


def _without_checks(
    grader: Grader,
    exercise: Exercise,
    submission: Submission | None,
    learner: str | None,
    seed: int,
    verdict: Verdict,
    why: str,
    progress: _Progress,
    box: Box | None = None,
) -> Report:
    return _assemble(grader, exercise, submission, learner, seed, (), verdict, why, progress, box, False)


def _assemble(
    grader: Grader,
    exercise: Exercise,
    submission: Submission | None,
    learner: str | None,
    seed: int,
    checks: tuple[CheckResult, ...],
    verdict: Verdict,
    message: str,
    progress: _Progress,
    box: Box | None,
    timed_out: bool,
) -> Report:
    status, stats = progress.status, progress.stats
    wanted = [c for c in exercise.checks if c.visible or not grader.visible_only]
    return Report(
        learner=learner,
        exercise=exercise.slug,
        exercise_digest=exercise.digest,
        submission_digest=submission.digest if submission else "",
        verdict=verdict,
        points=None if verdict == "not_graded" else round(sum(c.points for c in checks), 2),
        max_points=round(sum(exercise.points_of(c.id) for c in wanted), 2),
        seed=seed,
        checks=checks,
        facts=Facts(
            sandbox=grader.sandbox.name,
            message=message,
            exit_code=status.code,
            signal=status.signal,
            out_of_memory=status.out_of_memory,
            timed_out=timed_out,
            listening_on=status.listening_on,
            output=_relative(status.output, box),
            output_truncated=status.output_truncated,
            peak_memory_bytes=stats.peak_memory_bytes,
            cpu_seconds=round(stats.cpu_seconds, 3),
        ),
        timings=Timings(**{k: round(v, 4) for k, v in progress.marks.items()}, total=round(time.monotonic() - progress.began, 4)),
    )


def _relative(text: str, box: Box | None) -> str:
    """Paths as the learner knows them: the folder of the submission is not theirs, and nobody's business."""
    return text.replace(f"file://{box.app}/", "").replace(f"{box.app}/", "") if box else text


def why_not_started(status: ServerStatus, entry: str, port: int, box: Box, exercise: Exercise) -> str:
    """One sentence that says what happened, and one that says what to do."""
    output = _relative(status.output, box)
    if status.out_of_memory:
        return f"Your server ran out of memory before it listened: it may use {exercise.manifest.limits.memory_mb} MB."
    if status.state == "running":
        if status.listening_on:
            ports = " and ".join(map(str, status.listening_on))
            return f"Your server did not open port {port}, which PORT names. It listens on {ports}: use process.env.PORT."
        return f"Your server started but did not open port {port} within {READY_SECONDS:g} seconds. Does it call listen(process.env.PORT)?"
    if missing := re.search(r"Cannot find (?:package|module) '([^'/.][^']*)'", output):
        offered = ", ".join(exercise.manifest.packages) or "none: only Node's own modules"
        return f"Your server needs the package {missing[1]}, which this exercise does not offer. It offers {offered}."
    if syntax := re.search(r"^SyntaxError: (.*)$", output, re.MULTILINE):
        line = re.search(r"^(\S+?):(\d+)$", output, re.MULTILINE)
        return f"Node cannot read {f'{line[1]}, line {line[2]}' if line else entry}: {syntax[1]}"
    ending = f"was ended by {status.signal}" if status.signal else f"exited with code {status.code}"
    if error := error_line(output):
        return f"Your server {ending} before it listened: {error}"
    if status.code == 0:
        return "Your server ended by itself, without an error, before it listened. Does it call listen()?"
    return f"Your server {ending} before it listened. Its output is shown below."
