"""A learner's workspace: the lessons, a folder with the starter for each exercise, contracts, visible checks, and the packages.

What Looplab wrote there it knows by its digest (.looplab-workspace.json). A file that the learner changed is never touched; one
that is as Looplab wrote it follows the course. All new files are written beside the old ones first, so a full disk changes nothing.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from grader.errors import LessonError, SettingsError
from grader.exercise import Exercise, load_exercises
from grader.notebooks.cells import as_file
from grader.notebooks.course import load_course
from grader.notebooks.files import cannot_write
from grader.notebooks.lessons import Lesson, load_lesson
from grader.notebooks.links import MISCONCEPTIONS, relink, to_workspace
from grader.notebooks.visible import visible_checks
from grader.notebooks.welcome import readme
from grader.settings import Settings

RECORD = ".looplab-workspace.json"
CLONE = {"course", "exercises", "grader", "site", "tests", ".git", ".venv"}
"""Folders of a clone of Looplab in which no workspace belongs. One beside them, in the clone, is fine."""


class Record(msgspec.Struct, frozen=True):
    """What Looplab wrote into a workspace."""

    files: dict[str, str]
    """Each file's name below the workspace and the SHA-256 of what Looplab wrote there last."""
    packages: str = ""
    """Where Looplab let node_modules point to."""
    schema: int = 1


class Changes(msgspec.Struct, frozen=True):
    """What `make_workspace` did; names are relative to the workspace."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    left: tuple[str, ...]
    """The learner's own: other than what Looplab wrote last."""
    outdated: tuple[str, ...]
    """Those of `left` of which the course has a newer version than the one that the learner changed."""
    gone: tuple[str, ...]
    """No part of the course any more, and left where they are."""


def make_workspace(folder: Path, settings: Settings, *, beside_others: bool = False) -> Changes:
    """Makes or renews the workspace in `folder`. Raises SettingsError with what to do; then nothing there has changed.

    A folder with other files is refused unless `beside_others`: a mistyped name would strew the course over somebody's home.
    """
    folder = folder.resolve()
    try:
        _refuse_place(folder, settings.home, beside_others)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return put_files(folder, workspace_files(settings), settings.packages)


def put_files(folder: Path, wanted: dict[str, bytes], packages: Path) -> Changes:
    """Brings `wanted` into `folder`, except over what the learner changed."""
    known = _read_record(folder)
    added, updated, left, outdated = [], [], [], []
    digests = dict(known.files)
    new: dict[str, bytes] = {}
    for name, data in wanted.items():
        there, ours = _bytes_at(folder / name), _digest(data)
        if there is None:
            added.append(name)
            new[name] = data
        elif there != data and _digest(there) == known.files.get(name):
            updated.append(name)
            new[name] = data
        elif there != data:
            left.append(name)
            if known.files.get(name) != ours:
                outdated.append(name)
            continue  # what is remembered stays: the version that the learner began with
        digests[name] = ours
    gone = tuple(name for name in known.files if name not in wanted and (folder / name).exists())
    target = _link_target(folder, known, packages)
    record = Record({name: digest for name, digest in digests.items() if name in wanted or name in gone}, target or known.packages)
    if new or target or record != known:
        _write_together(folder, new | {RECORD: msgspec.json.format(msgspec.json.encode(record), indent=1)}, target)
    return Changes(tuple(added), tuple(updated), tuple(left), tuple(outdated), gone)


def is_workspace(folder: Path) -> bool:
    return (folder / RECORD).is_file()


# ---- what belongs into it


def workspace_files(settings: Settings, only: list[str] | None = None) -> dict[str, bytes]:
    """Every file of a workspace, from the course as it is now, with all lessons or `only` these.

    Raises LessonError for a lesson or an exercise that is wrong.
    """
    course = load_course(settings.home)
    lessons = [load_lesson(settings.home, slug) for slug in (course.lessons if only is None else only)]
    exercises = [exercise for exercise in load_exercises(settings.exercises) if exercise.manifest.status == "ready"]
    files: dict[str, bytes] = {"README.md": readme(course, lessons, exercises).encode()}
    for name, data in [
        *(item for lesson in lessons for item in _of_lesson(lesson)),
        *(item for exercise in exercises for item in _of_exercise(exercise)),
        *((f"{MISCONCEPTIONS}/{path.name}", path.read_bytes()) for path in sorted((settings.home / MISCONCEPTIONS).glob("*.md"))),
    ]:
        if name in files:
            raise LessonError(f"two parts of the course want to be {name} in a workspace. Rename one of them.")
        files[name] = data
    return files


