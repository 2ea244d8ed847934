"""An exercise: its manifest, its contract and the checks of its suite, validated at the door.

Checks are read from the suite's source without running it, so listing exercises never runs an author's code, and the set of
checks that must report is known before the suite starts (fail closed).
"""

import ast
import difflib
import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from grader.errors import ExerciseError, SettingsError
from grader.tables import read_toml

DEFAULT_ENTRY = ("server.mjs", "server.js", "server.cjs", "server.ts")
CHECK_SECONDS = 5.0
"""Deadline of one check, unless `@seconds` gives it another."""
TAKES: dict[str, tuple[str, tuple[type, ...]]] = {
    "task": ("a whole number", (int,)),
    "rule": ("a text", (str,)),
    "hint": ("a text", (str,)),
    "seconds": ("a number", (int, float)),
}
"""What the decorators of a check must be given."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one grading of a submission may use."""

    seconds: float = 30.0
    """The whole suite, waiting included."""
    memory_mb: int = 256
    """Of the learner's processes together. Swap is off."""
    processes: int = 96
    """Processes and threads of the learner."""
    cpus: float = 2.0


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A numbered heading of prompt.md."""

    number: int
    title: str
    points: float


class Wrong(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A known-wrong solution: the suite must fail exactly it, and for this reason."""

    folder: str
    why: str
    fails: tuple[str, ...]
    misconception: str | None = None


class Submit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: tuple[str, ...] = DEFAULT_ENTRY


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """exercise.toml."""

    id: str
    title: str
    summary: str
    module: str
    difficulty: int
    minutes: int
    tasks: tuple[Task, ...]
    teaches: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    status: Literal["draft", "ready", "retired"] = "ready"
    packages: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    submit: Submit = Submit()
    limits: Limits = Limits()
    env: dict[str, str] = {}
    wrong: tuple[Wrong, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """One test function of the suite, as its source declares it."""

    id: str
    title: str
    """First line of the docstring: what the learner reads."""
    rule: str
    """The sentence of prompt.md that it proves."""
    task: int
    visible: bool
    hint: str
    seconds: float
    quiet: bool
    """Measures time or memory: runs while no other check of this machine does."""
    bounded: bool
    """Measures against an upper bound: runs beside others, and alone when it failed there."""


class Exercise(msgspec.Struct, frozen=True):
    slug: str
    folder: Path
    manifest: Manifest
    checks: tuple[Check, ...]
    digest: str
    """Changes with everything that can change a verdict: manifest, contract and suite."""

    def points_of(self, check_id: str) -> float:
        """A task's points are shared evenly by its checks, in hundredths; what is left over goes to its first ones."""
        check = next(c for c in self.checks if c.id == check_id)
        siblings = [c.id for c in self.checks if c.task == check.task]
        points = next(t.points for t in self.manifest.tasks if t.number == check.task)
        each, rest = divmod(round(points * 100), len(siblings))
        return (each + (siblings.index(check_id) < rest)) / 100

    @property
    def max_points(self) -> float:
        return sum(task.points for task in self.manifest.tasks)

    def misconception_of(self, check_id: str, failed: set[str]) -> str | None:
        """The misconception whose known-wrong fails just like this submission: its whole list, and little else.

        A server that fails nearly everything has another problem than any one misconception.
        """
        fitting = [
            w
            for w in self.manifest.wrong
            if w.misconception and check_id in w.fails and failed >= set(w.fails) and len(failed) <= 2 * len(w.fails) + 1
        ]
        return max(fitting, key=lambda w: len(w.fails)).misconception if fitting else None


def load_exercises(root: Path) -> list[Exercise]:
    """All exercises below `root`, in the order of module and difficulty."""
    loaded = [load_exercise(root, path.parent.name) for path in sorted(root.glob("*/exercise.toml"))]
    return sorted(loaded, key=lambda e: (e.manifest.module, e.manifest.difficulty, e.slug))


def load_exercise(root: Path, slug: str) -> Exercise:
    """Reads and validates one exercise. Raises SettingsError when it does not exist, ExerciseError when it is wrong."""
    folder = root / slug
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,80}", slug) or not (folder / "exercise.toml").is_file():
        known = [path.parent.name for path in root.glob("*/exercise.toml")]
        if slug in known:
            raise ExerciseError(f"exercises/{slug}: the name of an exercise's folder is made of a-z, 0-9 and -.")
        near = difflib.get_close_matches(slug, known, 3, 0.4)
        raise SettingsError(
            f'There is no exercise "{slug}". ' + (f"Did you mean {' or '.join(near)}?" if near else "`looplab list` shows them all.")
        )
    name = f"exercises/{slug}/exercise.toml"
    manifest = read_toml(name, (folder / "exercise.toml").read_bytes(), Manifest, ExerciseError)
    prompt = _text(folder / "prompt.md", f"exercises/{slug}/prompt.md")
    suites = sorted((folder / "tests").glob("test_*.py"))
    if not suites:
        raise ExerciseError(f"exercises/{slug}/tests: holds no suite. Add a file test_*.py.")
    checks = tuple(check for path in suites for check in _checks(path, f"exercises/{slug}/tests/{path.name}"))
    _validate(slug, manifest, prompt, checks, folder)
    digest = hashlib.sha256()
    for path in [folder / "exercise.toml", folder / "prompt.md", *sorted((folder / "tests").glob("**/*.py"))]:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return Exercise(slug, folder, manifest, checks, f"sha256:{digest.hexdigest()}")


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ExerciseError(f"{name} is missing.") from None
    except UnicodeDecodeError as error:
        raise ExerciseError(f"{name}: is not UTF-8 ({error.reason} at byte {error.start}).") from None


