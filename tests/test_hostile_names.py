"""What a learner may write, names above all, through every face: nothing is raw in it, whatever shows it.

Row 23 (markup), 26 (commands of CI systems), 27 (formulas), 33 (terminal escapes) and 34 (names) of the attacks.
"""

import csv
import json
import os
import re
import sys
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from grader.cli.root import run
from grader.exercise import load_exercise
from grader.formats.ctrf import ctrf_json
from grader.formats.html import report_html
from grader.formats.junit import junit_xml
from grader.formats.table import print_class
from grader.formats.terminal import print_report
from grader.formats.text import CI_COMMANDS, safe_json
from grader.notebooks.nbgrader_course import config_text
from grader.report import Exchange, Report, from_json
from grader.settings import read_settings
from tests import samples
from tests.notebooks.nbgrader_samples import Tags

ECHO = load_exercise(read_settings().exercises, "json-echo")

HOSTILE_TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(1)",
    "-rf",
    "--json",
    "../../etc/passwd",
    "eve,,,,,,,100,0,100,100",
    "eve\n\n::set-output name=grade::100",
    "  ::add-mask::10",
    "##[error]x ##vso[task.complete]x",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b2J\x85\x7f",
    "a\u202e01 / 01",
    "\u2066x\u2069\u200b\ufeff\U000e0041",
    "nul\0ends",
    "]]><!-- &amp; <![CDATA[",
    "[red]x[/red]",
    "e" * 300,
    "{0} %s %n $(touch x) `id`",
]
COMMAND = re.compile(rf"^\s*::({CI_COMMANDS})\b|##[\w.]*\[", re.MULTILINE | re.IGNORECASE)


def printable(text: str) -> bool:
    return all(c == "\n" or c.isprintable() or c == " " for c in text)


def reports_with(text: str) -> list[Report]:
    """Reports in which a hostile learner had a word wherever one has."""
    exchange = Exchange(request=f"GET /{text} HTTP/1.1\n", response=f"HTTP/1.1 200 {text}\n{text}\n", seconds=0.1, truncated=False)
    check = samples.failed("test_any_json_value_comes_back", message=f"It said {text}", exchange=(exchange,))
    facts = {"message": f"It said {text}", "output": f"{text}\n" * 3, "signal": text}
    named = {"learner": text, "exercise": "json-echo"}
    return [
        samples.report(check, facts=facts, verdict="failed", points=0.0, **named),
        samples.unusable("rejected", f"{text} leads out.", **named),
        samples.not_graded(text, **named),
    ]


def faces(report: Report) -> dict[str, str]:
    """All that is written of a report, as the commands write it."""
    terminal, table = StringIO(), StringIO()
    print_report(report, ECHO, console=Console(file=terminal, width=100))
    print_class([report], console=Console(file=table, width=100))
    return {
        "terminal": terminal.getvalue(),
        "table": table.getvalue(),
        "html": report_html(report, ECHO, hints=True),
        "json": safe_json(report.to_json()).decode(),
        "junit": junit_xml([report], [ECHO]).decode(),
        "ctrf": ctrf_json([report], [ECHO]).decode(),
    }


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_nothing_of_a_learner_is_raw_in_any_face(text: str) -> None:
    for report in reports_with(text):
        shown = faces(report)

        for face, page in shown.items():
            assert printable(page), face
            assert not COMMAND.search(page), face
        assert not Tags(shown["html"]).seen & {"script", "img"}
        assert from_json(shown["json"].encode()) == report
        json.loads(shown["ctrf"])
        ET.fromstring(shown["junit"])


@pytest.mark.parametrize("width", range(10, 24))
def test_a_line_that_is_folded_begins_with_no_command(width: int) -> None:
    report = samples.unusable("rejected", "x" * 12 + "::add-mask::y ##[group]z")
    terminal = StringIO()

    print_report(report, ECHO, console=Console(file=terminal, width=width))

    assert not COMMAND.search(terminal.getvalue())


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_nothing_is_raw_in_what_a_command_says_of_its_arguments(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commands = [
        ["check", "--", text],
        ["grade", "--", str(tmp_path / text[:90].replace("/", "_").replace("\0", "_"))],
        ["grade", "--no-store", "-e", "json-echo", f"--learner={text}", str(ECHO.folder / "solution")],
    ]
    for command in commands[: 2 if is_fine(text) else 3]:
        monkeypatch.setattr(sys, "argv", ["looplab", *command])

        code = run(None)

        said = capfd.readouterr()
        assert code == 2, said
        assert printable(said.err), said.err
        assert not COMMAND.search(said.err)
        assert said.err.strip()


def is_fine(learner: str) -> bool:
    return learner.isprintable() and "/" not in learner and len(learner) <= 100


# ---- nbgrader's table


def test_a_name_is_one_column_and_no_formula_in_the_exported_grades(tmp_path: Path) -> None:
    from nbgrader.api import Gradebook

    from grader.notebooks.nbgrader_export import FORMULA, CsvExport

    names = [text.replace("\0", "") for text in HOSTILE_TEXTS]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # a new gradebook asks the command alembic
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db", "looplab") as gradebook:
        gradebook.add_assignment("json-echo", course_id="looplab")
        for name in names:
            gradebook.add_student(name, first_name=name, last_name=None, email="-x")
        CsvExport(to=str(tmp_path / "grades.csv")).export(gradebook)

    text = (tmp_path / "grades.csv").read_text("utf-8")
    header, *rows = list(csv.reader(StringIO(text)))
    assert len(rows) == len(names)
    assert {len(row) for row in rows} == {len(header)}
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)]
    assert {row[header.index("score")] for row in rows} == {"0.0"}
    assert printable(text)


def test_a_new_course_exports_with_our_exporter() -> None:
    assert 'c.ExportApp.plugin_class = "grader.notebooks.nbgrader_export.CsvExport"' in config_text()
