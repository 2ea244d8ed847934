"""A small course in a folder of its own, with the real exercises: for tests that need a lesson and do not care which."""

from dataclasses import replace
from pathlib import Path

from grader.settings import Settings, read_settings

SETTINGS = read_settings()
FRONT = "---\ntitle: A try\nminutes: 60\ngoals: [See it run]\nexercises: [{exercises}]\n---\n\n# A try\n\n"
SLUG = "00-orientation"
NAME = f"course/lessons/{SLUG}/lesson.md"


def course_of(root: Path, lesson: str, exercises: str = "") -> Settings:
    """Settings of a course with one lesson: its body is `lesson`, below a front matter that lists `exercises`."""
    folder = root / "course" / "lessons" / SLUG
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lesson.md").write_text(FRONT.format(exercises=exercises) + lesson)
    (root / "course" / "course.toml").write_text(
        f'[[modules]]\nslug = "m{SLUG}"\ntitle = "A try"\ngoals = ["See it run"]\nlesson = "{SLUG}"\n'
    )
    for name in ("exercises", "course/misconceptions"):
        if not (root / name).exists():
            (root / name).symlink_to(SETTINGS.home / name)
    return replace(SETTINGS, home=root, data=root / ".looplab")
