"""What the types of the model say about a TOML value: the one reading that parser, schema, reference page and explain share."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from buildopt.profile.model import Profile
from buildopt.profile.table import Within, Without

__all__ = ["DURATION", "PROFILE", "SIZE", "SPECIFIER", "Field", "Shape", "fields_of", "shape_at"]

Kind = Literal["boolean", "integer", "text", "choice", "duration", "size", "specifier", "list", "map", "table", "union"]

_RELEASE = r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}"
_PRE = r"((a|b|rc)[0-9]{1,9})?"
_CLAUSE = rf" *((==|!=) *{_RELEASE}(\.\*|{_PRE})|~= *[0-9]{{1,9}}(\.[0-9]{{1,9}}){{1,5}}{_PRE}|(<=|>=|<|>) *{_RELEASE}{_PRE}) *"

# Patterns are written so that Python and JavaScript read them alike: no \d, and `(?!\n)` because `$` in Python
# also matches before a last newline.
DURATION = r"^([0-9]{1,12}(\.[0-9]{1,12})?(ms|s|m|h)){1,8}$(?!\n)"
SIZE = r"^[0-9]{1,15}(\.[0-9]{1,12})? ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$(?!\n)"
SPECIFIER = rf"^{_CLAUSE}(,{_CLAUSE}){{0,9}}$(?!\n)"


_ALL_KEYS = Without((), "")


class Shape(NamedTuple):
    """What a TOML value must look like."""

    kind: Kind
    choices: tuple[Any, ...] = ()
    item: Shape | None = None
    """What a list or a map holds."""
    table: type | None = None
    without: Without = _ALL_KEYS
    options: tuple[Shape, ...] = ()
    """What a union allows."""
    within: Within | None = None


class Field(NamedTuple):
    """A key of a table."""

    name: str
    """Name of the dataclass field."""
    shape: Shape
    required: bool
    default: Any


PROFILE = Shape("table", table=Profile)


@functools.cache
def fields_of(table: type, without: Without = _ALL_KEYS) -> Mapping[str, Field]:
    """Return the keys of a dataclass as they stand in TOML, in the order of their declaration."""
    hints = typing.get_type_hints(table, include_extras=True)
    fields = {}
    for field in dataclasses.fields(table):
        key = field.name.replace("_", "-")
        if key in without.keys:
            continue
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = default is dataclasses.MISSING
        fields[key] = Field(field.name, _shape(hints[field.name]), required, None if required else default)
    return fields


def shape_at(path: tuple[str, ...]) -> Shape | None:
    """Return the shape of the value at a key of the profile, whatever the names in its maps; None for no such key."""
    shape: Shape | None = PROFILE
    for part in path:
        if shape is None:
            return None
        if shape.kind == "table" and shape.table is not None:
            field = fields_of(shape.table, shape.without).get(part)
            shape = field.shape if field else None
        else:
            shape = shape.item if shape.kind == "map" else None
    return shape


def _shape(hint: Any, marks: tuple[Any, ...] = ()) -> Shape:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _shape(arguments[0], arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return _union([_shape(argument) for argument in arguments if argument is not types.NoneType])
    if origin is Literal:
        return Shape("choice", choices=arguments)
    without = next((mark for mark in marks if isinstance(mark, Without)), _ALL_KEYS)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return Shape("table", table=hint, without=without)
    if without.keys:
        return Shape("table", table=Profile, without=without)
    if origin is tuple:
        return Shape("list", item=_shape(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Shape("map", item=_shape(arguments[1]))
    word = next((mark for mark in marks if isinstance(mark, str)), None)
    if word is not None:
        return Shape(typing.cast("Kind", word))
    within = next((mark for mark in marks if isinstance(mark, Within)), None)
    return Shape(typing.cast("Kind", {bool: "boolean", int: "integer", str: "text"}[hint]), within=within)


def _union(options: list[Shape]) -> Shape:
    """Return one shape for several: those of plain values become one choice."""
    if len(options) == 1:
        return options[0]
    plain = [option for option in options if option.kind in ("boolean", "choice")]
    others = [option for option in options if option.kind not in ("boolean", "choice")]
    choices = tuple(c for option in plain for c in ((True, False) if option.kind == "boolean" else option.choices))
    merged = Shape("choice", choices=choices)
    return Shape("union", options=(merged, *others)) if others else merged
