"""The bridge to nbgrader beside nbgrader's own autograde: the same ten answers, one run each."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from grader.bench.run import Part, Tick, compared, joined
from grader.exercise import Exercise, load_exercise
from grader.settings import Settings

BIN = Path(sys.executable).parent
EXERCISE = "json-echo"
ANSWER = f"{EXERCISE}-file-server-mjs"
STOCK = "--Autograde.exporter_class=nbconvert.exporters.notebook.NotebookExporter"
"""Takes nbgrader's own road although the course hands over to Looplab."""

PLAIN = [
    """
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
const port = await new Promise((give) => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => give(port)); });
});
const server = spawn(process.execPath, ['json-echo/server.mjs'], { env: { ...process.env, PORT: port } });
for (let tries = 0; ; tries += 1) {
  try { await fetch(`http://127.0.0.1:${port}/health`); break; } catch (error) { if (tries > 200) throw error; await sleep(10); }
}
const send = (body) => fetch(`http://127.0.0.1:${port}/echo`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
if ((await (await send('{"name": "José"}')).json()).bytes !== 17) throw new Error('bytes');
""",
    """
if ((await send('{"price": 12,}')).status !== 400) throw new Error('status');
""",
    """
try {
  if ((await send(JSON.stringify('x'.repeat(200_000)))).status !== 413) throw new Error('status');
} finally {
  server.kill();
}
""",
]
"""What an instructor would write into the three grade cells without Looplab: one server, one request a task."""


def nbgrader_ten(settings: Settings, count: int, tick: Tick) -> Part:
    """Ours grades with the whole suite, in containers. Stock runs the same notebooks here, once as they are (`%check` with the visible
    checks), and once with one plain request a task, which is the least that stock can do."""
    exercise = load_exercise(settings.exercises, EXERCISE)
    with tempfile.TemporaryDirectory(prefix="looplab-bench-") as temp:
        environ = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "LOOPLAB_DATA": f"{temp}/looplab"}
        same, plain = (_course(Path(temp) / name, exercise, count, environ, name == "plain") for name in ("same", "plain"))
        tick("")
        ours = _timed(same, environ, "looplab", "nbgrader", "autograde", EXERCISE)
        tick("")
        shutil.rmtree(same / "autograded")
        theirs = []
        for course in (same, plain):
            theirs.append(_timed(course, environ, "nbgrader", "autograde", EXERCISE, STOCK))
            tick("")
    name = f"course of {count} submissions"
    return joined(
        [
            compared("nbgrader", name, ([ours], theirs[:1]), "nbgrader autograde of the same", "s", "ratio at most 0.33"),
            compared("nbgrader", f"{name}, least that stock can do", ([ours], theirs[1:]), "nbgrader autograde, one request a task", "s"),
        ]
    )


def _course(folder: Path, exercise: Exercise, count: int, environ: dict[str, str], plain: bool) -> Path:
    """A course in which everybody has handed in: right answers and wrong ones in turn."""
    _run(folder.parent, environ, "looplab", "nbgrader", "init", str(folder), "-e", EXERCISE)
    if plain:
        source = folder / "source" / EXERCISE / f"{EXERCISE}.ipynb"
        _edit(source, source, {f"{EXERCISE}-task-{n}": text for n, text in enumerate(PLAIN, 1)})
    _run(folder, environ, "nbgrader", "generate_assignment", EXERCISE)
    servers = [p.read_text() for kind in ("solution", "right/*", "wrong/*") for p in sorted(exercise.folder.glob(f"{kind}/server.mjs"))]
    servers = [text for text in servers if not re.search(r"from '(?!node:)", text)]  # stock has no packages for them
    for number in range(count):
        answer = f"%%file {EXERCISE}/server.mjs\n{servers[number % len(servers)]}"
        handed = folder / "submitted" / f"learner-{number:02}" / EXERCISE / f"{EXERCISE}.ipynb"
        _edit(folder / "release" / EXERCISE / f"{EXERCISE}.ipynb", handed, {ANSWER: answer})
        (handed.parent / "timestamp.txt").write_text("2026-01-01 12:00:00 UTC")
    return folder


def _edit(source: Path, target: Path, texts: dict[str, str]) -> None:
    notebook: dict[str, Any] = json.loads(source.read_text())
    for cell in notebook["cells"]:
        id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = texts.get(id, cell["source"])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook))


def _timed(folder: Path, environ: dict[str, str], *command: str) -> float:
    began = time.monotonic()
    said = _run(folder, environ, *command, codes=(0, 1))
    took = time.monotonic() - began
    graded = len(list((folder / "autograded").glob("*/*/*.ipynb")))
    if graded != len(list((folder / "submitted").iterdir())):
        raise RuntimeError(f"{' '.join(command)} graded only {graded}: {said[-800:]}")
    return took


def _run(folder: Path, environ: dict[str, str], *command: str, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-800:]}")
    return done.stderr.decode()
