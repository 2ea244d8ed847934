"""A lesson: from lesson.md, the only file that an author edits, to the notebook that learners get."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from grader.errors import ExerciseError, LessonError, LooplabError, SettingsError
from grader.exercise import Exercise, load_exercise
from grader.notebooks.cells import Cell, markdown, notebook_json
from grader.notebooks.course import Module, load_course
from grader.notebooks.embedded import exercise_cells
from grader.notebooks.files import write_whole
from grader.notebooks.links import dead_links, relink, to_notebook
from grader.notebooks.source import Block, FrontMatter, Source, read_source

GENERATED = {"lesson.md", "lesson.ipynb", "executed.ipynb"}
"""What a lesson's folder holds besides files that its cells use."""


class Lesson(msgspec.Struct, frozen=True):
    slug: str
    folder: Path
    module: Module
    front: FrontMatter
    notebook: bytes
    """lesson.ipynb as it should be."""

    @property
    def extras(self) -> list[Path]:
        """Further files of the folder, which its cells or its prose use."""
        return [path for path in sorted(self.folder.rglob("*")) if path.is_file() and path.name not in GENERATED and path.name[0] != "."]


def load_lesson(home: Path, slug: str) -> Lesson:
    """Reads course/lessons/<slug>/lesson.md and builds its notebook. Raises LessonError with every complaint, one a line."""
    course = load_course(home)
    module = course.module_of(slug)
    folder = home / "course" / "lessons" / slug
    name = f"course/lessons/{slug}/lesson.md"
    source = read_source(folder / "lesson.md", name)
    complaints: list[tuple[int, str]] = []
    exercises = _exercises(home / "exercises", module, source, complaints)
    _check_predictions(source.blocks, complaints)
    _check_magics(source.blocks, home / "exercises", complaints)
    _check_links(source.blocks, home, slug, course.lessons, complaints)
    if complaints:
        raise LessonError("\n".join(f"{name}:{line}: {complaint}" for line, complaint in sorted(complaints)))
    cells = list(_cells(source, module, exercises))
    return Lesson(slug, folder, module, source.front, notebook_json(cells, slug, {"lesson": slug}))


def build_lesson(lesson: Lesson) -> bool:
    """Writes lesson.ipynb; False when it holds the same bytes already."""
    path = lesson.folder / "lesson.ipynb"
    if path.is_file() and path.read_bytes() == lesson.notebook:
        return False
    write_whole(path, lesson.notebook)
    return True


# ---- from blocks to cells


def _cells(source: Source, module: Module, exercises: dict[str, Exercise]) -> Iterator[Cell]:
    explained = False
    for n, block in enumerate(source.blocks):
        if block.kind == "prose":
            yield markdown(relink(block.text, to_notebook))
        elif block.kind == "code-cell":
            yield Cell("code", block.text, tags=block.tags)
        elif block.kind == "predict":
            how = "" if explained else " Write your answer in place of the `…` and run the cell; the cell after it compares."
            explained = True
            yield markdown(f"**Predict.**{how}\n\n{relink(block.text, to_notebook)}")
            yield Cell("code", f"%%predict {block.argument}\n…", f"predict-{block.argument}", looplab={"predict": block.argument})
        elif block.kind == "exercise":
            yield from exercise_cells(exercises[block.argument])
        elif block.kind == "answer":
            text = relink(block.text, to_notebook)
            yield markdown(f"**Question.** {block.argument}\n\n<details>\n<summary>Answer</summary>\n\n{text}\n\n</details>")
        if n == 0:
            yield _overview(source.front, module)


def _overview(front: FrontMatter, module: Module) -> Cell:
    goals = "\n".join(f"- {goal}" for goal in front.goals)
    return markdown(f"Module {int(module.slug[1:3])} · about {front.minutes} minutes\n\nAfter this lesson you can:\n\n{goals}", "overview")


# ---- what contradicts itself


