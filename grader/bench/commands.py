"""Whole commands, as a person types them, against the plain ways to do the same."""

import subprocess
import sys
from pathlib import Path

from grader.bench.plain import docker_and_pytest, node_and_pytest
from grader.bench.run import Part, Tick, alternating, compared, joined
from grader.exercise import load_exercise
from grader.sandbox.image import image_tag
from grader.settings import Settings
from grader.submission import read_submission


def whole_commands(settings: Settings, rounds: int, tick: Tick) -> Part:
    """One grade of the json-echo solution with its whole suite, and one learner's check."""
    exercise = load_exercise(settings.exercises, "json-echo")
    submission = read_submission(exercise.folder / "solution", exercise.manifest.submit.entry, exercise.slug)
    looplab = [str(Path(sys.executable).with_name("looplab"))]
    solution = str(exercise.folder / "solution")
    grade = [*looplab, "grade", solution, "-e", "json-echo", "--no-store", "--json"]
    check = [*looplab, "check", "json-echo", solution]
    image = image_tag(settings)

    def plain_check() -> None:
        node_and_pytest(settings, exercise, submission)

    graded = alternating(rounds, lambda: _run(grade), lambda: docker_and_pytest(settings, image), tick=tick)
    checked = alternating(rounds, lambda: _run(check), plain_check, tick=tick)
    return joined(
        [
            compared("commands", "looplab grade", graded, "docker run, fresh pytest, docker rm", "s", "ratio at most 0.7"),
            compared("commands", "looplab check", checked, "node and a fresh pytest", "s", "at most 0.6 s"),
        ]
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
