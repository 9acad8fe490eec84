"""The two layers above the files: environment variables and `--set`, each value with its place in the profile."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.errors import Problem
from buildopt.profile.checks import BUILT_IN_PROFILES
from buildopt.profile.reader import Reading, read_part
from buildopt.profile.shapes import PROFILE, Shape, fields_of
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["PREFIX", "Setting", "from_call", "from_environment"]

PREFIX = "BUILDOPT_"
_FILE_ONLY = ("version", "extends", "override")


class Setting(NamedTuple):
    """What one variable or one `--set` says."""

    source: str
    reading: Reading


def from_environment(environ: Mapping[str, str], tree: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Return what the variables `BUILDOPT_…` say; names of stages and the like are looked up in `tree`.

    Segments are separated by `__`, `-` is written `_`, case does not matter: `BUILDOPT_STAGES__QUICK_CHECK__TIMEOUT=5m`.
    """
    names = sorted(name for name in environ if name.upper().startswith(PREFIX))
    return tuple(_from_variable(name, environ[name], tree) for name in names)


def from_call(call: Sequence[str]) -> tuple[Setting, ...]:
    """Return what `--set` says, each as `cache.wrapper=none` or as a line of TOML."""
    return tuple(_from_assignment(text) for text in call)


def _from_variable(name: str, text: str, tree: Mapping[str, Any]) -> Setting:
    path = _locate(name[len(PREFIX) :].lower().split("__"), tree)
    if isinstance(path, str):
        return _refused(name, "names no key of the profile", path)
    if path[0] in _FILE_ONLY:
        return _refused(name, f"{path[0]} is only read from files", "remove the variable")
    return Setting(name, _value(path, text, name))


def _locate(segments: list[str], tree: Mapping[str, Any]) -> tuple[str, ...] | str:
    """Return the key that `segments` mean, or what to tell the user when there is none."""
    path: list[str] = []
    shape: Shape | None = PROFILE
    here: Any = tree
    for segment in segments:
        if shape is not None and shape.kind == "table" and shape.table is not None:
            fields = fields_of(shape.table, shape.without)
            names, inner = list(fields), {key: field.shape for key, field in fields.items()}
        elif shape is not None and shape.kind == "map" and shape.item is not None:
            built_in = BUILT_IN_PROFILES if path == ["cargo", "profile"] else ()
            names = list(dict.fromkeys([*(here if isinstance(here, Mapping) else ()), *built_in]))
            inner = dict.fromkeys(names, shape.item)
        else:
            return f"{_variable(path)} has no keys below it"
        found = [name for name in names if _as_segment(name) == segment]
        if len(found) > 1:
            return f"{' and '.join(found)} are written alike in a variable; use --set"
        if not found:
            near = did_you_mean(_variable([*path, segment]), [_variable([*path, name]) for name in names])
            return near or f"names there: {', '.join(names[:20]) or 'none'}"
        path.append(found[0])
        shape = inner[found[0]]
        here = here.get(found[0]) if isinstance(here, Mapping) else None
    return tuple(path)


def _as_segment(name: str) -> str:
    return name.lower().replace("-", "_")


def _variable(path: Sequence[str]) -> str:
    return PREFIX + "__".join(_as_segment(part).upper() for part in path)


def _from_assignment(text: str) -> Setting:
    key, equals, value = text.partition("=")
    path = _key(key) if equals else None
    if path is None:
        return _refused("--set", f"{shown(text)} is not KEY=VALUE", "for example --set cache.wrapper=none")
    if path[0] in _FILE_ONLY:
        return _refused("--set", f"{path[0]} is only read from files", None)
    return Setting("--set", _value(path, value.strip(), "--set"))


def _key(text: str) -> tuple[str, ...] | None:
    """Return the segments of a dotted key as TOML reads them, or None."""
    table: Any = _toml(text.strip()) if text.count(".") < 32 and "\n" not in text else None
    path: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        key, table = next(iter(table.items()))
        path.append(key)
    return tuple(path) if path and table == 0 else None


def _toml(key: str, value: str = "0") -> dict[str, Any] | None:
    try:
        return tomllib.loads(f"{key} = {value}")
    except (ValueError, RecursionError):
        return None


def _value(path: tuple[str, ...], text: str, source: str) -> Reading:
    """Read `text` as a TOML value where that fits the key, else as plain text."""
    plain = read_part(_nested(path, text), source)
    table = _toml("value", text) if "\n" not in text else None
    if table is None or _fits(plain):
        return plain
    return read_part(_nested(path, table["value"]), source)


def _fits(reading: Reading) -> bool:
    return not reading.problems and not reading.unknown


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def _refused(source: str, message: str, hint: str | None) -> Setting:
    return Setting(source, Reading({}, (Problem(message, file=source, hint=hint),), ()))
