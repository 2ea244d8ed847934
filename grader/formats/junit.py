"""Reports as JUnit XML: one suite a submission, one case a check. CI systems show it.

There is no one specification; this is the common core that Jenkins' schema (junit-10.xsd) and GitLab accept: failures say what
came, a submission without checks is one case with an error, `skipped` is its own element.
"""

import xml.etree.ElementTree as ET

from grader.exercise import Exercise
from grader.formats.text import feedback, xml_safe
from grader.report import Report


def junit_xml(reports: list[Report], exercises: list[Exercise]) -> bytes:
    """The XML document, UTF-8."""
    titles = {exercise.slug: exercise.manifest.title for exercise in exercises}
    root = ET.Element("testsuites", name="looplab")
    for report in reports:
        cases = [_case(report, check_id) for check_id in range(len(report.checks))] or [_without_checks(report)]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=xml_safe("/".join(part for part in (report.learner, report.exercise) if part)),
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors=str(sum(case.find("error") is not None for case in cases)),
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
            time=f"{report.timings.total:.3f}",
        )
        properties = ET.SubElement(suite, "properties")
        points = "" if report.points is None else f"{report.points:g}"
        for name, value in [
            ("title", titles.get(report.exercise, "")),
            ("verdict", report.verdict),
            ("points", points),
            ("max_points", f"{report.max_points:g}"),
            ("seed", str(report.seed)),
        ]:
            ET.SubElement(properties, "property", name=name, value=xml_safe(value))
        suite.extend(cases)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def _case(report: Report, number: int) -> ET.Element:
    check = report.checks[number]
    case = ET.Element("testcase", classname=report.exercise, name=xml_safe(check.title), time=f"{check.seconds:.3f}")
    if check.outcome == "failed":
        failure = ET.SubElement(case, "failure", message=xml_safe(check.message), type="check")
        failure.text = xml_safe(feedback(check))
    elif check.outcome == "skipped":
        ET.SubElement(case, "skipped", message=xml_safe(check.message))
    return case


def _without_checks(report: Report) -> ET.Element:
    case = ET.Element("testcase", classname=report.exercise, name="the submission can be graded", time=f"{report.timings.total:.3f}")
    ET.SubElement(case, "error", message=xml_safe(report.facts.message), type=report.verdict)
    return case