def _exercises(root: Path, module: Module, source: Source, complaints: list[tuple[int, str]]) -> dict[str, Exercise]:
    """The embedded exercises, which are those of the front matter, each once."""
    listed = source.front.exercises
    found: dict[str, Exercise] = {}
    for block in source.blocks:
        if block.kind != "exercise" or not block.argument:
            continue
        slug = block.argument
        if slug in found:
            complaints.append((block.line, f"{{exercise}} {slug} stands here a second time."))
            continue
        if slug not in listed:
            near = difflib.get_close_matches(slug, listed, 1)
            advice = f"Did you mean {near[0]}?" if near else f"Add it: `exercises: [{', '.join([*listed, slug])}]`."
            complaints.append((block.line, f'{{exercise}} {slug}: `exercises` in the front matter does not list "{slug}". {advice}'))
        try:
            exercise = load_exercise(root, slug)
        except (SettingsError, ExerciseError) as error:
            complaints.append((block.line, f"{{exercise}} {slug}: {error}"))
            continue
        if exercise.manifest.status != "ready":
            complaints.append((block.line, f"{{exercise}} {slug}: its status is {exercise.manifest.status}, not ready."))
        if exercise.manifest.module != module.slug:
            complaints.append(
                (block.line, f"{{exercise}} {slug}: it belongs to module {exercise.manifest.module}, this lesson to {module.slug}.")
            )
        found[slug] = exercise
    embedded = [block.argument for block in source.blocks if block.kind == "exercise"]
    complaints += [
        (1, f'`exercises` lists "{slug}", but there is no {{exercise}} {slug} below.') for slug in listed if slug not in embedded
    ]
    return found


def _check_predictions(blocks: tuple[Block, ...], complaints: list[tuple[int, str]]) -> None:
    """Every prediction is looked at by a later cell, and what is looked at was predicted before."""
    asked: dict[str, int] = {}
    compared: set[str] = set()
    for block in blocks:
        first = block.text.split("\n")[0] if block.kind == "code-cell" else ""
        by_hand = re.match(r"%%predict\s+(\S+)", first)
        name = block.argument if block.kind == "predict" else by_hand[1] if by_hand else ""
        if name and name in asked:
            complaints.append((block.line, f'the prediction "{name}" was asked for in line {asked[name]} already. Choose another name.'))
        elif name:
            asked[name] = block.line
        elif block.kind == "code-cell":
            used = re.findall(r"--predict[ =](\S+)", first if first.startswith("%%") else "")
            used += [match[2] for match in re.finditer(r"\bcompare\(\s*(['\"`])(.*?)\1", block.text)]
            for name in used:
                if name not in asked:
                    near = difflib.get_close_matches(name, asked, 1)
                    advice = f"Did you mean {near[0]}?" if near else f"Put `{{predict}} {name}` before this cell."
                    complaints.append((block.line, f'nothing was predicted as "{name}" before. {advice}'))
            compared.update(used)
    for name, line in asked.items():
        if name not in compared:
            complaints.append(
                (line, f"no later cell looks at the prediction \"{name}\". Write `%%node --predict {name}` or compare('{name}', …).")
            )


def _check_magics(blocks: tuple[Block, ...], exercises: Path, complaints: list[tuple[int, str]]) -> None:
    for block in blocks:
        magic = re.match(r"%(check|hint|submit)[ \t]+([^\s?]+)", block.text) if block.kind == "code-cell" else None
        if magic:
            try:
                load_exercise(exercises, magic[2])
            except LooplabError as error:
                complaints.append((block.line, f"%{magic[1]} {magic[2]}: {error}"))


def _check_links(blocks: tuple[Block, ...], home: Path, slug: str, lessons: list[str], complaints: list[tuple[int, str]]) -> None:
    for block in blocks:
        if block.kind not in ("code-cell", "exercise"):
            first = block.line + (block.kind != "prose")  # a directive's text begins below its first line
            complaints += [(first + above, said) for above, said in dead_links(block.text, home, slug, lessons)]
