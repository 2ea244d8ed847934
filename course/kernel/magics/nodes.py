"""%%node: the cell as a program of its own."""

import itertools
import os
import re
from contextlib import suppress
from pathlib import Path

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, Option
from course.kernel.magics.cell import Cell, dim
from course.kernel.magics.predictions import show_comparison
from course.kernel.magics.processes import Ending, node_environment, run_program

SECONDS = 30.0
SECONDS_MAX = 600.0
KEPT_CHARACTERS = 1024 * 1024
"""Of each stream, for `--as` and `--predict`."""
TEMPORARY = ".looplab-cell-{pid}-{number}.{suffix}"
_numbers = itertools.count(1)


async def node(cell: Cell, given: Given) -> None:
    """Runs the cell as a program of its own, in a fresh Node process.

    This is how to see the order of a program: a plain cell starts in the middle of a running process, a program does not. The program
    knows nothing of your variables. It is an ES module, so that `import` and `await` work; with `--cjs` it is CommonJS. Relative imports
    start at the notebook's folder.

    - `--as run` leaves `run = { stdout, stderr, code, signal, ms, maxRssMb }` for the next cells. An exit code other than 0 is then no
      error but something to look at. `maxRssMb` is the most memory that the process had, in MB.
    - `--predict order` shows the output beside what you wrote under `%%predict order`.
    - `--env NAME=value` sets a variable of the environment; it may stand there several times.
    - `--seconds 5` ends the program after 5 seconds (30 if you say nothing, at most 600).
    - What stands after `--` are flags of Node.

    Standard output and standard error are two pipes: each keeps its order, but a line of one may overtake a line of the other.

    ```text
    %%node --cjs --as run --env MODE=test -- --max-old-space-size=64
    console.log('sync', process.env.MODE);
    setTimeout(() => console.log('timeout'));
    process.nextTick(() => console.log('nextTick'));
    ```
    """
    seconds = given.number("--seconds", SECONDS, 0.1, SECONDS_MAX)
    name, prediction = given.variable("--as"), given.text("--predict")
    env = node_environment(cell.settings, given.environment())
    path = _temporary(cell.cwd, "cjs" if given.flag("--cjs") else "mjs")
    out, err = _Stream(cell, "stdout", path), _Stream(cell, "stderr", path)
    try:
        _write(path, given)
        command: list[str | Path] = [cell.settings.node, *given.rest, path]
        ending, overtime = await run_program(cell, command, env=env, seconds=seconds, stdout=out.take, stderr=err.take)
    finally:
        path.unlink(missing_ok=True)
    out.finish()
    err.finish()
    if prediction is not None:
        show_comparison(cell, prediction, out.kept, seen=True)
    trouble = _trouble(ending, overtime, seconds, err.kept)
    if name:
        run = {"stdout": out.kept, "stderr": err.kept, "code": ending.code, "signal": ending.signal}
        await cell.set(name, {**run, "ms": round(ending.ms, 1), "maxRssMb": ending.max_rss_mb})
        if trouble:
            cell.write(dim(f"{trouble.value}\n"))
    elif trouble:
        raise trouble


def _trouble(ending: Ending, overtime: bool, seconds: float, stderr: str) -> CellError | None:
    if overtime:
        advice = "Does it wait for something that never comes? --seconds N gives it longer."
        return CellError("TimeLimit", f"The program still ran after {seconds:g} s and was ended. {advice}")
    if ending.code == 0:
        return None
    words = ending.words(stderr)
    return CellError("OutOfMemory" if "out of memory" in words else "ProgramError", f"The program {words}.")


def _temporary(folder: Path, suffix: str) -> Path:
    """A name beside the notebook, so that imports are found from there. Sweeps what a killed kernel has left."""
    for left in folder.glob(TEMPORARY.format(pid="*", number="*", suffix="*")):
        owner = re.match(r"\.looplab-cell-(\d+)-", left.name)
        if owner and not _alive(int(owner[1])):
            with suppress(OSError):
                left.unlink()
    # The real path: Node names the file by it.
    return folder.resolve() / TEMPORARY.format(pid=os.getpid(), number=next(_numbers), suffix=suffix)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _write(path: Path, given: Given) -> None:
    """Lines keep the numbers that they have in the cell, where the magic is one of them."""
    try:
        path.write_bytes(b"\n" * given.line + given.body.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise CellError("FileError", f"The program cannot be written to {path.parent}: {error.strerror}.") from None


class _Stream:
    """Writes a program's output on, with `cell.mjs` for the name of the temporary file, and keeps the beginning of it."""

    def __init__(self, cell: Cell, name: str, path: Path) -> None:
        self._write = (lambda text: cell.write(text, "stderr")) if name == "stderr" else cell.write
        shown = f"cell{path.suffix}"
        self._names = [(path.name, shown)]
        if name == "stderr" and path.parent != Path(path.anchor):
            # For people: there, files of the notebook's folder go by their relative names, too.
            self._names = [(f"{path.parent.as_uri()}/", ""), (f"{path.parent}/", ""), (path.name, shown)]
        self._waiting = ""
        self.kept = ""
        self._full = False

    def take(self, text: str) -> None:
        text = self._renamed(self._waiting + text)
        cut = len(text) - self._begun(text)
        text, self._waiting = text[:cut], text[cut:]
        self._hand_on(text)

    def finish(self) -> None:
        self._hand_on(self._waiting)
        self._waiting = ""
        if self._full:
            self._write(dim(f"Of this output the first {KEPT_CHARACTERS // 1024 // 1024} MB are kept.\n"))

    def _renamed(self, text: str) -> str:
        for name, shown in self._names:
            text = text.replace(name, shown)
        return text

    def _begun(self, text: str) -> int:
        """How many characters at the end may be the beginning of a name."""
        longest = max(len(name) for name, _ in self._names)
        tail = text[-longest:]
        starts = (n for n in range(min(longest, len(tail)), 0, -1) if any(name.startswith(tail[-n:]) for name, _ in self._names))
        return next(starts, 0)

    def _hand_on(self, text: str) -> None:
        if text:
            self._write(text)
            self._full = self._full or len(self.kept) + len(text) > KEPT_CHARACTERS
            self.kept += text[: KEPT_CHARACTERS - len(self.kept)]


NODE = Magic(
    "%%node",
    node,
    options=(
        Option("--cjs"),
        Option("--as", "<name>"),
        Option("--predict", "<name>"),
        Option("--env", "K=V", many=True),
        Option("--seconds", "N"),
    ),
    rest="node flags",
)
