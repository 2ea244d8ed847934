"""What the security page says of the corpus is what is in the corpus."""

import re
from pathlib import Path

from tests.attack_table import PAGE, ROWS, page_with, table
from tests.corpus import SUBMISSIONS


def test_the_page_shows_the_corpus_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    assert page == page_with(table(), page), "run python -m tests.attack_table"


def test_every_row_of_the_catalogue_is_tried_or_says_where_or_why_not() -> None:
    for line, (attack, elsewhere) in zip(table().splitlines()[2:], ROWS.values(), strict=True):
        assert attack in line
        assert line.split("|")[3].strip() or elsewhere, line


def test_tests_that_the_page_names_are_there() -> None:
    page = PAGE.read_text("utf-8")
    tests = "\n".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)…?`", page):
        assert f"def {name}" in tests, name
    for file in re.findall(r"`(?:tests/)?(test_\w+\.py)`", page):
        assert list(Path(__file__).parent.rglob(file)), file


def test_cases_that_the_promises_name_are_there() -> None:
    promises = PAGE.read_text("utf-8").split("## What is promised")[1].split("## When the machine fails")[0]
    columns = [line.split("|")[3] for line in promises.splitlines() if line.startswith("|")]
    patterns = re.findall(r"(?<![\w`.])[a-z]+-[a-z0-9*-]*(?![\w`])", " ".join(columns))
    assert len(patterns) > 20
    for pattern in patterns:
        assert list(SUBMISSIONS.glob(pattern)), pattern
