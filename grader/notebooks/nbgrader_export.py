"""`nbgrader export` for people who open grades.csv in a spreadsheet: a name with a comma stays one column, and none is a formula.

nbgrader's own exporter joins what it finds with commas (nbgrader 0.9, plugins/export.py), so a learner who is called
`=HYPERLINK(…)` or `eve,,,100` writes into the instructor's table. The columns are the same as there.
"""

import csv
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import CsvExportPlugin

from grader.errors import SettingsError
from grader.formats.text import safe

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet compute a cell (OWASP, CSV Injection); the last four are the full-width forms."""


class CsvExport(CsvExportPlugin):  # type: ignore[misc]  # nbgrader has no types
    """nbgrader takes it by its name: `c.ExportApp.plugin_class`."""

    def export(self, gradebook: Gradebook) -> None:
        to = Path(self.to or "grades.csv")
        self.log.info("Exporting grades to %s", to)
        try:
            with to.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                for assignment in gradebook.assignments:
                    for student in gradebook.students:
                        if _wanted(assignment.name, self.assignment) and _wanted(student.id, self.student):
                            row = _row(gradebook, assignment, student)
                            writer.writerow({key: text_cell(value) for key, value in row.items()})
        except OSError as error:
            raise SettingsError(f"{to} cannot be written: {error.strerror}.") from error


def _wanted(name: str, chosen: list[object]) -> bool:
    return not chosen or name in map(str, chosen)


def _row(gradebook: Gradebook, assignment: Any, student: Any) -> dict[str, object]:
    """Who has handed in nothing has 0 points, as in nbgrader."""
    row: dict[str, object] = {
        "assignment": assignment.name,
        "duedate": assignment.duedate,
        "timestamp": "",
        "student_id": student.id,
        "last_name": student.last_name,
        "first_name": student.first_name,
        "email": student.email,
        "raw_score": 0.0,
        "late_submission_penalty": 0.0,
        "score": 0.0,
        "max_score": assignment.max_score,
    }
    try:
        handed = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        return row
    penalty = handed.late_submission_penalty
    scores = {"raw_score": handed.score, "late_submission_penalty": penalty, "score": max(0.0, handed.score - penalty)}
    return {**row, "timestamp": handed.timestamp, **scores}


def text_cell(value: object) -> object:
    """A number or a time as it is; of a text nothing that a spreadsheet would compute, or that cannot be seen."""
    if not isinstance(value, str):
        return value
    shown = safe(value).replace("\n", " ")
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown
