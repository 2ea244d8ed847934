"""From lesson.md to lesson.ipynb: the format, its errors, and bytes that only change where the source does."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.kernel.kernel import NodeKernel
from grader.cli.root import root as command
from grader.errors import LessonError
from grader.exercise import load_exercise
from grader.notebooks.course import load_course
from grader.notebooks.lessons import build_lesson, load_lesson
from tests.notebooks.home import FRONT, NAME, SETTINGS, SLUG, course_of

LESSONS = load_course(SETTINGS.home).lessons
each_lesson = pytest.mark.parametrize("slug", LESSONS)
CODE = "```{code-cell} javascript\n1 + 1\n```\n"
PREDICT = "```{predict} sum\nHow much?\n```\n\n```{code-cell} javascript\ncompare('sum', 2)\n```\n"
FIRST_LINE = FRONT.count("\n") + 1
"""Of the body, in the file."""


def notebook(root: Path, lesson: str, exercises: str = "") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(load_lesson(course_of(root, lesson, exercises).home, SLUG).notebook)
    return made


def sources(made: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in made["cells"]]


def refusal(root: Path, lesson: str, exercises: str = "") -> str:
    with pytest.raises(LessonError) as caught:
        load_lesson(course_of(root, lesson, exercises).home, SLUG)
    return str(caught.value)


# ---- what becomes of the source


def test_headings_and_plus_signs_begin_cells(tmp_path: Path) -> None:
    made = notebook(tmp_path, "Intro.\n\n## One\n\ntext\n\n+++\n\nmore\n\n```\n## no heading\n```\n\n### Two\n")

    assert sources(made)[2:] == ["## One\n\ntext", "more\n\n```\n## no heading\n```", "### Two"]
    assert sources(made)[0] == "# A try\n\nIntro."


def test_the_second_cell_says_what_the_lesson_is_for(tmp_path: Path) -> None:
    assert sources(notebook(tmp_path, ""))[1] == "Module 0 · about 60 minutes\n\nAfter this lesson you can:\n\n- See it run"


def test_code_keeps_its_text_and_tags(tmp_path: Path) -> None:
    made = notebook(tmp_path, "```{code-cell} javascript\n:tags: [raises-exception]\n\n  throw 1;\n\n\n```\n")

    assert made["cells"][-1]["metadata"] == {"tags": ["raises-exception"]}
    assert sources(made)[-1] == "  throw 1;"
    assert made["cells"][-1]["outputs"] == []
    assert made["cells"][-1]["execution_count"] is None


def test_a_prediction_becomes_the_question_and_a_cell_to_fill_in(tmp_path: Path) -> None:
    made = notebook(tmp_path, PREDICT + PREDICT.replace("sum", "other"))

    question, cell, _, second, *_ = sources(made)[2:]
    assert question.startswith("**Predict.** Write your answer in place of the `…`")
    assert question.endswith("\n\nHow much?")
    assert cell == "%%predict sum\n…"
    assert second == "**Predict.**\n\nHow much?"  # how it is done is explained once


def test_an_answer_is_folded(tmp_path: Path) -> None:
    (text,) = sources(notebook(tmp_path, "~~~{answer} Why does `x` win?\nBecause.\n\n```js\n1\n```\n~~~\n"))[2:]

    expected = "**Question.** Why does `x` win?\n\n<details>\n<summary>Answer</summary>\n\nBecause.\n\n```js\n1\n```\n\n</details>"
    assert text == expected


def test_an_exercise_brings_its_prompt_its_starter_and_its_magics(tmp_path: Path) -> None:
    made = notebook(tmp_path, "```{exercise} json-echo\n```\n", "json-echo")

    texts = sources(made)[2:]
    starter = (SETTINGS.exercises / "json-echo" / "starter" / "server.mjs").read_text()
    assert texts[0].startswith("## Exercise: Reading a body properly\n")
    assert texts[1].startswith("### 1. Echo what was sent\n")
    assert any(text.startswith("<details>\n<summary>The common contract") for text in texts)
    assert f"%%file json-echo/server.mjs\n{starter.rstrip()}" in texts
    assert [text for text in texts if re.fullmatch(r"%\w+ json-echo", text)] == ["%check json-echo", "%hint json-echo", "%submit json-echo"]
    answer = next(cell for cell in made["cells"] if cell["metadata"].get("looplab", {}).get("role") == "answer")
    assert answer["metadata"]["looplab"] == {"exercise": "json-echo", "file": "server.mjs", "role": "answer"}


def test_a_starter_of_several_files_gets_a_cell_each(tmp_path: Path) -> None:
    folder = tmp_path / "exercises" / "json-echo"
    (folder / "tests").mkdir(parents=True)
    (folder / "starter" / "lib").mkdir(parents=True)
    for name in ("exercise.toml", "prompt.md", "tests/test_json_echo.py"):
        (folder / name).write_bytes((SETTINGS.exercises / "json-echo" / name).read_bytes())
    for wrong in load_exercise(SETTINGS.exercises, "json-echo").manifest.wrong:
        (folder / "wrong" / wrong.folder).mkdir(parents=True)
    (folder / "starter" / "server.mjs").write_text("import './lib/a.mjs';\n")
    (folder / "starter" / "lib" / "a.mjs").write_text("export {};\n")

    texts = sources(notebook(tmp_path, "```{exercise} json-echo\n```\n", "json-echo"))

    files = [text for text in texts if text.startswith("%%file")]
    assert files == ["%%file json-echo/server.mjs\nimport './lib/a.mjs';", "%%file json-echo/lib/a.mjs\nexport {};"]


def test_comments_of_the_author_stay_with_the_author(tmp_path: Path) -> None:
    assert "secret" not in str(sources(notebook(tmp_path, "Seen.\n% secret: say it better\n\nSeen too.\n")))


def test_a_link_to_another_lesson_leads_to_its_notebook(tmp_path: Path) -> None:
    text = f"[here](../{SLUG}/lesson.md#top) and [there](https://nodejs.org/lesson.md) and [page](../../misconceptions/length-counts-characters.md)\n"

    seen = sources(notebook(tmp_path, text))[0]

    assert f"[here](../{SLUG}/lesson.ipynb#top)" in seen
    assert "(https://nodejs.org/lesson.md)" in seen
    assert "(../../misconceptions/length-counts-characters.md)" in seen


# ---- stable bytes


LONG = (
    "One.\n\n"
    + CODE
    + "\n## Two\n\n"
    + PREDICT
    + "\n## Three\n\n```{code-cell} javascript\n2 + 2\n```\n\n```{code-cell} javascript\n2 + 2\n```\n"
)


def ids(made: dict[str, Any]) -> list[str]:
    return [cell["id"] for cell in made["cells"]]


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    home = course_of(tmp_path, LONG + "\n```{exercise} json-echo\n```\n", "json-echo").home

    assert load_lesson(home, SLUG).notebook == load_lesson(home, SLUG).notebook


def test_the_notebook_is_valid_and_written_as_jupyter_writes_it(tmp_path: Path) -> None:
    lesson = load_lesson(course_of(tmp_path, LONG + "\n```{exercise} json-echo\n```\n", "json-echo").home, SLUG)

    read = nbformat.reads(lesson.notebook.decode(), as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(read)
    assert nbformat.writes(read) + "\n" == lesson.notebook.decode()  # type: ignore[no-untyped-call]
    assert read.metadata.kernelspec.name == "looplab-node"
    assert read.metadata.looplab.lesson == SLUG


def test_to_open_a_notebook_in_jupyterlab_changes_nothing_in_it(tmp_path: Path) -> None:
    metadata = notebook(tmp_path, LONG)["metadata"]
    spec = json.loads((Path(sys.prefix) / "share" / "jupyter" / "kernels" / "looplab-node" / "kernel.json").read_bytes())

    assert metadata["language_info"] == NodeKernel.language_info
    assert metadata["kernelspec"] == {"name": "looplab-node", "display_name": spec["display_name"], "language": spec["language"]}


def test_an_edit_of_one_cell_changes_no_other_id(tmp_path: Path) -> None:
    before = notebook(tmp_path, LONG)
    after = notebook(tmp_path, LONG.replace("1 + 1", "1 + 3"))

    assert len(set(ids(before)) ^ set(ids(after))) == 2


def test_a_new_cell_changes_no_other_id(tmp_path: Path) -> None:
    before = notebook(tmp_path, LONG)
    after = notebook(tmp_path, LONG.replace("## Two", "## New\n\ntext\n\n## Two"))

    assert set(ids(before)) < set(ids(after))
    assert len(ids(after)) == len(set(ids(after))) == len(ids(before)) + 1


def test_an_older_notebook_has_another_version(tmp_path: Path) -> None:
    versions = [notebook(tmp_path, text)["metadata"]["looplab"]["version"] for text in (LONG, LONG.replace("One", "one"), LONG)]

    assert versions[0] == versions[2] != versions[1]


# ---- errors


@pytest.mark.parametrize(
    ("lesson", "line", "said"),
    [
        ("```{exercize} json-echo\n```\n", 0, "unknown directive {exercize}. Did you mean {exercise}?"),
        ("```{note}\nx\n```\n", 0, "unknown directive {note}. There are {code-cell}, {predict}, {exercise}, {answer}."),
        ("```{code-cell} python\n1\n```\n", 0, "{code-cell} python: the cells of a lesson are javascript"),
        ("```{code-cell}\n1\n```\n", 0, "{code-cell} without a language"),
        ("```{code-cell} javascript\n\n```\n", 0, "{code-cell} is empty"),
        ("```{code-cell} javascript\n:hide: true\n\n1\n```\n", 0, "{code-cell} has one option"),
        ("```{code-cell} javascript\n:tags: wide\n\n1\n```\n", 0, "`:tags:` takes a list"),
        ("text\n\n```{predict}\nx\n```\n", 2, "{predict} lacks its NAME"),
        ("```{predict} a b\nx\n```\n", 0, '"a b" is no name of a prediction'),
        ("```{predict} sum\n\n```\n", 0, "{predict} is empty"),
        ("```{answer} Why?\n```\n", 0, "{answer} is empty"),
        ("```{answer}\nx\n```\n", 0, "{answer} lacks its QUESTION"),
        ("```{code-cell} javascript\n1\n", 0, "the fence of {code-cell} is never closed"),
        ("```js\n1\n", 0, "this fence is never closed"),
        ("- item\n\n  ```{answer} x\n  y\n  ```\n", 2, "{answer} stands inside a list"),
        ("```{answer} How long does `x` take?\ny\n```\n", 0, "the first line of this directive holds a back quote"),
        (":::{note}\nx\n:::\n", 0, "`:::` means nothing in a notebook"),
        ("(target)=\n## A\n", 0, "`(target)=` means nothing in a notebook"),
        ('a\n\n+++ {"tags": []}\n\nb\n', 2, "`+++` begins a new cell and takes nothing"),
        ("text\n%check json-echo\n", 1, "a line that begins with % is a comment"),
        ("# Second\n", 0, "a second heading with one `#`"),
        ("```{predict} sum\nx\n```\n\n" + CODE, 0, 'no later cell looks at the prediction "sum"'),
        (CODE.replace("1 + 1", "compare('six', 1)"), 0, 'nothing was predicted as "six" before. Put `{predict} six`'),
        (PREDICT + CODE.replace("1 + 1", "%%node --cjs --predict sun\n1"), 7, "Did you mean sum?"),
        (CODE.replace("1 + 1", "compare('sum', 1)") + PREDICT, 0, 'nothing was predicted as "sum" before'),
        (PREDICT + PREDICT, 7, f'the prediction "sum" was asked for in line {FIRST_LINE} already'),
        (CODE.replace("1 + 1", "%check json-ecco"), 0, '%check json-ecco: There is no exercise "json-ecco". Did you mean json-echo'),
        ("a\n[x](../../misconceptions/length-counts-character.md)\n", 1, "leads nowhere. Did you mean length-counts-characters.md?"),
        ("[x](../05-later/lesson.md)\n", 0, "the link to ../05-later/lesson.md leads nowhere"),
        ("[x](../../../exercises/json-echo/solution/server.mjs)\n", 0, "leads nowhere for learners"),
        ("```{answer} Why?\n[x](nothing.md)\n```\n", 1, "the link to nothing.md leads nowhere"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, lesson: str, line: int, said: str) -> None:
    complaint = refusal(tmp_path, lesson)

    assert complaint.startswith(f"{NAME}:{FIRST_LINE + line}: ")
    assert said in complaint


@pytest.mark.parametrize(
    ("lesson", "exercises", "said"),
    [
        (
            "```{exercise} json-echo\n```\n",
            "",
            f'{FIRST_LINE}: {{exercise}} json-echo: `exercises` in the front matter does not list "json-echo"',
        ),
        ("```{exercise} json-ecco\n```\n", "json-echo", "Did you mean json-echo?"),
        ("```{exercise} nothing\n```\n", "nothing", f'{FIRST_LINE}: {{exercise}} nothing: There is no exercise "nothing"'),
        ("", "json-echo", '1: `exercises` lists "json-echo", but there is no {exercise} json-echo below'),
        ("```{exercise} polite-cpu\n```\n", "polite-cpu", "it belongs to module m01-event-loop, this lesson to m00-orientation"),
        ("```{exercise} json-echo\n```\n" * 2, "json-echo", f"{FIRST_LINE + 2}: {{exercise}} json-echo stands here a second time"),
        ("```{exercise} json-echo\nx\n```\n", "json-echo", f"{FIRST_LINE}: {{exercise}} takes nothing between its fences"),
    ],
)
def test_exercises_and_front_matter_agree(tmp_path: Path, lesson: str, exercises: str, said: str) -> None:
    assert f"{NAME}:{said}" in refusal(tmp_path, lesson, exercises) or said in refusal(tmp_path, lesson, exercises)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# A try\n", "1: does not begin with a front matter"),
        ("---\ntitle: [\n---\n", "1: the front matter is not valid YAML"),
        ("---\njust text\n---\n", "1: the front matter is no table"),
        ("---\ntitel: A\n---\n", '1: unknown key "titel". Did you mean "title"?'),
        ("---\ntitle: A\nminutes: long\ngoals: [g]\n---\n", "1: Expected `int`, got `str` at `minutes`"),
        ("---\ntitle: A\nminutes: 60\ngoals: []\n---\n\n# A\n", "1: `goals` is empty"),
        ("---\ntitle: A\nminutes: 60\ngoals: [g]\n---\n\n# B\n", '7: the heading is "B", but `title` above is "A"'),
        ("---\ntitle: A\nminutes: 60\ngoals: [g]\n---\n\ntext\n", "does not begin with its title: `# A`"),
    ],
)
def test_a_wrong_front_matter_is_refused(tmp_path: Path, text: str, said: str) -> None:
    home = course_of(tmp_path, "").home
    (home / NAME).write_text(text)

    with pytest.raises(LessonError, match=re.escape(said)):
        load_lesson(home, SLUG)


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, "```{note}\nx\n```\n\n(a)=\n\n```{predict} b\n```\n")

    assert len(said.splitlines()) == 3


# ---- the lessons of the course


@each_lesson
def test_the_committed_notebook_is_what_its_source_gives(slug: str) -> None:
    lesson = load_lesson(SETTINGS.home, slug)

    assert (lesson.folder / "lesson.ipynb").read_bytes() == lesson.notebook, "run `looplab lessons build`"


@each_lesson
def test_the_executed_copy_is_of_this_notebook(slug: str) -> None:
    lesson = load_lesson(SETTINGS.home, slug)
    executed = json.loads((lesson.folder / "executed.ipynb").read_bytes())

    assert [cell["id"] for cell in executed["cells"]] == ids(json.loads(lesson.notebook)), "run `looplab lessons run`"
    assert executed["metadata"] == json.loads(lesson.notebook)["metadata"]


@each_lesson
def test_a_lesson_takes_60_to_90_minutes_and_has_an_exercise(slug: str) -> None:
    front = load_lesson(SETTINGS.home, slug).front

    assert 60 <= front.minutes <= 90
    assert len(front.exercises) == 1


def test_a_build_writes_once(tmp_path: Path) -> None:
    home = course_of(tmp_path, LONG).home
    lesson = load_lesson(home, SLUG)

    assert [build_lesson(lesson), build_lesson(lesson)] == [True, False]
    assert (home / "course" / "lessons" / SLUG / "lesson.ipynb").read_bytes() == lesson.notebook
    assert sorted(path.name for path in lesson.folder.iterdir()) == ["lesson.ipynb", "lesson.md"]


def test_the_command_builds_what_it_can_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = course_of(tmp_path, LONG).home
    with (home / "course" / "course.toml").open("a") as file:
        file.write('[[modules]]\nslug = "m01-b"\ntitle = "B"\ngoals = ["g"]\nlesson = "01-b"\n')
    monkeypatch.setenv("LOOPLAB_HOME", str(home))

    with pytest.raises(LessonError, match=r"course/lessons/01-b/lesson\.md is missing"):
        command.main(["lessons", "build"], standalone_mode=False)

    assert f"course/lessons/{SLUG}/lesson.ipynb: written" in capsys.readouterr().out
