"""One grade in its phases, and the way from a submission to its first answer: containers made for it, used again, and waiting."""

import time
from collections.abc import Callable

from grader.bench.ours import Bench, MeasuredSandbox, milliseconds, open_bench
from grader.bench.plain import first_byte, host_process, wait_for
from grader.bench.run import Figure, Part, Series, Tick, median
from grader.errors import SandboxFault
from grader.exercise import Exercise, load_exercise
from grader.grade import grade
from grader.report import Timings
from grader.sandbox.link import Link
from grader.settings import CONTAINER_USES_MAX, Settings
from grader.submission import Submission, read_submission

COLD, AGAIN, SPARE = "cold", "used again", "spare"
PHASES = ("start", "ready", "checks", "stop", "total")
HOST = "host process"
SPARES = 2
GOAL_MS = 90.0


def phases(settings: Settings, rounds: int, tick: Tick) -> Part:
    """The json-echo solution with its whole suite, in turns; between two rounds the spare containers come back."""
    exercise, submission = _solution(settings)
    limits = exercise.manifest.limits
    seen: dict[str, list[Timings]] = {COLD: [], AGAIN: [], SPARE: []}
    with open_bench(settings) as bench, bench.sandbox() as cold, bench.sandbox(uses=CONTAINER_USES_MAX) as again:
        with bench.sandbox(spares=SPARES) as spare:
            _timings(bench, again, exercise, submission)  # makes its container, and has the suite collected
            for _ in range(rounds):
                for way, sandbox in ((COLD, cold), (AGAIN, again), (SPARE, spare)):
                    spare.await_spares(limits)
                    seen[way].append(_timings(bench, sandbox, exercise, submission))
                tick("")
    series = [
        Series("phases", phase, way, "ms", milliseconds([getattr(t, phase) for t in timings]), "" if way == COLD else COLD)
        for phase in PHASES
        for way, timings in seen.items()
    ]
    totals = {s.way: median(s.samples) for s in series if s.name == "total"}
    return Part([Figure("phases", f"one grade, {way}", totals[way], totals[COLD], COLD, "ms") for way in (AGAIN, SPARE)], series)


def _timings(bench: Bench, sandbox: MeasuredSandbox, exercise: Exercise, submission: Submission) -> Timings:
    report, _ = grade(bench.grader(sandbox), exercise, submission, seed=1)
    if report.verdict != "passed":
        raise SandboxFault(
            f"The solution of {exercise.slug} was graded {report.verdict}, so its time means nothing. {report.facts.message}"
        )
    return report.timings


def first_answers(settings: Settings, rounds: int, tick: Tick) -> Part:
    """From the moment in which the submission is there to the first byte of the answer to GET /health, in turns."""
    exercise, submission = _solution(settings)
    limits = exercise.manifest.limits
    with open_bench(settings) as bench, bench.sandbox() as cold, bench.sandbox(spares=SPARES) as spare:
        ways: dict[str, Callable[[], float]] = {
            COLD: lambda: _answered(cold, exercise, submission),
            SPARE: lambda: _answered(spare, exercise, submission),
            HOST: lambda: _answered_on_the_host(settings, exercise, submission),
        }
        seen: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, measure in ways.items():
                spare.await_spares(limits)
                took = measure()
                if number:  # the first of each warms caches
                    seen[way].append(took)
            tick("")
    name = "to the first answer"
    series = [Series("first answer", name, way, "ms", milliseconds(times), "" if way == COLD else COLD) for way, times in seen.items()]
    medians = {s.way: median(s.samples) for s in series}
    goal = f"at most {GOAL_MS:g} ms"
    return Part(
        [
            Figure("first answer", f"{name}, {SPARE}", medians[SPARE], medians[COLD], COLD, "ms", goal),
            Figure("first answer", f"{name}, {SPARE}", medians[SPARE], medians[HOST], HOST, "ms"),
        ],
        series,
    )


def _answered(sandbox: MeasuredSandbox, exercise: Exercise, submission: Submission) -> float:
    """Seconds. Asked through the supervisor, as who may not enter the container's network must."""
    began = time.monotonic()
    with sandbox.open(submission, exercise.manifest.limits, exercise.manifest.packages) as box:
        box.link.start(box.port or 3000, submission.entry, {**exercise.manifest.env, "DB_PATH": f"{box.temp}/data.db"})
        box.link.ready(20, 20)
        _ask(box.link)
        return time.monotonic() - began


def _ask(link: Link) -> None:
    connection, _ = link.connect(5)
    first_byte(connection)


def _answered_on_the_host(settings: Settings, exercise: Exercise, submission: Submission) -> float:
    began = time.monotonic()
    with host_process(settings, exercise, submission) as (_, port):
        wait_for(port)
        return time.monotonic() - began


def _solution(settings: Settings) -> tuple[Exercise, Submission]:
    exercise = load_exercise(settings.exercises, "json-echo")
    return exercise, read_submission(exercise.folder / "solution", exercise.manifest.submit.entry, exercise.slug)