def _checks(path: Path, name: str) -> list[Check]:
    try:
        tree = ast.parse(_text(path, name))
    except SyntaxError as error:
        raise ExerciseError(f"{name}:{error.lineno}: {error.msg}.") from None
    return [
        _check(node, f"{name}:{node.lineno}") for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _check(node: ast.FunctionDef, where: str) -> Check:
    marks: dict[str, Any] = {}
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        target = call.func if call else decorator
        if not isinstance(target, ast.Name):
            raise ExerciseError(f"{where}: {node.name}: decorators are plain names from grader.suite, such as @task(1).")
        try:
            marks[target.id] = ast.literal_eval(call.args[0]) if call and call.args else True
        except (ValueError, TypeError):
            if target.id != "environment":
                raise ExerciseError(f"{where}: {node.name}: @{target.id} takes a literal, not an expression.") from None
    for name, (what, types) in TAKES.items():
        if name in marks and type(marks[name]) not in types:
            raise ExerciseError(f"{where}: {node.name}: @{name} takes {what}.")
    title = (ast.get_docstring(node) or "").split("\n")[0]
    missing = [m for m in ("task", "rule") if m not in marks] + ([] if title else ["a docstring"])
    if missing:
        raise ExerciseError(f"{where}: {node.name} lacks {' and '.join(missing)}.")
    return Check(
        id=node.name,
        title=title,
        rule=_flat(marks["rule"]),
        task=marks["task"],
        visible="visible" in marks,
        hint=marks.get("hint", ""),
        seconds=float(marks.get("seconds", CHECK_SECONDS)),
        quiet="quiet" in marks,
        bounded="bounded" in marks,
    )


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _validate(slug: str, manifest: Manifest, prompt: str, checks: tuple[Check, ...], folder: Path) -> None:
    name = f"exercises/{slug}"
    ids = [check.id for check in checks]
    numbers = [task.number for task in manifest.tasks]
    flat_prompt = _flat(prompt)
    complaints = [f"{name}/tests: two checks are called {i}." for i in sorted({i for i in ids if ids.count(i) > 1})]
    for check in checks:
        if check.task not in numbers:
            complaints.append(f"{name}/tests: {check.id} belongs to task {check.task}, which exercise.toml does not have.")
        if check.rule not in flat_prompt:
            complaints.append(f'{name}/tests: {check.id} cites "{check.rule}", which is no sentence of prompt.md.')
    complaints += [f"{name}/exercise.toml: two tasks have the number {n}." for n in sorted({n for n in numbers if numbers.count(n) > 1})]
    for task in manifest.tasks:
        if not any(check.task == task.number for check in checks):
            complaints.append(f"{name}/exercise.toml: task {task.number} has no check.")
        if not re.search(rf"^## {task.number}\. ", prompt, re.MULTILINE):
            complaints.append(f"{name}/prompt.md: has no heading `## {task.number}. …` for task {task.number}.")
    for wrong in manifest.wrong:
        if not (folder / "wrong" / wrong.folder).is_dir():
            complaints.append(f"{name}/exercise.toml: wrong/{wrong.folder} does not exist.")
        if not wrong.fails:
            complaints.append(f"{name}/exercise.toml: wrong/{wrong.folder} lists no check in `fails`.")
        for check_id in wrong.fails:
            if check_id not in ids:
                near = difflib.get_close_matches(check_id, ids, 1)
                advice = f" Did you mean {near[0]}?" if near else ""
                complaints.append(f"{name}/exercise.toml: wrong/{wrong.folder} should fail {check_id}, which does not exist.{advice}")
    if complaints:
        raise ExerciseError("\n".join(complaints))
