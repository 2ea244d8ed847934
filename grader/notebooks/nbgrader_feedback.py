"""A report as nbgrader shows it: scores of its cells, a comment, and the autograded notebook.

nbgrader's pages render comments and Markdown with their HTML, on the instructor's own Jupyter server. So whatever came from a learner
or from a learner's server goes where it is escaped: into a code cell, an output, or an indented block.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from grader.exercise import Exercise
from grader.formats.html import report_html
from grader.formats.terminal import SIGNS
from grader.formats.text import feedback, safe
from grader.notebooks.cells import as_file
from grader.notebooks.nbgrader_released import Check, Released, nbgrader_of, source_of
from grader.notebooks.nbgrader_submitted import Answers
from grader.report import CheckResult, Report

SHOWN_MAX = 100_000
"""Characters of an answer that a page shows: highlighting a megabyte takes minutes."""
FEEDBACK_MAX = 20_000
"""Characters of one check's text."""
COMMENT_CHECKS = 6
COMMENT_LINES = 6
"""Failed checks in the comment, and lines of each one's message. All of them stand below the cells with the checks."""


def score(report: Report, check: Check) -> float:
    """The cell's points times the share of its task's points that were earned. All of them only when every check passed."""
    checks = [c for c in report.checks if c.task == check.task]
    if checks and all(c.outcome == "passed" for c in checks):
        return check.points
    most = sum(c.max_points for c in checks)
    return round(check.points * sum(c.points for c in checks) / most, 2) if most else 0.0


# ---- the comment below the answer


def comment(report: Report, exercise: Exercise, *, unchanged: bool) -> str:
    """Markdown that is as readable unrendered, as formgrader's text field shows it."""
    parts = ["The starter was handed in as it was."] if unchanged else []
    parts.append(f"{report.points or 0:g} of {report.max_points:g} points by the checks.")
    if report.facts.message:
        parts.append(_quoted(report.facts.message))
    failed = [c for task in exercise.manifest.tasks for c in report.checks if c.task == task.number and c.outcome == "failed"]
    for check in failed[:COMMENT_CHECKS]:
        parts += [f"Task {check.task}, not fulfilled: {check.title}", _quoted(check.message)]
    if len(failed) > COMMENT_CHECKS:
        parts.append(f"And {len(failed) - COMMENT_CHECKS} more: see below the checks.")
    return "\n\n".join(part for part in parts if part)


def _quoted(text: str) -> str:
    """An indented block: Markdown takes nothing in it for markup. It must not begin or end with an empty line."""
    lines = [line for line in _plain(text).split("\n") if line.strip()]
    more = ["…"] if len(lines) > COMMENT_LINES else []
    return "\n".join(f"    {line[:300]}" for line in [*lines[:COMMENT_LINES], *more])


def _plain(text: str) -> str:
    """Without what could drive a terminal, and with only one kind of line end."""
    return safe(re.sub("[\u2028\u2029\v\f\x85\r]", " ", text.replace("\r\n", "\n")))


# ---- the autograded notebook


def autograded(release: Released, answers: Answers, report: Report, exercise: Exercise) -> bytes:
    """The released notebook with the learner's answers in its solution cells, and with our feedback below its checks."""
    checks = {check.grade_id: check for check in release.checks}
    wordy = next((c.grade_id for c in release.checks if score(report, c) < c.points), None)
    report = msgspec.structs.replace(report, learner=None)  # formgrader shows no names to those who grade
    quiet = msgspec.structs.replace(report, facts=msgspec.structs.replace(report.facts, output=""))
    cells = []
    for cell in release.content["cells"]:
        id = nbgrader_of(cell).get("grade_id")
        if id in checks:
            shown = report if id == wordy else quiet  # what the server wrote is shown once
            cell = {**cell, "outputs": [_output(shown, exercise, checks[id].task)], "execution_count": None}
        elif id in answers.sources:
            cell = {**cell, "source": _lines(_shown(answers.sources[id])), "outputs": [], "execution_count": None}
        elif id in answers.by_hand:
            text = _shown(answers.by_hand[id])
            cell = {**cell, "source": _lines(_fenced(text) if cell["cell_type"] == "markdown" and text != source_of(cell) else text)}
        cells.append(cell)
    return as_file({**release.content, "cells": cells})


def _output(report: Report, exercise: Exercise, task: int) -> dict[str, Any]:
    page = f'<div class="tex2jax_ignore mathjax_ignore">{report_html(report, exercise, task=task)}</div>'  # no formulas in it
    data = {"text/plain": _lines("\n".join(_text(report, exercise, task))), "text/html": _lines(page)}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _text(report: Report, exercise: Exercise, task: int) -> Iterator[str]:
    checks = [c for c in report.checks if c.task == task]
    title = next((t.title for t in exercise.manifest.tasks if t.number == task), "")
    yield f"{task}. {title}: {sum(c.points for c in checks):g} of {sum(c.max_points for c in checks):g}"
    if report.facts.message:
        yield _plain(report.facts.message)
    for check in checks:
        yield from _check_text(check)


def _check_text(check: CheckResult) -> Iterator[str]:
    yield f"{SIGNS[check.outcome][0]} {check.title}"
    if check.outcome != "passed":
        text = feedback(check) if check.outcome == "failed" else check.message
        yield "\n".join(f"    {line}" for line in _plain(text)[:FEEDBACK_MAX].split("\n"))


def _shown(source: str) -> str:
    """As it was written, but with a name for each character that hides or reorders others."""
    cut = len(source) - SHOWN_MAX
    text = source[:SHOWN_MAX] + (f"\n… {cut:,} more characters: see the notebook in submitted/." if cut > 0 else "")
    return re.sub("[\0-\x08\v\f\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", lambda m: f"\\u{ord(m[0]):04x}", text)


def _fenced(text: str) -> str:
    """Markdown that shows a text as it was typed."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=2) + 1)
    fence = fence if len(fence) > 2 else "```"
    return f"{fence}text\n{text}\n{fence}"


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
