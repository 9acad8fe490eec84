"""The reference page of the profile, as Markdown, made from the model."""

from __future__ import annotations

from typing import Any

from buildopt.profile.documentation import field_texts, table_text
from buildopt.profile.reader import expected
from buildopt.profile.shapes import PROFILE, Field, Shape, fields_of
from buildopt.profile.wording import shown

__all__ = ["reference"]

_INTRODUCTION = """\
# The profile: every table and key

<!-- Generated from buildopt/profile/model.py by `python -m buildopt.profile.write`; edit that file instead. -->

`buildopt.toml` at the workspace root says how the workspace is built. A table that is present is switched on, an absent
one generates nothing. Tables of presets, files, variables and `--set` merge; lists and plain values replace.

| layer | wins over | written as |
| --- | --- | --- |
| default | | the column "default" below |
| preset | default | `extends = ["dev-fast", "team/base.toml"]`: names of presets, or paths from the workspace root; later ones win |
| file | preset | `buildopt.toml` |
| override | the file that it stands in | `[[override]]` with `when = { ci = true }` and `set = { … }` |
| environment | override | `BUILDOPT_STAGES__QUICK_CHECK__TIMEOUT=5m`: `__` between segments, `_` for `-` |
| call | environment | `--set stages.quick-check.timeout=5m` |

A variable and `--set` take a TOML value (`true`, `["check"]`), or plain text. A variable changes stages, groups and Cargo
profiles that are there; `--set` can also add one. `buildopt explain KEY` says which layer gave a value, and why.
"""


def reference() -> str:
    """Return the reference page as Markdown."""
    return "\n".join([_INTRODUCTION, *_sections(PROFILE, "")]).rstrip() + "\n"


def _sections(shape: Shape, title: str) -> list[str]:
    """Return the section of a table, then those of the tables below it."""
    assert shape.table is not None
    fields = fields_of(shape.table, shape.without)
    texts = field_texts(shape.table)
    without = ", ".join(f"`{key}`" for key in shape.without.keys)
    lines = [
        f"## {_heading(title)}",
        "",
        table_text(shape.table) + (f" Not here: {without} ({shape.without.reason})." if without else ""),
        "",
        "| key | value | default | meaning |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{key}` | {_value(field.shape)} | {_default(field)} | {_cell(texts[field.name])} |"
            for key, field in fields.items()
        ),
        "",
    ]
    for key, field in fields.items():
        below = _table_below(field.shape, f"{title}.{key}" if title else key)
        if below and below[0].table is not PROFILE.table:
            lines += _sections(*below)
    return lines


def _heading(title: str) -> str:
    brackets = ("[[", "]]") if title == "override" else ("[", "]")
    return f"`{title.join(brackets)}`" if title else "Top level"


def _table_below(shape: Shape, title: str) -> tuple[Shape, str] | None:
    if shape.kind == "table":
        return shape, title
    if shape.item is not None and shape.kind == "map":
        return _table_below(shape.item, f"{title}.NAME")
    if shape.item is not None and shape.item.kind == "table":
        return shape.item, title
    return None


def _value(shape: Shape) -> str:
    if shape.kind == "map" and shape.item is not None:
        return f"by name: {_value(shape.item)}"
    return _cell(expected(shape))


def _default(field: Field) -> str:
    value: Any = field.default
    if field.required:
        return "required"
    plain = isinstance(value, (bool, int, float, str)) or (isinstance(value, tuple) and value)
    return f"`{shown(value)}`" if plain else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
