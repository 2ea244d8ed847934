"""A machine on which something is missing: the kernel comes up all the same and says what to do."""

from pathlib import Path

import pytest

from tests.kernel.conftest import Notebook


@pytest.fixture
def no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Notebook:
    monkeypatch.setenv("LOOPLAB_NODE", "/nowhere/node")
    return Notebook(tmp_path)


def test_without_node_every_cell_says_what_to_do(no_node: Notebook) -> None:
    try:
        ran = no_node.run("1 + 1")

        assert ran.error and "There is no Node at /nowhere/node" in ran.error and "make setup" in ran.error
        assert no_node.run("%magics").error is None
    finally:
        no_node.close()


def test_a_node_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "node"
    broken.write_text("#!/bin/sh\necho 'wrong architecture' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("LOOPLAB_NODE", str(broken))
    opened = Notebook(tmp_path)
    try:
        assert "wrong architecture" in (opened.run("1 + 1").error or "")
    finally:
        opened.close()
