"""An exercise as cells of a notebook: its prompt, the answer with the starter, the check, the hints and how to hand in.

Only what a learner may see is read: prompt.md and starter/. Nothing of solution/, right/, wrong/ or tests/ can enter.
"""

import re

from grader.errors import LessonError
from grader.exercise import Exercise
from grader.notebooks.cells import Cell, markdown

COMMON_CONTRACT = "The common contract"
"""The heading below which prompt.md repeats what holds in every exercise."""


def exercise_cells(exercise: Exercise) -> list[Cell]:
    """The cells, with names that outlive an edit of the exercise."""
    slug = exercise.slug
    files = starter_files(exercise)
    several = f"the files of `{slug}/`, a cell each" if len(files) > 1 else f"`{slug}/{files[0][0]}`"
    return [
        *_prompt(exercise),
        markdown(
            f"### Your answer\n\nYou write {several}. Run a cell to save its file, and run it again after each change.",
            f"{slug}-answer",
            exercise=slug,
            role="text",
        ),
        *(
            Cell("code", f"%%file {slug}/{name}\n{text}", f"{slug}-file-{name}", looplab={"exercise": slug, "role": "answer", "file": name})
            for name, text in files
        ),
        markdown(
            "Check your server as often as you like. When you are stuck, take a hint; there are three for each task.",
            f"{slug}-checking",
            exercise=slug,
            role="text",
        ),
        Cell("code", f"%check {slug}", f"{slug}-check", looplab={"exercise": slug, "role": "check"}),
        Cell("code", f"%hint {slug}", f"{slug}-hint", looplab={"exercise": slug, "role": "hint"}),
        markdown(
            f"When you are content, pack your files. `submissions/{slug}.zip` is what you hand in; "
            "it is graded with hidden checks, too, but they prove nothing that the contract does not say.",
            f"{slug}-handing-in",
            exercise=slug,
            role="text",
        ),
        Cell("code", f"%submit {slug}", f"{slug}-submit", looplab={"exercise": slug, "role": "submit"}),
    ]


def starter_files(exercise: Exercise) -> list[tuple[str, str]]:
    """Names and texts of the starter, the entry file first. A final newline is left to `%%file`."""
    root = exercise.folder / "starter"
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    entry = next((name for name in exercise.manifest.submit.entry if name in names), None)
    if entry is None:
        raise LessonError(f"exercises/{exercise.slug}/starter: holds no {exercise.manifest.submit.entry[0]}.")
    return [(name, (root / name).read_text("utf-8").rstrip("\n")) for name in [entry, *(n for n in names if n != entry)]]


def _prompt(exercise: Exercise) -> list[Cell]:
    """A cell for each heading, one level lower than in prompt.md; the common contract is folded."""
    cells = []
    for n, part in enumerate(sections((exercise.folder / "prompt.md").read_text("utf-8"))):
        heading, _, text = part.partition("\n")
        title = heading.lstrip("# ")
        if title == COMMON_CONTRACT:
            part = f"<details>\n<summary>{title}: what holds in every exercise</summary>\n\n{text.strip()}\n\n</details>"
        elif n == 0:
            part = f"## Exercise: {title}\n{text}"
        else:
            part = f"#{heading}\n{text}"
        name = f"{exercise.slug}-prompt" + (f"-{n}" if n else "")
        cells.append(markdown(part.rstrip(), name, exercise=exercise.slug, role="prompt"))
    return cells


def sections(text: str) -> list[str]:
    """Markdown cut before each heading of the first two levels that stands outside of fences."""
    from jupytext.myst import get_parser

    lines = text.split("\n")
    cuts = [token.map[0] for token in get_parser().parse(text) if token.type == "heading_open" and token.level == 0 and len(token.tag) == 2]
    cuts = [cut for cut in cuts if re.match(r"##? ", lines[cut])]
    return ["\n".join(lines[a:b]).strip("\n") for a, b in zip(cuts, [*cuts[1:], len(lines)], strict=True)]
