"""A course as a person would have it, without waiting for the nbgrader command: init, and what generate_assignment makes of it."""

import json
import os
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearSolutions, ComputeChecksums, LockCells

from grader.exercise import Exercise, load_exercise
from grader.notebooks.nbgrader_course import STUB, init_course, source_notebook
from grader.notebooks.nbgrader_released import Released, nbgrader_of, released, source_of
from grader.settings import read_settings

SETTINGS = read_settings()
ECHO = load_exercise(SETTINGS.exercises, "json-echo")
BIN = Path(sys.executable).parent
RUN_DIR = tempfile.TemporaryDirectory(prefix="looplab-nb-", dir="/tmp")  # removed when the tests end
os.chmod(RUN_DIR.name, 0o711)
WHEN = "2026-11-20 12:00:00.000000 UTC"


def environment(tmp_path: Path) -> dict[str, str]:
    """For commands: nothing of this machine's Jupyter, nor of the project's own database."""
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / f"jupyter-{name.lower()}") for name in ("CONFIG", "DATA", "RUNTIME")}
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    return {
        **os.environ,
        **own,
        "PATH": path,
        "LOOPLAB_DATA": str(tmp_path / "looplab"),
        "LOOPLAB_RUN_DIR": RUN_DIR.name,
    }


ANSWER, SPARE = "json-echo-file-server-mjs", "json-echo-file-extra"
BROKEN = "throw new Error('not today');"


def make_course(folder: Path, exercise: Exercise = ECHO) -> Released:
    """The course with one released assignment. `fill_gradebook` makes its gradebook."""
    init_course(folder, [exercise])
    slug = exercise.slug
    source = as_nbformat(source_notebook(exercise))
    resources: dict[str, Any] = {}
    for step in (LockCells(), ClearSolutions(code_stub={"javascript": STUB}), ComputeChecksums()):
        source, resources = step.preprocess(source, resources)
    path = folder / "release" / slug / f"{slug}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(source))
    release = released(path)
    assert release is not None
    return release


def as_nbformat(data: bytes) -> Any:
    return nbformat.reads(data.decode(), 4)  # type: ignore[no-untyped-call]


def fill_gradebook(folder: Path, release: Released, assignment: str = "json-echo") -> None:
    """What `nbgrader generate_assignment` writes there."""
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # a new gradebook asks the command alembic
    with Gradebook(f"sqlite:///{folder}/gradebook.db", "looplab") as gradebook:
        gradebook.update_or_create_assignment(assignment, course_id="looplab")
        gradebook.add_notebook(release.name, assignment)
        for cell in release.content["cells"]:
            about = nbgrader_of(cell)
            if about.get("grade"):
                known = {"max_score": float(about["points"]), "cell_type": cell["cell_type"]}
                gradebook.add_grade_cell(about["grade_id"], release.name, assignment, **known)
            if about.get("solution"):
                gradebook.add_solution_cell(about["grade_id"], release.name, assignment)


def hand_in(
    folder: Path, release: Released, learner: str, server: str | None = None, when: str = WHEN, assignment: str = "json-echo"
) -> Path:
    """What `nbgrader collect` leaves, with this answer; without one, as it was fetched. Returns the notebook."""
    content = json.loads(json.dumps(release.content))
    if server is not None:
        edit(content, release.answers[0].grade_id, f"%%file {release.exercise}/server.mjs\n{server}")
    path = folder / "submitted" / learner / assignment / f"{release.name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    (path.parent / "timestamp.txt").write_text(when)
    (path.parent / "submission_secret.txt").write_text("5ec2e7" * 20)
    return path


class Tags(HTMLParser):
    """What of a page a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def edit(content: dict[str, Any], grade_id: str, source: str) -> None:
    cell_of(content, grade_id)["source"] = source


def cell_of(content: dict[str, Any], grade_id: str) -> dict[str, Any]:
    return next(cell for cell in content["cells"] if nbgrader_of(cell).get("grade_id") == grade_id)


def solution(exercise: Exercise = ECHO) -> str:
    return (exercise.folder / "solution" / "server.mjs").read_text()


def text_of(path: Path, grade_id: str) -> str:
    return source_of(cell_of(json.loads(path.read_text()), grade_id))
