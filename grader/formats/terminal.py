"""A report for a person at a terminal."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.exercise import Exercise
from grader.formats.text import safe
from grader.report import CheckResult, Exchange, Report

SIGNS = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "skipped": ("·", "yellow")}
OUTPUT_LINES = 12
VERDICTS = {
    "passed": "all points",
    "partial": "some points",
    "failed": "no points",
    "did_not_start": "did not start",
    "rejected": "not accepted",
    "not_graded": "not graded yet",
}


def print_report(report: Report, exercise: Exercise, *, hints: bool = True, command: str = "", console: Console | None = None) -> None:
    """Writes the whole feedback to `console` (default: standard output)."""
    (console or Console(highlight=False)).print(Group(*_report(report, exercise, hints, command)))


def _report(report: Report, exercise: Exercise, hints: bool, command: str) -> Iterator[RenderableType]:
    yield _headline(report, exercise)
    if report.facts.message:
        yield Padding(Text(safe(report.facts.message)), (1, 0, 0, 2))
    reason = ""
    for task in exercise.manifest.tasks:
        checks = [c for c in report.checks if c.task == task.number]
        if checks:
            earned, most = sum(c.points for c in checks), sum(c.max_points for c in checks)
            yield Padding(_line(Text(f"{task.number}. {task.title}", "bold"), f"{earned:g} / {most:g}"), (1, 0, 0, 0))
            for check in checks:
                yield from _check(check, hints)
                if check.outcome == "skipped" and check.message != reason:
                    reason = check.message  # said once: they all have the same
                    yield Padding(Text(safe(reason), "yellow"), (0, 0, 0, 4))
    if report.verdict not in ("passed", "not_graded") and report.facts.output.strip():
        yield Padding(Text("Your server wrote:", "bold"), (1, 0, 0, 0))
        lines = safe(report.facts.output).strip().split("\n")
        cut = ["…"] if len(lines) > OUTPUT_LINES else []
        yield Padding(Text("\n".join(line[:200] for line in [*cut, *lines[-OUTPUT_LINES:]]), "dim"), (0, 0, 0, 2))
    yield Text("")
    yield Text(_footer(report, hints, command), "dim")


def _headline(report: Report, exercise: Exercise) -> RenderableType:
    who = f"{safe(report.learner)} · " if report.learner else ""
    points = "not graded" if report.points is None else f"{report.points:g} of {report.max_points:g} points"
    colour = "green" if report.verdict == "passed" else "yellow" if report.verdict in ("partial", "not_graded") else "red"
    return _line(
        Text(f"{who}{report.exercise} · {exercise.manifest.title}", "bold"), f"{points} · {VERDICTS[report.verdict]}", f"bold {colour}"
    )


def _line(left: Text, right: str, style: str = "") -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(left, Text(right, style))
    return table


def _check(check: CheckResult, hints: bool) -> Iterator[RenderableType]:
    sign, colour = SIGNS[check.outcome]
    yield Padding(Text.assemble((f"{sign} ", colour), check.title), (0, 0, 0, 2))
    if check.outcome != "failed":
        return
    yield Padding(Text(safe(check.message)), (0, 0, 0, 4))
    yield Padding(Text.assemble(("The contract: ", "dim"), (f"“{check.rule}”", "italic")), (0, 0, 0, 4))
    if check.exchange:
        yield Padding(_exchange(check.exchange[-1]), (0, 0, 0, 4))
    if check.misconception:
        yield Padding(Text.assemble(("Read: ", "dim"), f"course/misconceptions/{check.misconception}.md"), (0, 0, 0, 4))
    if hints and check.hint:
        yield Padding(Text.assemble(("Hint: ", "cyan"), check.hint), (0, 0, 0, 4))


def _exchange(exchange: Exchange) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    table.add_column("your server was sent", ratio=1, overflow="fold")
    table.add_column(f"and answered, in {exchange.seconds * 1000:.0f} ms", ratio=1, overflow="fold")
    table.add_row(Text(excerpt(exchange.request)), Text(excerpt(exchange.response)))
    return table


def excerpt(text: str, lines: int = 14, width: int = 160) -> str:
    """The first lines of one side, without the headers that every request has."""
    dull = ("accept: */*", "user-agent: mozilla/5.0", "host: 127.0.0.1", "keep-alive: timeout", "connection: keep-alive", "date:")
    kept = [line[:width] + ("…" if len(line) > width else "") for line in safe(text).split("\n") if not line.lower().startswith(dull)]
    return "\n".join(kept[:lines] + (["…"] if len(kept) > lines else []))


def _footer(report: Report, hints: bool, command: str) -> str:
    facts = [f"seed {report.seed}"] if report.checks else []
    facts += [report.facts.sandbox, f"{report.timings.total:.2f} s"]
    if report.facts.peak_memory_bytes:
        facts.append(f"{report.facts.peak_memory_bytes / 1024 / 1024:.0f} MB, {report.facts.cpu_seconds:.2f} CPU-s")
    if command and not hints and any(c.hint for c in report.checks):
        facts.append(f"hints: {command} --hints")
    return " · ".join(facts)
