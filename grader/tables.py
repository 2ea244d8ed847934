"""Tables that people write (TOML files, the front matter of a lesson), read strictly: an error names file, key and nearest right key."""

import difflib
import tomllib
from typing import Any, TypeVar, get_args

import msgspec

from grader.errors import LooplabError

S = TypeVar("S", bound=msgspec.Struct)


def read_toml(name: str, data: bytes, shape: type[S], error: type[LooplabError]) -> S:
    """The TOML file `name` as a `shape`. Raises `error` with a sentence."""
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as trouble:
        raise error(f"{name}: is not valid TOML: {trouble}.") from None
    return convert_table(name, raw, shape, error)


def convert_table(name: str, raw: dict[str, Any], shape: type[S], error: type[LooplabError]) -> S:
    """A table that was read already, as a `shape`; `name` says where it stands. Raises `error` with a sentence."""
    _refuse_unknown_keys(name, raw, shape, "", error)
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as trouble:
        raise error(f"{name}: {str(trouble).replace(' - at `$.', ' at `')}.") from None


def _refuse_unknown_keys(name: str, raw: dict[str, Any], shape: type[msgspec.Struct], where: str, error: type[LooplabError]) -> None:
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            advice = f' Did you mean "{near[0]}"?' if near else f" Known keys: {', '.join(sorted(known))}."
            raise error(f'{name}: unknown key "{key}"{where}.{advice}')
        inner = _struct_in(known[key].type)
        for table in value if isinstance(value, list) else [value]:
            if inner and isinstance(table, dict):
                _refuse_unknown_keys(name, table, inner, f" in {f'[[{key}]]' if isinstance(value, list) else f'[{key}]'}", error)


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """The Struct that a field holds, be it one or a tuple of them."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return next((found for part in get_args(annotation) if (found := _struct_in(part))), None)
