"""%%predict: what you expect, written down before you look; and the comparison with what came."""

import difflib
from collections.abc import Iterator
from html import escape
from itertools import zip_longest

from course.kernel.magics.arguments import Given, Magic
from course.kernel.magics.cell import Cell, dim
from grader.formats.html import BAD, DIM, GOOD, MONO
from grader.formats.text import safe

LINES_MAX = 200
NONE_YET = {"", "…", "..."}


async def predict(cell: Cell, given: Given) -> None:
    """Keeps what you write below as your prediction.

    Replace the `…` by the lines that you expect, one below the other, and run the cell. The next cell compares them with what came.
    A wrong prediction costs nothing; it shows where it is worth to look.

    ```text
    %%predict order
    sync
    timeout
    ```
    """
    name, text = given.words[0], given.body.strip()
    if text in NONE_YET:
        cell.session.predictions.pop(name, None)
        _remind(cell, name, "No prediction yet: write what you expect instead of … and run this cell.")
        return
    cell.session.predictions[name] = text
    lines = len(text.splitlines())
    cell.write(dim(f"Your prediction is kept ({lines} {'line' if lines == 1 else 'lines'}). Now run the next cell.\n"))


def show_comparison(cell: Cell, name: str, actual: str, *, seen: bool = False) -> None:
    """Shows the prediction `name` beside what came, line by line. Spaces around lines do not count, and no prediction is no mistake.

    `seen`: what came stands above already.
    """
    predicted = cell.session.predictions.get(name)
    if predicted is None:
        if not seen:
            cell.write(actual if actual.endswith("\n") else f"{actual}\n")
        _remind(cell, name, f"You have made no prediction “{name}” yet: fill in the cell `%%predict {name}`, then run this one again.")
        return
    rows = list(_rows(_lines(predicted), _lines(actual)))
    same = sum(left == right for left, right in rows)
    verdict = f"All {same} lines came as predicted." if same == len(rows) else f"{same} of {len(rows)} lines came as predicted."
    if same == len(rows) == 1:
        verdict = "It came as predicted."
    cell.display(
        {"text/plain": _plain(rows, verdict), "text/html": _html(rows, verdict)},
        {"looplab": {"prediction": name, "same": same, "lines": len(rows)}},
    )


def _remind(cell: Cell, name: str, text: str) -> None:
    """Marked in its metadata, so that it can be left out of copies that nobody predicts in."""
    cell.display({"text/plain": text, "text/html": f'<span style="{DIM}">{escape(text)}</span>'}, {"looplab": {"reminder": name}})


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in safe(text).strip().split("\n")]
    return lines if len(lines) <= LINES_MAX else [*lines[:LINES_MAX], f"… and {len(lines) - LINES_MAX} more"]


def _rows(left: list[str], right: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """Pairs of lines: by their numbers when there are as many, else so that as many as possible are equal."""
    if len(left) == len(right):
        yield from zip(left, right, strict=True)
        return
    for _, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        yield from zip_longest(left[a:b], right[c:d])


def _plain(rows: list[tuple[str | None, str | None]], verdict: str) -> str:
    width = min(60, max(len("predicted"), *(len(left or "") for left, _ in rows)))
    lines = [f"  {'predicted'.ljust(width)}  what came"]
    lines += [f"{'=' if left == right else '≠'} {(left or '').ljust(width)}  {right or ''}".rstrip() for left, right in rows]
    return "\n".join([*lines, verdict])


def _html(rows: list[tuple[str | None, str | None]], verdict: str) -> str:
    """Divs, because pages restyle tables."""
    grid = "display:grid;grid-template-columns:1.2em minmax(8em,max-content) minmax(8em,max-content);column-gap:1em"
    cells = [f'<div></div><div style="{DIM}">predicted</div><div style="{DIM}">what came</div>']
    for left, right in rows:
        style, sign = (GOOD, "=") if left == right else (BAD, "≠")
        texts = "".join(
            f'<div style="white-space:pre-wrap;{style if n else ""}">{escape(text or "")}</div>' for n, text in enumerate((left, right))
        )
        cells.append(f'<div style="{style}">{sign}</div>{texts}')
    return f'<div style="{MONO};{grid}">{"".join(cells)}</div><div style="margin-top:.4em">{escape(verdict)}</div>'


PREDICT = Magic("%%predict", predict, words=("<name>",))