def _of_lesson(lesson: Lesson) -> Iterator[tuple[str, bytes]]:
    yield f"{lesson.slug}.ipynb", for_workspace(lesson)
    for path in lesson.extras:
        yield str(path.relative_to(lesson.folder)), path.read_bytes()


def for_workspace(lesson: Lesson) -> bytes:
    """The lesson's notebook with its links changed: in a workspace it lies at the top."""
    written = msgspec.json.decode(lesson.notebook)
    for cell in written["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = relink("".join(cell["source"]), partial(to_workspace, slug=lesson.slug)).splitlines(keepends=True)
    return as_file(written)


def _of_exercise(exercise: Exercise) -> Iterator[tuple[str, bytes]]:
    starter = exercise.folder / "starter"
    for path in sorted(starter.rglob("*")):
        if path.is_file():
            yield f"{exercise.slug}/{path.relative_to(starter)}", path.read_bytes()
    yield f"contracts/{exercise.slug}.md", (exercise.folder / "prompt.md").read_bytes()
    for name, text in visible_checks(exercise).items():
        yield f"checks/{name}", text.encode()


# ---- how it gets there


def _refuse_place(folder: Path, home: Path, beside_others: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file. Name a folder for the workspace; it is made when it does not exist.")
    for clone in [folder, *folder.parents]:
        inside = folder.relative_to(clone).parts
        if (clone / "exercises" / "common-contract.md").is_file() and (not inside or inside[0] in CLONE):
            raise SettingsError(f"{folder} is a part of Looplab itself. Name another folder, such as ~/node-course.")
    if home.is_relative_to(folder):
        raise SettingsError(f"{folder} holds Looplab itself. Name another folder, such as ~/node-course.")
    others = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if others and not is_workspace(folder) and not beside_others:
        raise SettingsError(
            f"{folder} holds other files and is no workspace. Name a new folder, or make it one nevertheless: "
            f"`looplab init --beside-others {folder}` overwrites nothing that is there."
        )


def _read_record(folder: Path) -> Record:
    path = folder / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return Record({})
    except OSError as error:
        raise cannot_write(path, error) from None
    except msgspec.DecodeError:
        # Without it nothing counts as untouched, so nothing can be lost.
        return Record({})


def _bytes_at(path: Path) -> bytes | None:
    """What stands there; b"" for what is no plain file and so never ours. Raises SettingsError when it cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else b"" if path.is_symlink() or path.exists() else None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Move it away or make it readable, then run this again.") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _link_target(folder: Path, known: Record, packages: Path) -> str | None:
    """Where node_modules should point to from now on, or None when it may stay: it is right already, or it is the learner's own."""
    link, target = folder / "node_modules", str(packages)
    if link.is_symlink():
        points_to = os.readlink(link)
        return target if points_to != target and points_to == known.packages else None
    return None if link.exists() else target


def _write_together(folder: Path, files: dict[str, bytes], link: str | None) -> None:
    """All bytes are on the disk before the first file takes its place."""
    new_folders = [place for place in [folder, *folder.parents] if not place.exists()]
    staging = None
    at = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".looplab-new-", dir=folder))
        for n, data in enumerate(files.values()):
            with (staging / str(n)).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # a full disk may say so only now
        if link:
            (staging / "link").symlink_to(link)
        for name in files:
            at = folder / name
            at.parent.mkdir(parents=True, exist_ok=True)
        for n, name in enumerate(files):
            at = folder / name
            os.replace(staging / str(n), at)
        if link:
            os.replace(staging / "link", folder / "node_modules")
    except OSError as error:
        if new_folders:
            shutil.rmtree(new_folders[-1], ignore_errors=True)  # was not there before
        raise cannot_write(at, error) from None
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)
