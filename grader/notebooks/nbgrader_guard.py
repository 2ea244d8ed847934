"""Keeps nbgrader's own autograde away from Looplab's assignments: it would run learners' code here, and overwrite the scores.

nbgrader makes its exporter when it knows which submissions it would convert and has not touched any (nbgrader 0.9,
converters/base.py, BaseConverter.start). Naming a class of ours as `c.Autograde.exporter_class` is therefore the last moment to step
in, for the command and for the button in formgrader alike. Its hooks come too late: formgrader has deleted `autograded/` by then.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NoReturn

from nbconvert.exporters import NotebookExporter
from nbgrader.converters.base import NbGraderException

from grader.errors import SettingsError
from grader.notebooks.nbgrader_released import read_released

OURS = "Looplab grades {}: what learners wrote runs in containers, not here."


class HandOver(NotebookExporter):
    """An exporter like any other, but before it is made, Looplab's own submissions are graded by Looplab and taken from the list."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        converter = self.parent
        if converter is not None and hasattr(converter, "assignments"):
            hand_over(converter)


def hand_over(converter: Any) -> None:
    """Raises NbGraderException, so that nbgrader stops before it touches anything, when Looplab cannot grade."""
    course = converter.coursedir
    learners: dict[str, list[str]] = defaultdict(list)
    pattern = re.compile(converter._format_source("(?P<assignment>.*)", "(?P<learner>.*)", escape=True))
    for path in sorted(converter.assignments):
        match = pattern.match(path)
        if match is None:
            raise NbGraderException(f"{path} is no submission.")
        release = Path(course.format_path(course.release_directory, ".", match["assignment"]))
        source = Path(course.format_path(course.source_directory, ".", match["assignment"]))
        try:
            ours = any(read_released(folder)[0] for folder in (release, source))
        except SettingsError as error:  # it may be ours: nothing may run here
            _stop(converter, str(error))
        if ours:
            learners[match["assignment"]].append(match["learner"])
            del converter.assignments[path]
    for assignment, names in learners.items():
        converter.log.info(OURS.format(assignment))
        chosen = [f"--learner={name}" for name in names] if course.student_id != "*" else []
        looplab = str(Path(sys.executable).with_name("looplab"))
        database = [f"--db={course.db_url}"] if course.db_url.startswith("sqlite:") else []  # others may hold a password
        code = _run(converter, [looplab, "nbgrader", "autograde", assignment, f"--course={course.root}", *database, *chosen])
        if code not in (0, 1):
            _stop(converter, f"Looplab did not grade all of {assignment}. What it has graded is kept; the lines above say what to do.")


def _run(converter: Any, command: list[str]) -> int:
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        _stop(converter, f"{command[0]} cannot be started ({error.strerror}). Install Looplab where nbgrader runs.")
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                converter.log.info("%s", line.rstrip())
    return process.returncode


def _stop(converter: Any, why: str) -> NoReturn:
    converter.log.error("%s", why)
    raise NbGraderException(why)
