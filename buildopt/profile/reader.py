"""From a parsed TOML document to problems and, once layers are merged, to the dataclasses of the model.

Tables of different files merge, so a table in one document may be partial: only the top level of a file and the items
of a list must be complete. What `build` finds missing in the merged whole is reported there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from buildopt.errors import Problem
from buildopt.profile.model import Profile
from buildopt.profile.shapes import DURATION, PROFILE, SIZE, SPECIFIER, Shape, fields_of
from buildopt.profile.wording import did_you_mean, dotted, listed, shown
from buildopt.units import parse_duration, parse_size

__all__ = ["Reading", "build", "expected", "read_document", "read_part"]

_MOST_SUGGESTIONS = 20  # each costs a comparison with every known key
_WRONG = object()
_PATTERNS = {"duration": DURATION, "size": SIZE, "specifier": SPECIFIER}
_PLAIN = {
    "boolean": "true or false",
    "integer": "a whole number",
    "text": "text in quotes",
    "duration": 'a duration such as "90s", "2m" or "1h30m"',
    "size": 'a size such as "512MiB" or "10GiB"',
    "specifier": 'a version specifier such as ">=1.85" or ">=1.85,<2"',
    "table": "a table",
    "map": "a table",
    "list": "a list",
}

Path = tuple[str | int, ...]


class Reading(NamedTuple):
    """What one document says, and what is wrong with it."""

    tree: dict[str, Any]
    """The document without what was wrong; values as they stand in TOML."""
    problems: tuple[Problem, ...]
    unknown: tuple[Problem, ...]
    """Keys that no table of the model has."""


def read_document(table: Mapping[str, Any], file: str) -> Reading:
    """Compare a whole document with the model; every problem is found, none is raised."""
    reader = _Reader(file)
    version = table.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version != 1:
        hint = "a newer buildopt may read it" if version > 1 else "write version = 1"
        return Reading({}, (Problem(f"expected 1, found {shown(version)}", file=file, key="version", hint=hint),), ())
    tree = reader.read(PROFILE, table, (), complete=True)
    return Reading(tree, tuple(reader.problems), tuple(reader.unknown))


def read_part(table: Mapping[str, Any], file: str) -> Reading:
    """Compare a part of a document with the model: nothing is missed."""
    reader = _Reader(file)
    tree = reader.read(PROFILE, table, ())
    return Reading(tree, tuple(reader.problems), tuple(reader.unknown))


def expected(shape: Shape) -> str:
    """Return what a value of this shape is, in words."""
    if shape.kind == "choice":
        return listed(shape.choices)
    if shape.kind == "union":
        return ", or ".join(expected(option) for option in shape.options)
    if shape.kind == "list" and shape.item is not None:
        return "a list of tables" if shape.item.kind == "table" else f"a list of {_items(shape.item)}"
    if shape.within is not None:
        return f"a whole number from {shape.within.least} to {shape.within.most}"
    return _PLAIN[shape.kind]


def _items(shape: Shape) -> str:
    return "texts in quotes" if shape.kind == "text" else expected(shape)


class _Reader:
    """Collects the problems of one document while it is read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.unknown: list[Problem] = []

    def read(self, shape: Shape, value: Any, path: Path, *, complete: bool = False) -> Any:
        """Return `value` without what is wrong in it, or `_WRONG`."""
        if shape.kind == "table" and isinstance(value, Mapping):
            return self._table(shape, value, path, complete=complete)
        if shape.kind == "map" and isinstance(value, Mapping) and shape.item is not None:
            read = {key: self.read(shape.item, item, (*path, key)) for key, item in value.items()}
            # A wrong table keeps its name, so that nothing else complains that it is not there.
            blank: Any = {} if shape.item.kind in ("table", "map") else []
            return {key: blank if item is _WRONG else item for key, item in read.items()}
        if shape.kind == "list" and isinstance(value, list) and shape.item is not None:
            items = [self.read(shape.item, item, (*path, i), complete=True) for i, item in enumerate(value)]
            return [item for item in items if item is not _WRONG]
        if shape.kind == "union":
            for option in shape.options:
                if option.kind == "list" and isinstance(value, list):
                    return self.read(option, value, path)
                if (plain := _plain(option, value)) is not _WRONG:
                    return plain
        elif (plain := _plain(shape, value)) is not _WRONG:
            return plain
        return self._wrong(shape, value, path)

    def _table(self, shape: Shape, value: Mapping[str, Any], path: Path, *, complete: bool) -> dict[str, Any]:
        assert shape.table is not None
        fields = fields_of(shape.table, shape.without)
        tree = {}
        for key, item in value.items():
            field = fields.get(key)
            if field is not None:
                read = self.read(field.shape, item, (*path, key))
                if read is not _WRONG:
                    tree[key] = read
            elif key in shape.without.keys:
                self._say("not allowed here", (*path, key), shape.without.reason)
            else:
                near = did_you_mean(key, fields) if len(self.unknown) < _MOST_SUGGESTIONS else None
                hint = near or f"known here: {', '.join(fields)}"
                self.unknown.append(Problem("unknown key", file=self.file, key=dotted((*path, key)), hint=hint))
        for key, field in fields.items():
            if complete and field.required and key not in value:
                self._say(f"missing; expected {expected(field.shape)}", (*path, key))
        return tree

    def _wrong(self, shape: Shape, value: Any, path: Path) -> Any:
        hint = None
        if shape.kind in ("choice", "union") and isinstance(value, str) and len(self.problems) < _MOST_SUGGESTIONS:
            choices = shape.choices or next((option.choices for option in shape.options if option.choices), ())
            hint = did_you_mean(value, [choice for choice in choices if isinstance(choice, str)])
        if isinstance(value, str) and shape.kind in ("list", "union"):
            hint = hint or f"for one item, write [{shown(value)}]"
        self._say(f"expected {expected(shape)}, found {shown(value)}", path, hint)
        return _WRONG

    def _say(self, message: str, path: Path, hint: str | None = None) -> None:
        self.problems.append(Problem(message, file=self.file, key=dotted(path), hint=hint))


