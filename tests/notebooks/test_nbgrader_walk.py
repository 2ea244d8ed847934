"""The whole road with nbgrader's own commands, from source/ to formgrader in a browser."""

import csv
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from playwright.sync_api import Page, sync_playwright

from tests.notebooks.nbgrader_samples import ANSWER, ECHO, edit, environment, solution

CHROMIUM = "/usr/bin/chromium"
STOCK = "--Autograde.exporter_class=nbconvert.exporters.notebook.NotebookExporter"
"""What somebody would have to say to get nbgrader's own autograde."""


class Classroom:
    """Folders of an instructor and of learners, and the commands that both type."""

    def __init__(self, root: Path) -> None:
        self.course, self.exchange, self.homes = root / "course", root / "exchange", root / "homes"
        self.environ = environment(root)
        self.exchange.mkdir()

    def run(self, *command: str, cwd: Path | None = None, code: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.course,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def learn(self, learner: str, *command: str) -> str:
        home = self.homes / learner
        home.mkdir(parents=True, exist_ok=True)
        own = (f"--Exchange.root={self.exchange}", f"--Exchange.cache={home}/.cache", "--course=looplab", f"--student={learner}")
        return self.run("nbgrader", *command, "json-echo", *own, cwd=home)

    def hand_in(self, learner: str, server: str) -> None:
        """As a learner does: fetches, writes the answer into its cell, runs nothing, submits."""
        self.learn(learner, "fetch_assignment")
        path = self.homes / learner / "json-echo" / "json-echo.ipynb"
        content = json.loads(path.read_text())
        edit(content, ANSWER, f"%%file json-echo/server.mjs\n{server}")
        path.write_text(json.dumps(content))
        self.learn(learner, "submit")

    def autograde(self, code: int = 1) -> dict[str, str]:
        """What the table says of each learner."""
        lines = self.run("looplab", "nbgrader", "autograde", "json-echo", code=code).splitlines()
        return {line.split()[0]: " ".join(line.split()[1:]) for line in lines if "json-echo" in line}

    def exported(self) -> dict[str, tuple[float, float]]:
        """Score and highest score of each learner, as `nbgrader export` writes them."""
        self.run("nbgrader", "export")
        with (self.course / "grades.csv").open() as file:
            return {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}

    def submission_of(self, learner: str) -> str:
        with Gradebook(f"sqlite:///{self.course}/gradebook.db", "looplab") as gradebook:
            return str(gradebook.find_submission_notebook("json-echo", "json-echo", learner).id)

    def wrote(self) -> dict[str, tuple[int, bytes]]:
        files = sorted((self.course / "autograded").rglob("*.*"))
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    return Classroom(tmp_path_factory.mktemp("classroom"))


@pytest.mark.docker
@pytest.mark.notebook
def test_an_assignment_goes_all_the_way_with_nbgraders_own_commands(classroom: Classroom, tmp_path: Path) -> None:
    room = classroom
    room.run("looplab", "nbgrader", "init", str(room.course), "-e", "json-echo", "--exchange", str(room.exchange), cwd=tmp_path)
    room.run("nbgrader", "generate_assignment", "json-echo")
    released = (room.course / "release" / "json-echo" / "json-echo.ipynb").read_text()
    assert "This is not what you sent." in released  # the starter
    room.run("nbgrader", "release_assignment", "json-echo")
    room.hand_in("ada", solution())
    room.hand_in("bob", (ECHO.folder / "wrong" / "fixes-the-limit" / "server.mjs").read_text())
    room.run("nbgrader", "collect", "json-echo")

    # Graded, and not graded again.
    first = room.autograde()
    written = room.wrote()
    second = room.autograde()
    scores = room.exported()
    assert first["ada"] == "json-echo all points 10 / 10 graded"
    assert first["bob"].endswith("graded")
    assert {who: line.replace("as before", "graded") for who, line in second.items()} == first
    assert room.wrote() == written
    assert list(scores["ada"]) == [10, 10]
    assert 0 < scores["bob"][0] < 10

    # Feedback reaches the learner.
    room.run("nbgrader", "generate_feedback", "json-echo")
    room.run("nbgrader", "release_feedback", "json-echo")
    room.learn("bob", "fetch_feedback")
    (page,) = (room.homes / "bob" / "json-echo").rglob("json-echo.html")
    assert "MAX_BODY" in page.read_text()
    assert "Score: 10.0 / 10.0" in (room.course / "feedback" / "ada" / "json-echo" / "json-echo.html").read_text()

    # nbgrader's own autograde runs what learners wrote, and overwrites the scores. It is noticed and put back.
    room.run("nbgrader", "autograde", "json-echo", "--student=bob", "--force", STOCK)
    assert room.exported()["bob"] != scores["bob"]
    assert room.autograde()["bob"].endswith("restored")
    assert room.exported() == scores

    # What an instructor sees and does in formgrader.
    with formgrader(room, tmp_path) as (browser, url):
        browser.goto(f"file://{page}")
        browser.screenshot(path=tmp_path / "feedback.png", full_page=True)
        see_and_judge(browser, url, room.submission_of("bob"), tmp_path)
    assert room.exported()["bob"][0] == pytest.approx(scores["bob"][0] + 1.5)
    assert room.autograde()["bob"].endswith("as before")
    assert room.exported()["bob"][0] == pytest.approx(scores["bob"][0] + 1.5)
    with Gradebook(f"sqlite:///{room.course}/gradebook.db", "looplab") as gradebook:
        assert "Closer than you think." in [c.comment for c in gradebook.find_submission_notebook("json-echo", "json-echo", "bob").comments]


def see_and_judge(page: Page, url: str, submission: str, shots: Path) -> None:
    """Looks at the list, presses the button that would run nbgrader's own autograde, and gives bob extra credit and a comment."""
    page.goto(f"{url}/formgrader/manage_submissions/json-echo")
    row = page.locator("tr", has_text="bob")
    row.locator(".autograde a").click()
    page.locator(".modal-body", has_text="Successfully autograded").wait_for(timeout=120_000)
    assert "what learners wrote runs in containers, not here" in page.locator(".modal-body").inner_text()
    page.screenshot(path=shots / "formgrader-autograde.png")
    page.goto(f"{url}/formgrader/manage_submissions/json-echo")
    row.wait_for()
    assert "graded" in row.inner_text()
    page.screenshot(path=shots / "formgrader-list.png")

    page.goto(f"{url}/formgrader/submissions/{submission}/")
    page.locator("#json-echo-task-3").wait_for()
    comment = page.locator(f"#{ANSWER}-comment")
    with page.expect_response(lambda answer: "/api/comment/" in answer.url and answer.request.method == "PUT"):
        comment.fill("Closer than you think.")
        comment.blur()
    credit = page.locator("#json-echo-task-1_extra_credit")
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        credit.fill("1.5")
        credit.blur()
    page.locator("#json-echo-task-3").scroll_into_view_if_needed()
    page.screenshot(path=shots / "formgrader-submission.png")


@contextmanager
def formgrader(room: Classroom, tmp_path: Path) -> Iterator[tuple[Page, str]]:
    """A real Jupyter server on the course, and a browser that is logged in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=open", "--no-browser", "--allow-root"]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(["jupyter", "server", *options], cwd=room.course, env=room.environ, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/api", server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.goto(f"{url}/login?token=open")
            yield page, url
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"The Jupyter server did not come up (exit code {server.poll()}).")
