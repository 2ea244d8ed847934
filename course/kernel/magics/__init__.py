"""The magics: lines that begin with % or %%, which the kernel does itself instead of giving them to Node.

The kernel calls `is_magic`, `run_magic`, `complete_magic` and `help_of`, and gives each magic a `Cell` to work with. A cell that
begins with `%%name` belongs to that magic as a whole; otherwise each of its lines is a magic of its own.
"""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

from course.kernel.errors import CellError
from course.kernel.magics.arguments import Given, Magic, read_line, usage_error
from course.kernel.magics.cell import Cell, Session, dim
from course.kernel.magics.exercises import CHECK, HINT, SUBMIT
from course.kernel.magics.files import FILE
from course.kernel.magics.http import HTTP
from course.kernel.magics.load import LOAD
from course.kernel.magics.nodes import NODE
from course.kernel.magics.predictions import PREDICT, show_comparison
from course.kernel.magics.servers import LOG, SERVE, STOP
from grader.settings import Settings

__all__ = ["Cell", "CellError", "Session", "complete_magic", "help_of", "is_magic", "run_magic", "show_comparison"]


async def _reset(cell: Cell, given: Given) -> None:
    """Ends the notebook's Node process and starts a fresh one: all variables are gone.

    Servers of `%serve` and predictions stay, and so do the variables of servers that run.

    ```text
    %reset
    ```
    """
    cell.reset()
    running = [server for server in cell.session.servers.values() if server.ending is None]
    for server in running:
        await cell.set(server.name, server.variable)
    but = f", except those of the servers: {', '.join(server.name for server in running)}" if running else ""
    cell.write(dim(f"A fresh Node process: all variables are gone{but}.\n"))


async def _list(cell: Cell, given: Given) -> None:
    """Lists all magics.

    ```text
    %magics
    ```
    """
    width = max(len(magic.name) for magic in MAGICS)
    rows = "".join(f"| `{magic.name}` | {magic.summary} |\n" for magic in MAGICS)
    after = "`%name?` tells all about one, such as `%serve?`."
    cell.display(
        {
            "text/plain": "\n".join([*(f"{magic.name.ljust(width)}  {magic.summary}" for magic in MAGICS), "", after.replace("`", "")]),
            "text/markdown": f"| magic | does |\n|---|---|\n{rows}\n{after}",
        }
    )


MAGICS = (
    NODE,
    FILE,
    SERVE,
    LOG,
    STOP,
    HTTP,
    LOAD,
    PREDICT,
    CHECK,
    HINT,
    SUBMIT,
    Magic("%reset", _reset),
    Magic("%magics", _list),
)
BY_NAME = {magic.name.lstrip("%"): magic for magic in MAGICS}


def is_magic(code: str) -> bool:
    """Whether a cell begins with % (which no JavaScript does)."""
    return code.lstrip().startswith("%")


async def run_magic(cell: Cell, code: str) -> None:
    """Runs a cell that `is_magic`. Raises CellError, with a sentence for the person."""
    before = code[: len(code) - len(code.lstrip())].count("\n")
    first, _, body = code.lstrip().partition("\n")
    if first.startswith("%%") and not first.rstrip().endswith("?"):
        magic, rest = _find(first)
        await magic.run(cell, read_line(magic, rest, body, before + 1))
        return
    steps = [_step(line, number) for number, line in enumerate(code.split("\n"), 1) if not _is_comment(line)]
    for magic, given in steps:  # all lines were understood before the first is done
        if given is None:
            cell.display({"text/plain": magic.help, "text/markdown": magic.help})
        else:
            await magic.run(cell, given)


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("//")


