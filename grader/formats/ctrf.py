"""Reports as CTRF (Common Test Report Format, ctrf.io): one test a check, points in `extra`."""

import json
import time
import uuid
from typing import Any

from grader import __version__
from grader.exercise import Exercise
from grader.formats.text import feedback, safe_json
from grader.report import CheckResult, Report

SPEC_VERSION = "0.0.0"
STATUS = {"passed": "passed", "failed": "failed", "skipped": "skipped"}


def ctrf_json(reports: list[Report], exercises: list[Exercise]) -> bytes:
    """The JSON document, UTF-8. A submission without checks is one test: failed, or `other` when nothing was graded."""
    tests = [test for report in reports for test in _tests(report)]
    stop = int(time.time() * 1000)
    counts = {status: sum(test["status"] == status for test in tests) for status in ("passed", "failed", "skipped", "pending", "other")}
    document = {
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        "reportId": str(uuid.uuid4()),
        "generatedBy": "looplab",
        "results": {
            "tool": {"name": "looplab", "version": __version__},
            "summary": {"tests": len(tests), **counts, "start": stop - int(1000 * sum(r.timings.total for r in reports)), "stop": stop},
            "tests": tests,
        },
    }
    return safe_json(json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "replace"))


def _tests(report: Report) -> list[dict[str, Any]]:
    suite = [part for part in (report.learner, report.exercise) if part]
    if report.checks:
        return [_test(check, suite) for check in report.checks]
    status = "other" if report.verdict == "not_graded" else "failed"
    extra = {"verdict": report.verdict, "points": report.points, "max_points": report.max_points}
    duration = round(report.timings.total * 1000)
    return [
        {
            "name": "the submission can be graded",
            "status": status,
            "duration": duration,
            "suite": suite,
            "message": report.facts.message,
            "extra": extra,
        }
    ]


def _test(check: CheckResult, suite: list[str]) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": check.title,
        "status": STATUS[check.outcome],
        "duration": round(check.seconds * 1000),
        "suite": suite,
        "rawStatus": check.outcome,
        "extra": {"id": check.id, "task": check.task, "points": check.points, "max_points": check.max_points},
    }
    if check.outcome != "passed":
        test["message"] = check.message
    if check.outcome == "failed":
        test["trace"] = feedback(check)
    return test
