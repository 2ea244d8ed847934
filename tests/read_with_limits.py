"""Reads hostile submissions as the grader would, each in a process that may take little memory and time and write no byte to a file.

    python -m tests.read_with_limits

For each line of standard input, `archive|notebook|nbgrader|name PATH` (`hoard` and `write` try the limits), one line of JSON says what became of it: `{"refused": SENTENCE}`,
what was found, or `{"died": …}`. Each is read by a fork of this process, as nobody where this process is root.
"""

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from grader.classes import find_submissions
from grader.errors import LooplabError
from grader.exercise import load_exercise
from grader.notebooks.nbgrader_autograde import HandedNotebook, _read
from grader.notebooks.nbgrader_released import released
from grader.notebooks.nbgrader_submitted import NotebookRefused
from grader.settings import read_settings
from grader.submission import Submission, read_submission

MEMORY = 128 * 1024 * 1024
"""Beside what the interpreter has taken before it reads. The largest notebook that is read at all has 16 MiB."""
CPU_SECONDS = 5
NOBODY = 65534
ECHO = load_exercise(read_settings().exercises, "json-echo")


def read(kind: str, path: Path) -> dict[str, Any]:
    try:
        if kind == "name":
            handed, remarks = find_submissions(path, [ECHO])
            return {"learners": [item.learner for item in handed], "remarks": remarks}
        if kind == "nbgrader":
            return read_nbgrader(path)
        if kind == "hoard":
            return {"taken": len(bytearray(2 * MEMORY))}
        if kind == "write":
            return {"written": path.write_bytes(b"x")}
        return found(read_submission(path, ECHO.manifest.submit.entry, ECHO.slug))
    except (LooplabError, NotebookRefused) as refusal:
        return {"refused": str(refusal)}
    except BaseException:
        return {"died": traceback.format_exc()[-2000:]}


def read_nbgrader(path: Path) -> dict[str, Any]:
    release = released(path.parents[2] / "release" / "json-echo" / "json-echo.ipynb")
    assert release is not None
    item: HandedNotebook = _read("eve", path, release, ECHO, ())
    return {**found(item.read()), "remarks": item.answers.remarks}


def found(submission: Submission) -> dict[str, Any]:
    return {"files": {name: len(data) for name, data in submission.files.items()}, "entry": submission.entry}


def limit() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)  # what a learner closed is closed to us, too


def main() -> None:
    for line in sys.stdin:
        kind, _, path = line.rstrip("\n").partition(" ")
        child = os.fork()
        if child == 0:
            limit()
            print(json.dumps(read(kind, Path(path))), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps({"died": f"wait status {status}"}), flush=True)


if __name__ == "__main__":
    "".encode("cp437")  # Python's own files may be closed to nobody: what zipfile needs is loaded before
    main()