def _step(line: str, number: int) -> tuple[Magic, Given | None]:
    """A line of its own: the magic and what it is given, or no Given when its help is asked for."""
    text = line.strip()
    if not text.startswith("%"):
        raise usage_error(f"Line {number} is no magic: {text[:60]}. A cell that begins with a magic holds nothing else: use another cell.")
    if re.fullmatch(r"%{1,2}[\w-]+\s*\?", text):
        return _find(text.rstrip("? "), exact=False)[0], None
    magic, rest = _find(text)
    if magic.name.startswith("%%"):
        raise usage_error(f"{magic.name} takes the rest of a cell: it must stand in its first line.")
    return magic, read_line(magic, rest, "", number)


def _find(line: str, *, exact: bool = True) -> tuple[Magic, str]:
    """The magic of a line, and the rest of the line. With `exact` it must be written with its number of %."""
    found = re.match(r"(%{1,2})([\w-]*)(.*)", line)
    assert found is not None
    magic = BY_NAME.get(found[2])
    if magic is None:
        near = difflib.get_close_matches(found[2], BY_NAME, 1, 0.5)
        advice = f"Did you mean {BY_NAME[near[0]].name}?" if near else "%magics lists them all."
        raise usage_error(f"There is no magic {found[1]}{found[2]}. {advice}")
    if exact and magic.name != found[1] + found[2]:
        what = "it takes the rest of the cell" if magic.name.startswith("%%") else "it stands alone on its line"
        raise usage_error(f"Write {magic.name}, not {found[1]}{found[2]}: {what}.")
    if found[3] and not found[3][0].isspace():
        raise usage_error(f'After {magic.name} comes a space, not "{found[3][0]}".')
    return magic, found[3]


def help_of(name: str) -> str:
    """The help of a magic, in Markdown. `name` with or without %. Raises CellError for an unknown one."""
    return _find(f"%{name.strip().lstrip('%').rstrip('? ')}", exact=False)[0].help


# ---- completion


def complete_magic(text: str, settings: Settings | None = None, cwd: Path | None = None, session: Session | None = None) -> list[str]:
    """What the last word of `text`, a magic's line up to the cursor, can become. Each result replaces that whole word.

    Names of exercises, files and servers are offered when it is known where to find them.
    """
    line = text.split("\n")[-1].lstrip()
    if not line.startswith("%"):
        return []
    words = line.split(" ")
    last = words[-1]
    if len(words) == 1:
        exact = [magic.name for magic in MAGICS if magic.name.startswith(last)]
        return exact or [magic.name for magic in MAGICS if magic.name.lstrip("%").startswith(last.lstrip("%"))]
    magic = BY_NAME.get(words[0].lstrip("%"))
    if magic is None or "--" in words[:-1]:
        return []
    if last.startswith("-"):
        offered: list[str] = [option.name for option in magic.options]
    else:
        offered = list(_offered(magic, words, settings, cwd, session))
    return sorted({one for one in offered if one.startswith(last) and one != last})


def _offered(magic: Magic, words: list[str], settings: Settings | None, cwd: Path | None, session: Session | None) -> Iterator[str]:
    option = next((o for o in magic.options if o.name == words[-2] and o.value), None)
    number = sum(1 for word in words[1:-1] if word and not word.startswith("-"))
    placeholder = (option.value if option else magic.words[number] if number < len(magic.words) else "").strip("[]")
    if placeholder == "<exercise>" and settings:
        yield from (path.parent.name for path in settings.exercises.glob("*/exercise.toml"))
    elif placeholder == "<name>" and session and (magic in (LOG, STOP) or words[-2] == "--to"):
        yield from session.servers
    elif placeholder == "<name>" and session and words[-2] == "--predict":
        yield from session.predictions
    elif placeholder in ("<file>", "<path>") and magic is not LOAD and cwd:
        yield from _files(cwd, words[-1])


def _files(cwd: Path, begun: str) -> Iterator[str]:
    folder = begun[: begun.rfind("/") + 1]
    try:
        found = sorted((cwd / folder).iterdir())[:500]
    except OSError:
        return
    for path in found:
        if not path.name.startswith(".") and path.name != "node_modules":
            yield f"{folder}{path.name}{'/' if path.is_dir() else ''}"
