"""%check, %hint and %submit: the exercise of a lesson, from the first try to what is handed in."""

import io
import re
import signal
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, Option, usage_error
from course.kernel.magics.cell import Cell, dim
from course.kernel.magics.processes import node_environment, run_program
from grader.errors import ExerciseError, SettingsError, SubmissionRejected
from grader.exercise import Exercise, load_exercise
from grader.formats.html import DIM, report_html
from grader.formats.terminal import print_report
from grader.notebooks.files import write_whole
from grader.report import Report, from_json
from grader.settings import Settings
from grader.submission import Submission, read_submission, submission_of

CHECK_SECONDS = 120.0
OUTPUT_CHARACTERS_MAX = 16 * 1024 * 1024
COMMAND = "import sys; sys.argv[0] = 'looplab'; from grader.cli import main; main()"
"""What the console script does, for the interpreter that this kernel runs on: the script need not be in PATH."""
SUBMISSIONS = "submissions"


async def check(cell: Cell, given: Given) -> None:
    """Runs the visible checks of an exercise on your server, as `looplab check` does.

    Without a path it takes the folder that is named like the exercise, or else the notebook's folder. A failed check is no error of the
    cell: it is what you wanted to know.

    - `--task 2` runs only the checks of task 2.
    - `--hints` gives each failed check its hint, folded.
    - `--seed 7` sends the same requests as an earlier check with this seed (it stands below the feedback).

    ```text
    %check json-echo --task 1
    ```
    """
    exercise = _exercise(cell, given.words[0])
    path = given.word(1)
    task = given.whole("--task", 0, 1, 1000) or None
    seed = given.whole("--seed", 0, 0, 2**31 - 1) if given.text("--seed") else None
    if task is not None:
        _refuse_unknown_task(exercise, task)
    options = [*(["--task", str(task)] if task else []), *(["--seed", str(seed)] if seed is not None else [])]
    report = await _checked(cell, ["check", "--json", *options, "--", exercise.slug, *([path] if path else [])])
    cell.session.reports[exercise.slug] = report
    again = " ".join(["%check", *given.words, *(["--task", str(task)] if task else [])])
    hints, most = given.flag("--hints"), report.max_points
    cell.display(
        {"text/html": report_html(report, exercise, hints=hints, task=task), "text/plain": _plain(report, exercise, hints, again)},
        {"looplab": {"check": exercise.slug, "task": task, "verdict": report.verdict, "points": report.points, "max_points": most}},
    )
    if report.verdict != "passed":
        # nbgrader's own autograde takes standard error for a failed check, and nothing else (NOTEBOOKS.md).
        said = "Not graded" if report.points is None else f"Not all points yet: {report.points:g} of {most:g}"
        cell.write(f"{said}.\n", "stderr")


async def _checked(cell: Cell, arguments: list[str]) -> Report:
    out: list[str] = []
    err: list[str] = []
    ending, overtime = await run_program(
        cell,
        [sys.executable, "-c", COMMAND, *arguments],
        env=_environment(cell.settings),
        seconds=CHECK_SECONDS,
        stdout=out.append,
        stderr=err.append,
        stop_with=signal.SIGINT,  # it tidies up, then
    )
    if overtime:
        raise CellError("CheckError", f"The checks did not end within {CHECK_SECONDS:g} seconds. Please report it.")
    said = "".join(err).strip()
    try:
        report = from_json("".join(out)[:OUTPUT_CHARACTERS_MAX].encode("utf-8", "surrogatepass"))
    except msgspec.DecodeError:
        raise CellError("CheckError", _sentence(said) or f"The checks could not be run: looplab check {ending.words()}.") from None
    if said:  # a defect of the suite is no fault of the learner
        cell.write(dim(f"{said[:2000]}\n"))
    return report


def _environment(settings: Settings) -> dict[str, str]:
    """The command finds everything where this kernel finds it."""
    named = {
        "LOOPLAB_HOME": settings.home,
        "LOOPLAB_DATA": settings.data,
        "LOOPLAB_RUN_DIR": settings.run_dir,
        "LOOPLAB_NODE": settings.node,
    }
    return node_environment(settings, {name: str(value) for name, value in named.items()})


def _sentence(said: str) -> str:
    """The command's own sentence, without its name; of a traceback, the last line."""
    if "Traceback (most recent call last)" in said:
        return f"The checks could not be run. Please report it: {said.splitlines()[-1][:300]}"
    return re.sub(r"^(looplab|Error): ", "", said)[:2000]


def _plain(report: Report, exercise: Exercise, hints: bool, command: str) -> str:
    out = io.StringIO()
    print_report(report, exercise, hints=hints, command=command, console=Console(file=out, width=100, color_system=None, highlight=False))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().split("\n"))


# ---- hints


async def hint(cell: Cell, given: Given) -> None:
    """Shows the next hint of a task, one step at a time.

    The first hint asks a question, the last one nearly says it. Without a task it is the first one that your last `%check` failed.
    A number after the task shows that hint.

    ```text
    %hint json-echo 2
    ```
    """
    exercise = _exercise(cell, given.words[0])
    steps = _hints(exercise)
    tasks = [task.number for task in exercise.manifest.tasks]
    task = _number(given.word(1), "task") or _failed_task(cell, exercise) or tasks[0]
    _refuse_unknown_task(exercise, task)
    title = next(t.title for t in exercise.manifest.tasks if t.number == task)
    texts = steps.get(task)
    if not texts:
        raise CellError("HintError", f"There are no hints for task {task} of {exercise.slug}.")
    shown = cell.session.hints.get((exercise.slug, task), 0)
    step = _number(given.word(2), "hint") or shown + 1
    command = f"%hint {exercise.slug} {task}"
    if given.word(2) and step > len(texts):
        raise usage_error(f"Task {task} of {exercise.slug} has {len(texts)} hints.")
    if step > len(texts):
        cell.write(f"You have seen all {len(texts)} hints of task {task}. {command} 1 shows the first one again.\n")
        return
    cell.session.hints[exercise.slug, task] = step
    heading = f"Hint {step} of {len(texts)} for task {task}: {title}"
    more = f"{command} shows the next one." if step < len(texts) else "This was the last one."
    markdown = f'**{heading}**\n\n{texts[step - 1]}\n\n<span style="{DIM}">{more}</span>'
    cell.display(
        {"text/plain": f"{heading}\n\n{texts[step - 1]}\n\n{more}", "text/markdown": markdown},
        {"looplab": {"hint": exercise.slug, "task": task, "step": step}},
    )


