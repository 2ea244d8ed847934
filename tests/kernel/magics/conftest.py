"""A cell in an empty folder, whose servers end with the test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.magics.cells import PlainCell


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[PlainCell]:
    made = PlainCell(tmp_path)
    yield made
    asyncio.run(made.session.close())
