"""The first line of a magic: what it may hold, and how it is read. Every mistake becomes a sentence that names the nearest right word."""

import difflib
import inspect
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from course.kernel.errors import CellError
from course.kernel.magics.cell import Cell

RESERVED = set(
    re.findall(
        r"\w+",
        """arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for
    function if implements import in instanceof interface let new null package private protected public return static super switch this
    throw true try typeof var void while with yield undefined NaN Infinity globalThis""",
    )
)


def usage_error(text: str) -> CellError:
    return CellError("UsageError", text)


@dataclass(frozen=True)
class Option:
    """`value` is what stands for its value in the help; without one the option is a flag."""

    name: str
    value: str = ""
    many: bool = False

    def __str__(self) -> str:
        return f"[{self.name}{f' {self.value}' if self.value else ''}]{' …' if self.many else ''}"


@dataclass(frozen=True)
class Magic:
    """`name` begins with `%%` when the rest of the cell belongs to it. The docstring of `run` is its help, in Markdown."""

    name: str
    run: "Callable[[Cell, Given], Awaitable[None]]"
    words: tuple[str, ...] = ()
    """Placeholders of its words; `[…]` may be left away."""
    options: tuple[Option, ...] = ()
    rest: str = ""
    """What may follow `--`."""

    @property
    def usage(self) -> str:
        return " ".join([self.name, *self.words, *map(str, self.options), *([f"[-- {self.rest}]"] if self.rest else [])])

    @property
    def help(self) -> str:
        return f"### `{self.name}`\n\n```text\n{self.usage}\n```\n\n{inspect.getdoc(self.run)}\n"

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.run) or "").split("\n")[0]


@dataclass(frozen=True)
class Given:
    """What stands in a cell: the words and options of the magic's line, and the lines below it."""

    magic: Magic
    words: tuple[str, ...]
    values: dict[str, list[str]]
    rest: tuple[str, ...]
    body: str
    line: int
    """Of the magic in its cell, counted from 1."""

    def word(self, number: int) -> str | None:
        return self.words[number] if number < len(self.words) else None

    def flag(self, name: str) -> bool:
        return name in self.values

    def texts(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def text(self, name: str) -> str | None:
        return self.texts(name)[-1] if self.texts(name) else None

    def number(self, name: str, default: float, least: float, most: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            raise usage_error(f'{name} takes a number, not "{text}".') from None
        if not least <= value <= most:
            raise usage_error(f"{name} takes a number from {least:g} to {most:g}, not {text}.")
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if text is not None and not re.fullmatch(r"[0-9]{1,9}", text):
            raise usage_error(f'{name} takes a whole number, not "{text}".')
        return int(self.number(name, default, least, most))

    def variable(self, name: str) -> str | None:
        """The name of a JavaScript variable."""
        text = self.text(name)
        if text is not None and (not re.fullmatch(r"[A-Za-z_$][\w$]*", text, re.ASCII) or text in RESERVED):
            raise usage_error(f'{name} takes the name of a JavaScript variable, such as "result", not "{text}".')
        return text

    def environment(self) -> dict[str, str]:
        """The pairs of `--env K=V`."""
        pairs = {}
        for text in self.texts("--env"):
            key, equals, value = text.partition("=")
            if not equals or not re.fullmatch(r"\w+", key) or "\0" in value:
                raise usage_error(f'--env takes NAME=VALUE, such as --env MAX_BODY=1000, not "{text}".')
            pairs[key] = value
        return pairs


def read_line(magic: Magic, text: str, body: str, line: int) -> Given:
    """Reads what follows the magic's name on its line. Quotes hold together what has spaces, as in a shell."""
    try:
        parts = shlex.split(text)
    except ValueError:
        raise usage_error(f"A quote is not closed in this line: {text.strip()}") from None
    rest: tuple[str, ...] = ()
    if "--" in parts:
        at = parts.index("--")
        parts, rest = parts[:at], tuple(parts[at + 1 :])
        if rest and not magic.rest:
            raise usage_error(f"Nothing may follow `--` in {magic.name}. {_see(magic)}")
    known = {option.name: option for option in magic.options}
    words: list[str] = []
    values: dict[str, list[str]] = {}
    waiting = iter(parts)
    for part in waiting:
        if not re.match(r"--?[A-Za-z]", part):
            words.append(part)
            continue
        name, equals, value = part.partition("=")
        option = known.get(name)
        if option is None:
            near = difflib.get_close_matches(name, known, 1)
            offered = f"It knows {', '.join(known)}." if known else "It has no options."
            raise usage_error(f"{magic.name} does not know {name}. {f'Did you mean {near[0]}?' if near else offered}")
        if option.value and not equals:
            value = next(waiting, "")
            if value in ("", *known):
                raise usage_error(f"{name} needs a value: {name} {option.value}")
        if not option.value and equals:
            raise usage_error(f"{name} takes no value.")
        if name in values and not option.many:
            raise usage_error(f"{name} stands there twice.")
        values.setdefault(name, []).append(value)
    needed = [word for word in magic.words if not word.startswith("[")]
    if len(words) < len(needed):
        raise usage_error(f"{magic.name} needs {needed[len(words)]}. {_see(magic)}")
    if len(words) > len(magic.words):
        more = f"Is a `--` missing before {words[-1]}? " if magic.rest else ""
        raise usage_error(f'{magic.name} does not know what to do with "{words[len(magic.words)]}". {more}{_see(magic)}')
    return Given(magic, tuple(words), values, rest, body, line)


def _see(magic: Magic) -> str:
    return f"It is written: {magic.usage}"
