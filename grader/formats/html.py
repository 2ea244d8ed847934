"""A report as a piece of a page: for notebooks, for nbgrader's feedback, for a website.

Inline styles only, no script, nothing from elsewhere, and colours that can be read on white and on black. Everything in it that
came from a learner's program is made harmless and escaped here.
"""

import re
from collections.abc import Iterator
from html import escape

from grader.exercise import Exercise, Task
from grader.formats.terminal import OUTPUT_LINES, SIGNS, VERDICTS, excerpt
from grader.formats.text import safe
from grader.report import CheckResult, Exchange, Report

# Each with a contrast of about 4 to 1 on white and on JupyterLab's black. No CSS variables: JupyterLab takes them out of outputs that
# it does not trust, such as those of a notebook that somebody else has run.
GOOD = "color:#2a8f44"
BAD = "color:#d73a49"
WARN = "color:#b26a00"
DIM = "opacity:.65"
MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;line-height:1.4"
LINE = "1px solid rgba(128,128,128,.35)"
PRE = (
    f"{MONO};white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0;padding:.5em .7em;background:rgba(128,128,128,.1);border-radius:3px"
)
COLOURS = {"passed": GOOD, "failed": BAD, "skipped": WARN}


def report_html(report: Report, exercise: Exercise, *, hints: bool = False, task: int | None = None) -> str:
    """The whole feedback, or that of one task. With `hints` each failed check has its hint, folded."""
    return f'<div style="line-height:1.45;max-width:60em">{"".join(_report(report, exercise, hints, task))}</div>'


def _report(report: Report, exercise: Exercise, hints: bool, only: int | None) -> Iterator[str]:
    yield _headline(report, exercise, only)
    if report.facts.message:
        yield f'<p style="margin:.6em 0">{_prose(report.facts.message)}</p>'
    reason = ""
    for task in exercise.manifest.tasks:
        checks = [c for c in report.checks if c.task == task.number and only in (None, task.number)]
        if checks:
            yield _task(task, checks)
            for check in checks:
                yield from _check(check, hints)
                if check.outcome == "skipped" and check.message != reason:
                    reason = check.message  # said once: they all have the same
                    yield f'<div style="margin-left:1.5em;{WARN}">{_text(reason)}</div>'
    if report.verdict not in ("passed", "not_graded") and report.facts.output.strip():
        yield from _output(report.facts.output)
    yield f'<div style="margin-top:.9em;font-size:.85em;{DIM}">{_text(_footer(report))}</div>'


def _text(text: str) -> str:
    return escape(safe(text))


def _prose(text: str) -> str:
    """A sentence, in which `words in back quotes` are code."""
    return re.sub(r"`([^`\n]+)`", rf'<code style="{MONO}">\1</code>', _text(text))


def _headline(report: Report, exercise: Exercise, only: int | None) -> str:
    who = f"{report.learner} · " if report.learner else ""
    checks = [c for c in report.checks if only in (None, c.task)]
    if report.points is None:
        points, verdict, colour = "not graded", VERDICTS[report.verdict], WARN
    elif only is None or not checks:
        points, verdict = f"{report.points:g} of {report.max_points:g} points", VERDICTS[report.verdict]
        colour = GOOD if report.verdict == "passed" else WARN if report.verdict == "partial" else BAD
    else:
        earned, most = _sum(checks)
        points, verdict = f"{earned:g} of {most:g} points", f"task {only}"
        colour = GOOD if all(c.outcome == "passed" for c in checks) else WARN if earned else BAD
    left = f"<strong>{_text(f'{who}{report.exercise}')}</strong> · {_text(exercise.manifest.title)}"
    return _two_ends(left, f'<strong style="{colour}">{escape(points)}</strong> <span style="{DIM}">· {escape(verdict)}</span>')


def _two_ends(left: str, right: str) -> str:
    style = f"display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1.5em;padding-bottom:.3em;border-bottom:{LINE}"
    return f'<div style="{style}"><div>{left}</div><div style="white-space:nowrap">{right}</div></div>'


def _sum(checks: list[CheckResult]) -> tuple[float, float]:
    """In hundredths, as points are shared: binary fractions would not add up."""
    return sum(round(c.points * 100) for c in checks) / 100, sum(round(c.max_points * 100) for c in checks) / 100


def _task(task: Task, checks: list[CheckResult]) -> str:
    earned, most = _sum(checks)
    style = "display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1.5em;margin:1em 0 .3em"
    return f'<div style="{style}"><strong>{task.number}. {_text(task.title)}</strong><span>{earned:g} / {most:g}</span></div>'


def _check(check: CheckResult, hints: bool) -> Iterator[str]:
    sign, colour = SIGNS[check.outcome][0], COLOURS[check.outcome]
    title = f'<span style="display:inline-block;width:1.1em;{colour}">{sign}</span>{_prose(check.title)}'
    if check.outcome != "failed":
        yield f'<div style="margin-left:.4em">{title}</div>'
        return
    yield f'<details open style="margin:.35em 0 .6em .4em"><summary style="list-style:none;cursor:pointer">{title}</summary>'
    yield '<div style="margin:.15em 0 0 .45em;padding-left:1em;border-left:2px solid rgba(215,58,73,.55)">'
    yield f'<div style="white-space:pre-line">{_prose(check.message)}</div>'
    yield f'<div style="margin:.25em 0"><span style="{DIM}">The contract:</span> <em>“{_prose(check.rule)}”</em></div>'
    if check.exchange:
        yield _exchange(check.exchange[-1])
    if check.misconception:
        yield f'<div><span style="{DIM}">Read:</span> course/misconceptions/{_text(check.misconception)}.md</div>'
    if hints and check.hint:
        summary = f'<summary style="cursor:pointer;{DIM}">Hint</summary>'
        yield f'<details style="margin-top:.25em">{summary}<div style="margin-left:1em">{_prose(check.hint)}</div></details>'
    yield "</div></details>"


def _exchange(exchange: Exchange) -> str:
    sides = [
        ("your server was sent", excerpt(exchange.request).rstrip()),
        (f"and answered, in {exchange.seconds * 1000:.0f} ms", excerpt(exchange.response).rstrip()),
    ]
    halves = "".join(
        f'<div style="flex:1 1 20em;min-width:0"><div style="font-size:.85em;{DIM}">{escape(what)}</div>'
        f'<pre style="{PRE}">{escape(text) or " "}</pre></div>'
        for what, text in sides
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:.2em 1em;margin:.3em 0">{halves}</div>'


def _output(output: str) -> Iterator[str]:
    lines = safe(output).strip().split("\n")
    shown = [*(["…"] if len(lines) > OUTPUT_LINES else []), *(line[:200] for line in lines[-OUTPUT_LINES:])]
    yield f'<div style="margin-top:1em"><strong>Your server wrote:</strong><pre style="{PRE}">{escape(chr(10).join(shown))}</pre></div>'


def _footer(report: Report) -> str:
    facts = [f"seed {report.seed}", report.facts.sandbox, f"{report.timings.total:.2f} s"]
    if report.facts.peak_memory_bytes:
        facts.append(f"{report.facts.peak_memory_bytes / 1024 / 1024:.0f} MB, {report.facts.cpu_seconds:.2f} CPU-s")
    return " · ".join(facts)
