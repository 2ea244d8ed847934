"""Memory of a grade on the grader's side: the suite's process and the grader itself, beside a fresh pytest."""

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from grader.bench.machine import descendants, peak_of, private_bytes, status_bytes
from grader.bench.ours import Bench, open_bench
from grader.bench.plain import node_and_pytest
from grader.bench.run import Figure, Part, Series, Tick, median
from grader.exercise import load_exercise
from grader.grade import grade
from grader.settings import Settings
from grader.submission import read_submission

LOOK_SECONDS = 0.005
PYTEST = "fresh pytest"
NODE = "node on the host"


def memory(settings: Settings, rounds: int, tick: Tick) -> Part:
    """While grades run one after the other, another thread looks at the suite's processes every 5 ms."""
    exercise = load_exercise(settings.exercises, "json-echo")
    submission = read_submission(exercise.folder / "solution", exercise.manifest.submit.entry, exercise.slug)
    children = Children()
    learners = []
    with open_bench(settings) as bench, bench.sandbox(uses=settings.container_uses) as sandbox:
        grader = bench.grader(sandbox)
        grade(grader, exercise, submission, seed=1)
        with children.watched(bench):
            for _ in range(rounds):
                report, _ = grade(grader, exercise, submission, seed=1)
                learners.append(report.facts.peak_memory_bytes)
                tick("")
        ours = status_bytes(os.getpid(), "VmRSS")
    plain = [node_and_pytest(settings, exercise, submission) for _ in range(rounds)]
    tick("")
    rows: list[tuple[str, str, list[int], str]] = [
        ("resident", PYTEST, [pytest for _, pytest in plain], ""),
        ("resident", NODE, [node for node, _ in plain], ""),
        ("resident", "learner's program in its container", learners, NODE),
        ("resident", "child that runs a suite", children.peaks(), PYTEST),
        ("resident", "of it, shared with nobody", children.privates(), PYTEST),
        ("resident", "grader (here with the benchmark in it)", [ours], PYTEST),
    ]
    series = [Series("memory", n, way, "MiB", tuple(round(b / 2**20, 1) for b in of), base) for n, way, of, base in rows if any(of)]
    medians = {s.way: median(s.samples) for s in series}
    return Part(
        [Figure("memory", s.way, medians[s.way], medians[s.baseline], s.baseline, "MiB") for s in series if s.baseline],
        series,
    )


class Children:
    """Peaks of the processes that were forked for one grading each."""

    def __init__(self) -> None:
        self._peak: dict[int, int] = defaultdict(int)
        self._private: dict[int, int] = defaultdict(int)

    def peaks(self) -> list[int]:
        return [peak for peak in self._peak.values() if peak]

    def privates(self) -> list[int]:
        return [private for private in self._private.values() if private]

    @contextmanager
    def watched(self, bench: Bench) -> Iterator[None]:
        """Looks while the block runs. Who is there at its beginning was not forked for a grading."""
        lasting, done = descendants(bench.suites_pid), threading.Event()

        def look() -> None:
            while not done.wait(LOOK_SECONDS):
                for child in descendants(bench.suites_pid) - lasting:
                    self._peak[child] = max(self._peak[child], peak_of(child))
                    self._private[child] = max(self._private[child], private_bytes(child))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
