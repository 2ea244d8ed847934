"""The learner's copy of a suite: the visible checks and what they need, cut out of the source by its syntax tree.

Nothing is run. A statement is kept when a visible check needs it, directly or through others; everything else goes, and so does
every comment that does not stand inside of what is kept: it may speak of a hidden check.
"""

import ast
import symtable
from collections.abc import Iterator
from pathlib import Path

from grader.errors import ExerciseError
from grader.exercise import Exercise


def visible_checks(exercise: Exercise) -> dict[str, str]:
    """For each suite of the exercise that has visible checks the name of the learner's copy and its text."""
    module = exercise.slug.replace("-", "_")
    suites = sorted((exercise.folder / "tests").glob("test_*.py"))
    cut = {path: visible_part(path.read_text("utf-8"), f"exercises/{exercise.slug}/tests/{path.name}") for path in suites}
    head = (
        f'"""The visible checks of {exercise.slug}, to read. Run them with `looplab check {exercise.slug}`.\n\n'
        "What they assume is in the contract. The hidden checks prove nothing that it does not say.\n"
        '"""\n\n'
    )
    return {_name(path, module, len(suites)): head + text for path, text in cut.items() if text}


def _name(path: Path, module: str, suites: int) -> str:
    return f"test_{module}.py" if suites == 1 else f"test_{module}_{path.stem.removeprefix('test_')}.py"


def visible_part(source: str, name: str) -> str:
    """What of a suite's source a learner may see, without its docstring; "" when it has no visible check."""
    statements = _statements(source, name)
    needed = _needed(statements)
    lines = source.split("\n")
    parts: list[tuple[bool, str]] = []
    for statement in statements:
        names = [bound for bound in statement.binds if bound in needed]
        if not names:
            continue
        node = statement.node
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts += [(False, text) for text in _import(node, needed)]
        else:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            text = "\n".join(lines[first - 1 : statement.end])
            parts.append((isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)), text))
    if not any(text.startswith("@") for _, text in parts):
        return ""
    return _joined(parts)


class _Statement:
    """A statement at the left margin: what it binds and uses, and its last line, the docstring of a constant included."""

    def __init__(self, node: ast.stmt, binds: set[str], local: set[str]) -> None:
        assert node.end_lineno is not None
        self.node, self.binds, self.end = node, binds, node.end_lineno
        self.uses = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - local
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):  # decorators, annotations and defaults are the module's
            outside = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
            self.uses |= {n.id for part in outside for n in ast.walk(part) if isinstance(n, ast.Name)}
        # An annotation may stand in quotes.
        for n in ast.walk(node):
            annotation = getattr(n, "annotation", None) or getattr(n, "returns", None)
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                self.uses |= {inner.id for inner in ast.walk(ast.parse(annotation.value)) if isinstance(inner, ast.Name)}
        self.visible = isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and "visible" in _marks(node)


def _marks(node: ast.FunctionDef) -> set[str]:
    targets = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _only_local(table: symtable.SymbolTable) -> set[str]:
    """Names that somewhere in this scope are a variable of its own and nowhere the module's: they need nothing of the module."""
    local: set[str] = set()
    shared: set[str] = set()
    pending = [table]
    while pending:
        scope = pending.pop()
        pending += scope.get_children()
        for symbol in scope.get_symbols():
            (shared if symbol.is_global() else local).add(symbol.get_name())
    return local - shared


def _statements(source: str, name: str) -> list[_Statement]:
    scopes = {scope.get_name(): _only_local(scope) for scope in symtable.symtable(source, name, "exec").get_children()}
    found: list[_Statement] = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(_Statement(node, {node.name}, scopes[node.name]))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append(_Statement(node, {alias.asname or alias.name.split(".")[0] for alias in node.names}, set()))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            found.append(
                _Statement(node, {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}, set())
            )
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            if found and isinstance(found[-1].node, (ast.Assign, ast.AnnAssign)):
                found[-1].end = node.end_lineno or node.lineno  # the docstring of that constant
        else:
            raise ExerciseError(
                f"{name}:{node.lineno}: a suite is made of imports, constants, functions and classes; "
                "only of those can the learner's copy be cut. Put this into a function."
            )
    return found


def _needed(statements: list[_Statement]) -> set[str]:
    """The names that the visible checks use, directly or not, and the visible checks themselves."""
    by_name: dict[str, list[_Statement]] = {}
    for statement in statements:
        for name in statement.binds:
            by_name.setdefault(name, []).append(statement)
    pending = [name for statement in statements if statement.visible for name in statement.binds]
    needed: set[str] = set()
    while pending:
        name = pending.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            pending += [used for statement in by_name[name] for used in statement.uses]
    return needed


def _import(node: ast.Import | ast.ImportFrom, needed: set[str]) -> Iterator[str]:
    """The import with only the names that are needed."""
    kept = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in needed]
    if isinstance(node, ast.ImportFrom):
        text = ast.unparse(ast.ImportFrom(node.module, kept, node.level))
        if len(text) > 120:
            inner = "".join(f"    {ast.unparse(alias)},\n" for alias in kept)
            text = f"{text.partition(' import ')[0]} import (\n{inner})"
        yield text
    elif kept:
        yield ast.unparse(ast.Import(kept))


def _joined(parts: list[tuple[bool, str]]) -> str:
    """Two empty lines around functions and classes, one between imports and constants."""
    text = ""
    before: tuple[bool, bool] | None = None
    for block, part in parts:
        imported = part.startswith(("import ", "from "))
        if before is not None:
            was_block, was_import = before
            own = part.startswith("from grader")  # stands apart from Python's own modules
            text += "\n\n\n" if block or was_block else "\n\n" if own or (was_import and not imported) else "\n"
        text += part
        before = (block, imported)
    return text + "\n"