def _plain(shape: Shape, value: Any) -> Any:
    """Return a value that is no table and no list, or `_WRONG` when the shape does not allow it.

    A float without a fraction counts as a whole number, as in JSON Schema.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if shape.kind == "choice":
        return next((c for c in shape.choices if type(c) is type(value) and c == value), _WRONG)
    if shape.kind == "boolean":
        return value if isinstance(value, bool) else _WRONG
    if shape.kind == "integer":
        within = shape.within
        fits = type(value) is int and (within is None or within.least <= value <= within.most)
        return value if fits else _WRONG
    if shape.kind == "text":
        return value if isinstance(value, str) else _WRONG
    if shape.kind in _PATTERNS and isinstance(value, str) and re.search(_PATTERNS[shape.kind], value):
        return value if _in_range(shape.kind, value) else _WRONG
    return _WRONG


def _in_range(kind: str, text: str) -> bool:
    try:
        if kind == "duration":
            parse_duration(text)
        elif kind == "size":
            parse_size(text)
    except ValueError:
        return False
    return True


def build(shape: Shape, value: Any, missing: Callable[[tuple[str, ...]], None], path: tuple[str, ...] = ()) -> Any:
    """Return a merged tree as the model's types; `missing` is told each required key that no layer gave."""
    if shape.table is Profile and shape.without.keys:
        return value  # what an override sets stays as it was written: it has been merged already
    if shape.kind == "table" and shape.table is not None:
        given = {}
        for key, field in fields_of(shape.table, shape.without).items():
            if key in value:
                given[field.name] = build(field.shape, value[key], missing, (*path, key))
            elif field.required:
                missing((*path, key))
                given[field.name] = build(field.shape, _blank(field.shape), missing, (*path, key))
        return shape.table(**given)
    if shape.kind == "map" and shape.item is not None:
        return {key: build(shape.item, item, missing, (*path, key)) for key, item in value.items()}
    if shape.kind == "union" and not isinstance(value, list):
        shape = next(option for option in shape.options if _plain(option, value) is not _WRONG)
    if isinstance(value, list):
        lists = shape if shape.kind == "list" else next(o for o in shape.options if o.kind == "list")
        assert lists.item is not None
        return tuple(build(lists.item, item, missing, (*path, str(i))) for i, item in enumerate(value))
    if shape.kind == "duration":
        return parse_duration(value)
    return parse_size(value) if shape.kind == "size" else value


def _blank(shape: Shape) -> Any:
    return {"list": [], "table": {}, "map": {}}.get(shape.kind, shape.choices[0] if shape.choices else None)