def _hints(exercise: Exercise) -> dict[int, list[str]]:
    """The numbered lists below the headings `## N. title` of hints.md."""
    try:
        text = (exercise.folder / "hints.md").read_text("utf-8")
    except OSError:
        raise CellError("HintError", f"There are no hints for {exercise.slug}.") from None
    tasks: dict[int, list[str]] = {}
    for part in re.split(r"^## (?=\d+\. )", text, flags=re.MULTILINE)[1:]:
        number, _, rest = part.partition(". ")
        items = re.split(r"^\d+\. +", rest.partition("\n")[2], flags=re.MULTILINE)[1:]
        tasks[int(number)] = [re.sub(r"^ {1,3}", "", item, flags=re.MULTILINE).strip() for item in items]
    return tasks


def _number(text: str | None, what: str) -> int | None:
    if text is not None and not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise usage_error(f'The number of a {what} is like 1, not "{text}". It is written: {HINT.usage}')
    return int(text) if text else None


def _failed_task(cell: Cell, exercise: Exercise) -> int | None:
    report = cell.session.reports.get(exercise.slug)
    return min((check.task for check in report.checks if check.outcome == "failed"), default=None) if report else None


# ---- handing in


async def submit(cell: Cell, given: Given) -> None:
    """Packs your files into `submissions/<exercise>.zip`, after reading them as the grader would.

    Without a path it takes the folder that is named like the exercise, or else the notebook's folder. The same files always give the same
    bytes. Nothing is sent anywhere: the file is yours to hand in.

    ```text
    %submit json-echo
    ```
    """
    exercise = _exercise(cell, given.words[0])
    path = given.word(1) or (exercise.slug if (cell.cwd / exercise.slug).is_dir() else ".")
    target = cell.cwd / SUBMISSIONS / f"{exercise.slug}.zip"
    try:
        submission = _without_submissions(
            read_submission(cell.cwd / path, exercise.manifest.submit.entry, exercise.slug), cell.cwd / path, target, exercise
        )
        write_whole(target, _packed(submission))
    except SubmissionRejected as refusal:
        raise CellError("SubmissionError", str(refusal)) from None
    except SettingsError as error:
        raise CellError("FileError", str(error).replace("run the same command again", "run the cell again")) from None
    name = str(target.relative_to(cell.cwd))
    files = [_File(name, len(data)) for name, data in sorted(submission.files.items())]
    width = max(len(file.name) for file in files)
    total = sum(file.size for file in files)
    cell.write("".join(f"  {file.name.ljust(width)}  {file.size:>9,} bytes\n" for file in files))
    count = f"{len(files)} file" if len(files) == 1 else f"{len(files)} files"
    cell.write(f"{name} holds {count}, {total:,} bytes; the grader will run {submission.entry}.\n")
    cell.write(
        "Now hand in this file where your course takes submissions. Packed again after a change, it is a new file: hand in that one.\n"
    )


@dataclass(frozen=True)
class _File:
    name: str
    size: int


def _without_submissions(submission: Submission, source: Path, target: Path, exercise: Exercise) -> Submission:
    """What was packed before is no part of the next package, when the whole notebook's folder is handed in."""
    if source.resolve() not in target.parent.resolve().parents:
        return submission
    before = f"{target.parent.resolve().relative_to(source.resolve())}/"
    files = {name: data for name, data in submission.files.items() if not name.startswith(before)}
    return submission_of(files, exercise.manifest.submit.entry)


def _packed(submission: Submission) -> bytes:
    """A zip with the same bytes for the same files: sorted, undated, and not compressed, as zlib's versions differ."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(submission.files.items()):
            item = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            item.create_system = 3
            item.external_attr = 0o100644 << 16
            archive.writestr(item, data)
    return out.getvalue()


# ---- shared


def _exercise(cell: Cell, slug: str) -> Exercise:
    try:
        return load_exercise(cell.settings.exercises, slug)
    except (SettingsError, ExerciseError) as error:
        known = ", ".join(sorted(path.parent.name for path in cell.settings.exercises.glob("*/exercise.toml")))
        raise CellError("UnknownExercise", str(error).replace("`looplab list` shows them all.", f"There are {known}.")) from None


def _refuse_unknown_task(exercise: Exercise, task: int) -> None:
    tasks = [t.number for t in exercise.manifest.tasks]
    if task not in tasks:
        raise usage_error(f"{exercise.slug} has no task {task}. It has {', '.join(map(str, tasks))}.")


CHECK = Magic(
    "%check",
    check,
    words=("<exercise>", "[<path>]"),
    options=(Option("--task", "N"), Option("--hints"), Option("--seed", "N")),
)
HINT = Magic("%hint", hint, words=("<exercise>", "[<task>]", "[<step>]"))
SUBMIT = Magic("%submit", submit, words=("<exercise>", "[<path>]"))
