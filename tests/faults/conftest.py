"""A class to disturb, and what becomes of it when nobody does."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Outcome, Place, hand_in, outcomes


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ll-fault-", dir="/tmp") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.fixture
def place(tmp_path: Path, run_dir: Path) -> Place:
    return Place(hand_in(tmp_path / "class"), run_dir, tmp_path / "data")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Each learner's outcome in a run without a fault. The processes of one test run share it."""
    base = tmp_path_factory.getbasetemp()
    with ((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            with tempfile.TemporaryDirectory(prefix="ll-fault-", dir="/tmp") as folder:
                os.chmod(folder, 0o711)
                own = tmp_path_factory.mktemp("undisturbed")
                done = Place(hand_in(own / "class"), Path(folder), own / "data").run()
            assert done.returncode == 1, done.stderr
            text = done.stdout
            file.write(text)
    return outcomes(text)
