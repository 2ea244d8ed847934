"""Reads lesson.md: MyST Markdown, as jupytext reads it, cut into blocks. What cannot be meant is refused with file and line.

A block is a piece of prose (a heading or `+++` begins a new one) or a directive: a fence whose language stands in braces.
"""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from grader.errors import LessonError
from grader.tables import convert_table

Kind = Literal["prose", "code-cell", "predict", "exercise", "answer"]
DIRECTIVES: dict[str, str] = {
    "code-cell": "javascript",
    "predict": "NAME",
    "exercise": "ID",
    "answer": "QUESTION",
}
"""Each directive and what follows it in its first line."""


class FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table between `---` and `---` with which lesson.md begins."""

    title: str
    minutes: int
    """For a person."""
    goals: tuple[str, ...]
    exercises: tuple[str, ...] = ()


class Block(msgspec.Struct, frozen=True):
    kind: Kind
    line: int
    """Of the source, from 1; of a directive its first line."""
    text: str
    argument: str = ""
    tags: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True):
    front: FrontMatter
    blocks: tuple[Block, ...]


def read_source(path: Path, name: str) -> Source:
    """Reads and validates a lesson.md, called `name` in messages. Raises LessonError with every complaint, one a line."""
    from jupytext.myst import get_parser  # half a second to import

    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise LessonError(f"{name} is missing.") from None
    except UnicodeDecodeError as error:
        raise LessonError(f"{name}: is not UTF-8 ({error.reason} at byte {error.start}).") from None
    tokens = get_parser().parse(text)
    if broken := [token.map[0] + 1 for token in tokens if token.type == "inline" and re.search(r"^`{3,}\{", token.content, re.MULTILINE)]:
        # To Markdown this is prose, and every fence below it is read the wrong way round: say nothing else.
        raise LessonError(
            f"{name}:{broken[0]}: the first line of this directive holds a back quote, which a fence of back quotes may not. "
            "Leave it out, or make the fence of tildes: `~~~{answer} …` and `~~~`."
        )
    if not tokens or tokens[0].type != "front_matter":
        raise LessonError(f"{name}:1: does not begin with a front matter: `---`, then title, minutes, goals and exercises, then `---`.")
    front = _front_matter(tokens[0].content, name)
    complaints: list[str] = []
    blocks = tuple(_blocks(tokens[1:], text.split("\n"), tokens[0].map[1], complaints))
    titles = [block for block in blocks if block.kind == "prose" and re.match(r"# ", block.text)]
    if not blocks or titles[:1] != [blocks[0]]:
        complaints.append(f"{tokens[0].map[1] + 1}: the lesson does not begin with its title: `# {front.title}`.")
    elif (title := blocks[0].text.split("\n")[0].removeprefix("#").strip()) != front.title:
        complaints.append(f'{blocks[0].line}: the heading is "{title}", but `title` above is "{front.title}". Make them the same.')
    complaints += [f"{block.line}: a second heading with one `#`. Use `##`: the title is the only one." for block in titles[1:]]
    if complaints:
        raise LessonError("\n".join(f"{name}:{complaint}" for complaint in complaints))
    return Source(front, blocks)


def _front_matter(text: str, name: str) -> FrontMatter:
    try:
        raw = msgspec.yaml.decode(text.encode())
    except msgspec.DecodeError as error:
        raise LessonError(f"{name}:1: the front matter is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise LessonError(f"{name}:1: the front matter is no table of `key: value` lines.")
    front = convert_table(f"{name}:1", raw, FrontMatter, LessonError)
    if not front.goals:
        raise LessonError(f"{name}:1: `goals` is empty. Say what a learner can do afterwards.")
    return front


def _blocks(tokens: list[Any], lines: list[str], start: int, complaints: list[str]) -> Iterator[Block]:
    """Yields the blocks from line `start` (from 0) on; adds what is wrong to `complaints`, each beginning with its line."""
    comments: set[int] = set()

    def prose(end: int) -> Iterator[Block]:
        kept = [(n, lines[n]) for n in range(start, end) if n not in comments]
        while kept and not kept[0][1].strip():
            del kept[0]
        if text := "\n".join(line for _, line in kept).rstrip():
            yield Block("prose", kept[0][0] + 1, text)

    for token in tokens:
        directive = re.match(r"\{(.*?)\}[ \t]*(.*)$", token.info) if token.type == "fence" else None
        if token.level > 0:
            if directive:
                complaints.append(f"{token.map[0] + 1}: {{{directive[1]}}} stands inside a list or a quotation. Put it at the left margin.")
            elif token.type == "inline" and ":::" in token.content and re.search(r"^:::", token.content, re.MULTILINE):
                complaints.append(f"{token.map[0] + 1}: `:::` means nothing in a notebook. Use a fence of back quotes.")
        elif directive:
            yield from prose(token.map[0])
            start = token.map[1]
            if block := _directive(token, directive[1], directive[2].strip(), lines, complaints):
                yield block
        elif token.type == "heading_open":
            yield from prose(token.map[0])
            start = token.map[0]
        elif token.type == "myst_block_break":
            yield from prose(token.map[0])
            start = token.map[1]
            if token.content:
                complaints.append(f"{token.map[0] + 1}: `+++` begins a new cell and takes nothing behind it.")
        elif token.type == "myst_line_comment":
            comments.update(range(*token.map))
            if any(re.match(r"\s*%\S", lines[n]) for n in range(*token.map)):
                complaints.append(f"{token.map[0] + 1}: a line that begins with % is a comment. Put a magic into back quotes: `%check`.")
        elif token.type == "myst_target":
            complaints.append(f"{token.map[0] + 1}: `({token.content})=` means nothing in a notebook. Link to a heading by its text.")
        elif token.type == "fence" and not _closed(token, lines):
            complaints.append(f"{token.map[0] + 1}: this fence is never closed.")
    yield from prose(len(lines))


def _closed(token: Any, lines: list[str]) -> bool:
    last = lines[min(token.map[1], len(lines)) - 1].strip()
    return token.map[1] - token.map[0] > 1 and len(last) >= len(token.markup) and set(last) == set(token.markup)


def _directive(token: Any, name: str, argument: str, lines: list[str], complaints: list[str]) -> Block | None:
    line = token.map[0] + 1
    if name not in DIRECTIVES:
        near = difflib.get_close_matches(name, DIRECTIVES, 1)
        advice = f"Did you mean {{{near[0]}}}?" if near else f"There are {', '.join(f'{{{known}}}' for known in DIRECTIVES)}."
        complaints.append(f"{line}: unknown directive {{{name}}}. {advice}")
        return None
    if not _closed(token, lines):
        complaints.append(f"{line}: the fence of {{{name}}} is never closed.")
        return None
    text = token.content.strip("\n")
    tags: tuple[str, ...] = ()
    if name == "code-cell":
        text, tags = _options(text, line, complaints)
        if argument != "javascript":
            complaints.append(f"{line}: {{code-cell}} {argument or 'without a language'}: the cells of a lesson are javascript.")
    if not argument:
        complaints.append(f"{line}: {{{name}}} lacks its {DIRECTIVES[name]}: `{{{name}}} {DIRECTIVES[name]}`.")
    elif name == "predict" and not re.fullmatch(r"[A-Za-z][\w-]*", argument):
        complaints.append(f'{line}: "{argument}" is no name of a prediction. Use letters, digits and -.')
    if name == "exercise" and text.strip():
        complaints.append(f"{line}: {{exercise}} takes nothing between its fences; the exercise's own files say everything.")
    elif name != "exercise" and not text.strip():
        complaints.append(f"{line}: {{{name}}} is empty.")
    return Block(name, line, text.rstrip(), argument, tags)  # type: ignore[arg-type]  # a key of DIRECTIVES is a Kind


def _options(text: str, line: int, complaints: list[str]) -> tuple[str, tuple[str, ...]]:
    """Takes the lines `:key: value` off the top of a code cell; the only key is `tags`."""
    from jupytext.myst import MystMetadataParsingError, parse_directive_options

    try:
        body, options = parse_directive_options(text, "")
    except MystMetadataParsingError as error:
        complaints.append(f"{line}: the options of {{code-cell}} are not valid: {' '.join(str(error).split())}.")
        return text, ()
    tags = options.get("tags", []) if isinstance(options, dict) else None
    if tags is None or set(options) - {"tags"}:
        complaints.append(f"{line}: {{code-cell}} has one option: `:tags: [a-tag]`.")
        return text, ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        complaints.append(f"{line}: `:tags:` takes a list of words: `:tags: [a-tag]`.")
        return text, ()
    return "\n".join(body).lstrip("\n"), tuple(tags)
