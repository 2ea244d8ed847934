"""Links of a lesson to other files of the course, and where they lead in lesson.ipynb and in a learner's workspace."""

import difflib
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

LINK = re.compile(r"(?<=\]\()[^()\s]+(?=\))")
MISCONCEPTIONS = "course/misconceptions"


def relink(text: str, change: Callable[[str], str]) -> str:
    """Markdown with the path of each relative link changed; its `#…` stays."""

    def one(match: re.Match[str]) -> str:
        path, mark, anchor = match[0].partition("#")
        return match[0] if not path or re.match(r"[a-z]+:", path) else f"{change(path)}{mark}{anchor}"

    return LINK.sub(one, text)


def to_notebook(path: str) -> str:
    """Authors link to sources; in a notebook the other lesson is a notebook too."""
    return re.sub(r"^(\.\./[^/]+/)?lesson\.md$", r"\1lesson.ipynb", path)


def to_workspace(path: str, slug: str) -> str:
    """Where a link of the lesson `slug` leads in a workspace, whose notebooks lie at its top."""
    full = posixpath.normpath(f"course/lessons/{slug}/{path}")
    lesson = re.fullmatch(r"course/lessons/([^/]+)/lesson\.(?:md|ipynb)", full)
    contract = re.fullmatch(r"exercises/([^/]+)/prompt\.md", full)
    return f"{lesson[1]}.ipynb" if lesson else f"contracts/{contract[1]}.md" if contract else full.removeprefix(f"course/lessons/{slug}/")


def dead_links(text: str, home: Path, slug: str, lessons: list[str]) -> list[tuple[int, str]]:
    """Links that lead nowhere, here or in a workspace: the number of newlines before each, and a sentence."""
    found = []
    for match in LINK.finditer(text):
        path = match[0].partition("#")[0]
        if not path or re.match(r"[a-z]+:", path):
            continue
        full = posixpath.normpath(f"course/lessons/{slug}/{path}")
        lesson = re.fullmatch(r"course/lessons/([^/]+)/lesson\.(?:md|ipynb)", full)
        if lesson and lesson[1] in lessons:
            continue  # it may still have to be written
        above = text[: match.start()].count("\n")
        place = (home / full).parent
        if lesson or not (home / full).exists():
            near = difflib.get_close_matches(Path(full).name, [other.name for other in place.glob("*")], 1) if place.is_dir() else []
            advice = f"Did you mean {near[0]}?" if near else "It starts at the lesson's folder."
            found.append((above, f"the link to {path} leads nowhere. {advice}"))
        elif not re.match(rf"course/lessons/{slug}/|{MISCONCEPTIONS}/|exercises/[^/]+/prompt\.md$", full):
            found.append((above, f"the link to {path} leads nowhere for learners. They have misconceptions, lessons and prompts."))
    return found
