"""The kernel where people meet it: JupyterLab in a browser. Screenshots are kept in $LOOPLAB_SCREENSHOTS, to be looked at."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
PATIENCE = 90_000
"""Milliseconds; a deadline on a busy machine, never a measurement."""
TOKEN = "only-for-this-test"
CELLS = [
    "const greeting = 'hello'; // a comment\nfunction shout(text, times = 1) { return `${text}!`.repeat(times); }",
    "plot({ title: 'A plot that is drawn', data: [{ x: 1, y: 2 }, { x: 2, y: 5 }], mark: 'line', encoding: { x: { field: 'x', type: 'quantitative' }, y: { field: 'y', type: 'quantitative' } } })",
    "console.log('running'); while (true) {}",
    "%%file json-echo/server.mjs\nimport http from 'node:http';\nhttp.createServer((req, res) => res.end('{}')).listen(process.env.PORT);\n",
    "%check json-echo",
    "greeting",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab with one notebook."""
    folder = tmp_path_factory.mktemp("lab")
    spec = {"name": "looplab-node", "display_name": "JavaScript (Node.js)", "language": "javascript"}
    cells: list[dict[str, object]] = [
        {"id": f"c{number}", "cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for number, source in enumerate(CELLS)
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    (folder / "lesson.ipynb").write_text(json.dumps(notebook))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", f"--IdentityProvider.token={TOKEN}"]
    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"), "JUPYTER_CONFIG_DIR": str(folder / ".config")}
    with (folder / "log").open("wb") as log:
        lab = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        url = _url(folder / ".runtime", lab)
        _wait_until_it_answers(url)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(lab.pid, signal.SIGINT)
            os.killpg(lab.pid, signal.SIGINT)
        try:
            lab.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, signal.SIGKILL)
            lab.wait()


def _url(runtime: Path, lab: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        assert lab.poll() is None, "JupyterLab ended"
        for file in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError):
                return str(json.loads(file.read_text())["url"])
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not say where it listens")


def _wait_until_it_answers(url: str) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            urllib.request.urlopen(f"{url}api?token={TOKEN}", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "JupyterLab does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """The notebook, opened, with its kernel ready."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1200, "height": 1000})
        opened.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        opened.goto(f"{address}lab/tree/lesson.ipynb?token={TOKEN}")
        expect(opened.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_attached()
        _run_the_first_cell(opened)  # what the others use; tests of one file may run in several processes
        yield opened
        browser.close()


def cell(page: Page, number: int):  # type: ignore[no-untyped-def]
    found = page.locator(".jp-CodeCell").nth(number)
    found.scroll_into_view_if_needed()
    return found


def run(page: Page, number: int) -> None:
    cell(page, number).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def finished(page: Page, number: int) -> None:
    expect(cell(page, number).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))


def _run_the_first_cell(page: Page) -> None:
    """Again until it ran: JupyterLab drops a key that comes while it still builds the notebook."""
    for patience in (15_000, 15_000, 15_000, PATIENCE):
        run(page, 0)
        with contextlib.suppress(AssertionError):
            expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=patience)
            return
    raise AssertionError("the first cell did not run")


def photograph(page: Page, name: str) -> None:
    if folder := os.environ.get("LOOPLAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_javascript_is_highlighted(page: Page) -> None:
    colours = cell(page, 0).locator(".cm-line span").evaluate_all("spans => [...new Set(spans.map(s => getComputedStyle(s).color))]")

    assert len(colours) >= 3  # keyword, string, comment
    photograph(page, "highlighted")


def test_a_plot_is_drawn(page: Page) -> None:
    run(page, 1)
    finished(page, 1)

    drawn = cell(page, 1).locator(".jp-RenderedVegaCommon5 canvas, .jp-RenderedVegaCommon5 svg").first
    expect(drawn).to_be_visible()
    photograph(page, "plot")


def test_the_interrupt_button_ends_a_loop_and_keeps_the_variables(page: Page) -> None:
    run(page, 2)
    expect(cell(page, 2).locator(".jp-OutputArea")).to_contain_text("running")

    page.locator("[data-command='notebook:interrupt-kernel'], button[title^='Interrupt']").first.click()

    expect(cell(page, 2).locator(".jp-OutputArea")).to_contain_text("All variables are as it left them")
    run(page, 5)
    expect(cell(page, 5).locator(".jp-OutputArea")).to_contain_text("'hello'")
    photograph(page, "interrupted")


def test_tab_completes_and_shift_tab_shows_the_signature(page: Page) -> None:
    editor = cell(page, 5).locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("process.std")
    page.keyboard.press("Tab")
    expect(page.locator(".jp-Completer-item").first).to_be_visible()
    assert "stdout" in page.locator(".jp-Completer").inner_text()
    photograph(page, "completed")
    page.keyboard.press("Escape")

    page.keyboard.press("Control+A")
    page.keyboard.type("shout(")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".jp-Tooltip")).to_contain_text("shout(text, times = 1)")
    photograph(page, "inspected")
    page.keyboard.press("Escape")


def test_a_check_shows_its_feedback_in_the_notebook(page: Page) -> None:
    run(page, 3)
    finished(page, 3)
    run(page, 4)
    finished(page, 4)

    expect(cell(page, 4).locator(".jp-OutputArea")).to_contain_text("The contract:")
    photograph(page, "checked")
