"""The course: its modules in order, and which of them have a lesson (course/course.toml)."""

import difflib
import re
from pathlib import Path

import msgspec

from grader.errors import LessonError, SettingsError
from grader.tables import read_toml

NAME = "course/course.toml"


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[modules]]` table. Its exercises say themselves that they belong to it."""

    slug: str
    """As in `module` of exercise.toml."""
    title: str
    goals: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Slugs of earlier modules."""
    lesson: str | None = None
    """Folder below course/lessons/."""


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    modules: tuple[Module, ...]

    @property
    def lessons(self) -> list[str]:
        return [module.lesson for module in self.modules if module.lesson]

    def module_of(self, lesson: str) -> Module:
        return next(module for module in self.modules if module.lesson == lesson)

    def find_lesson(self, word: str) -> str:
        """The lesson that a person means by `01`, `1`, `event-loop` or `01-event-loop`. Raises SettingsError with the nearest."""
        for lesson in self.lessons:
            number, _, rest = lesson.partition("-")
            if word in (lesson, rest) or (word.isdecimal() and int(word) == int(number)):
                return lesson
        near = difflib.get_close_matches(word, [*self.lessons, *(name.partition("-")[2] for name in self.lessons)], 1, 0.4)
        raise SettingsError(
            f'There is no lesson "{word}". ' + (f"Did you mean {near[0]}?" if near else f"There are {', '.join(self.lessons)}.")
        )


def load_course(home: Path) -> Course:
    """Reads and validates course/course.toml. Raises LessonError with every complaint, one a line."""
    try:
        data = (home / "course" / "course.toml").read_bytes()
    except FileNotFoundError:
        raise LessonError(f"{NAME} is missing.") from None
    course = read_toml(NAME, data, Course, LessonError)
    if complaints := _complaints(course, home / "course" / "lessons"):
        raise LessonError("\n".join(f"{NAME}: {complaint}" for complaint in complaints))
    return course


def _complaints(course: Course, lessons: Path) -> list[str]:
    found: list[str] = []
    slugs = [module.slug for module in course.modules]
    for n, module in enumerate(course.modules):
        if not re.fullmatch(rf"m{n:02}(-[a-z0-9]+)+", module.slug):
            found.append(f'module {n + 1} is called "{module.slug}"; its name begins with "m{n:02}-", followed by a-z, 0-9 and -.')
        if module.lesson and module.lesson != module.slug[1:]:
            found.append(f'the lesson of {module.slug} is called "{module.lesson}"; it should be "{module.slug[1:]}".')
        for need in module.needs:
            if need not in slugs[:n]:
                near = difflib.get_close_matches(need, slugs[:n], 1)
                advice = f" Did you mean {near[0]}?" if near else ""
                found.append(f'{module.slug} needs "{need}", which is no module before it.{advice}')
    folders = [path.parent.name for path in sorted(lessons.glob("*/lesson.md"))]
    return found + [f"course/lessons/{name} is the lesson of no module." for name in folders if name not in course.lessons]
