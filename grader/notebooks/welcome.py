"""README.md of a workspace: what a learner reads first."""

from grader.exercise import Exercise
from grader.notebooks.course import Course
from grader.notebooks.lessons import Lesson

LEVELS = ("", "first steps", "easy", "medium", "demanding", "a project")

TEXT = """\
# Your workspace

Lessons are notebooks. You read, predict, run, and then write a server of your own. This folder is yours: change, break and repair
what you like.

```sh
looplab lab                   # opens the lessons in JupyterLab; Ctrl-C ends it
looplab check {example}       # checks your server in {example}/, in a terminal; --watch repeats it whenever you save
```

## Lessons

Open one and run its cells from the top, one at a time: Shift-Enter. Where a lesson asks you to predict, write your guess before you
run the next cell. A wrong guess teaches more than no guess.

{lessons}

## Exercises

A contract says what your server has to do. Write the server in the lesson's answer cell, or in any editor: the answer cell writes
the same file. When you run that cell, it replaces what stands in the file.

{exercises}

When you are content, `%submit {example}` in the notebook packs your files into `submissions/{example}.zip`. That is what you hand in.

## What is where

| folder | holds |
|---|---|
| `contracts/` | all that is asked of you, for each exercise |
| `checks/` | the checks that `looplab check` runs, to read; what you hand in is graded with hidden ones, too |
| `course/misconceptions/` | pages about ideas that look right; feedback names them |
| `node_modules/` | the packages that exercises may use |

`looplab init .` in this folder brings what is new in the course. It never touches a file that you have changed; it names it, and when
you rename yours and run it again, you get the new one beside it.
"""


def readme(course: Course, lessons: list[Lesson], exercises: list[Exercise]) -> str:
    embedded = {slug: lesson for lesson in lessons for slug in lesson.front.exercises}
    rows = [f"| [{lesson.front.title}]({lesson.slug}.ipynb) | {lesson.front.minutes} | {_names(lesson)} |" for lesson in lessons]
    tasks = [
        f"| [{e.manifest.title}](contracts/{e.slug}.md) | `{e.slug}/` | {e.manifest.summary} | {LEVELS[e.manifest.difficulty]} "
        f"| {e.manifest.minutes} | {_link(embedded.get(e.slug))} |"
        for e in exercises
    ]
    return TEXT.format(
        example=exercises[0].slug if exercises else "EXERCISE",
        lessons="\n".join(["| lesson | minutes | exercise in it |", "|---|---|---|", *rows]),
        exercises="\n".join(
            ["| contract | your folder | what you build | level | minutes | lesson |", "|---|---|---|---|---|---|", *tasks]
        ),
    )


def _names(lesson: Lesson) -> str:
    return ", ".join(f"`{slug}`" for slug in lesson.front.exercises)


def _link(lesson: Lesson | None) -> str:
    return f"[{lesson.front.title}]({lesson.slug}.ipynb)" if lesson else ""
