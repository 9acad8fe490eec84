"""Edits of a Cargo manifest: dependencies made optional, features added. Every other byte stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.errors import ManifestError, Problem
from buildopt.generate.toml import (
    Source,
    Statement,
    array_with,
    inline_pairs,
    key_text,
    parse,
    quoted,
    splice,
    statements,
)

__all__ = ["ManifestEdit", "edit_manifest"]

Path = tuple[str, ...]
Edit = tuple[int, int, str]
_WIDTH = 100


class ManifestEdit(NamedTuple):
    """What changes in one manifest."""

    optional: tuple[Path, ...]
    """Dependencies that get `optional = true`, each by its whole key, such as `("dependencies", "serde")`."""
    features: Mapping[str, tuple[str, ...]]
    """By feature, the items to add to it; a feature that is not there is created."""


def edit_manifest(source: Source, file: str, edit: ManifestEdit) -> str:
    """Return the text of a manifest with `edit` made.

    Raises ManifestError when the manifest is written in a way that cannot be changed without changing more than was asked.
    """
    text = source.text
    expected = _expected(parse(text, file), edit)
    found = statements(text)
    try:
        edits = [_optional(text, found, path, source.newline) for path in edit.optional]
        edits += _features(text, found, edit.features, source.newline)
        result = splice(text, edits)
        if parse(result, file) == expected:
            return result
    except (LookupError, ManifestError):
        pass
    wanted = [f"{key_text(*path)}: optional = true" for path in edit.optional]
    wanted += [
        f"features.{key_text(name)}: add {', '.join(map(quoted, items))}" for name, items in edit.features.items()
    ]
    problems = tuple(Problem(f"edit it by hand: {each}", file=file) for each in wanted)
    raise ManifestError(f"{file} is written in a way that buildopt cannot edit safely", problems=problems)


def _expected(values: dict[str, Any], edit: ManifestEdit) -> dict[str, Any]:
    """Return what the manifest must say after the edit."""
    values = copy.deepcopy(values)
    for path in edit.optional:
        table: Any = values
        for part in path[:-1]:
            table = table[part]
        if isinstance(table[path[-1]], str):
            table[path[-1]] = {"version": table[path[-1]]}
        table[path[-1]]["optional"] = True
    for name, items in edit.features.items():
        features = values.setdefault("features", {})
        features[name] = [*features.get(name, ()), *items]
    return values


def _optional(text: str, found: Sequence[Statement], path: Path, newline: str) -> Edit:
    """Return the edit that makes the dependency at `path` optional, in whichever of Cargo's forms it is declared."""
    for statement in found:
        if statement.kind == "pair" and statement.path == path[: len(statement.path)]:
            return _optional_value(text, statement.value, path[len(statement.path) :])
    parts = [s for s in found if s.kind == "pair" and s.path[: len(path)] == path]
    for statement in parts:
        if statement.path == (*path, "optional"):
            return (*statement.value, "true")
    last = [s for s in parts if s.path[:-1] == path] or [s for s in found if s.kind == "table" and s.table == path]
    statement = last[-1]
    key = (*path, "optional")[len(statement.table) :]
    return _line_after(text, statement, f"{key_text(*key)} = true", newline)


def _optional_value(text: str, value: tuple[int, int], rest: Path) -> Edit:
    """Return the edit for a dependency (or a table around it, `rest` leading on) that is written as one value."""
    start, end = value
    if text[start] in "\"'":
        return (start, end, f"{{ version = {text[start:end]}, optional = true }}")
    pairs = inline_pairs(text, start)
    if not rest:
        for key, inner in pairs:
            if key == ("optional",):
                return (*inner, "true")
        return _inline_after(pairs[-1][1] if pairs else None, value, "optional = true")
    for key, inner in pairs:
        if key == rest[: len(key)]:
            return _optional_value(text, inner, rest[len(key) :])
    last = [inner for key, inner in pairs if key[:-1] == rest][-1]
    return _inline_after(last, value, f"{key_text(*rest, 'optional')} = true")


def _inline_after(last: tuple[int, int] | None, table: tuple[int, int], pair: str) -> Edit:
    return (last[1], last[1], f", {pair}") if last else (*table, f"{{ {pair} }}")


def _features(
    text: str, found: Sequence[Statement], features: Mapping[str, tuple[str, ...]], newline: str
) -> list[Edit]:
    pairs = {s.path: s for s in found if s.kind == "pair" and s.path[:1] == ("features",)}
    edits: list[Edit] = []
    created: list[tuple[str, tuple[str, ...]]] = []
    for name, items in features.items():
        statement = pairs.get(("features", name))
        if statement is None:
            created.append((name, items))
        elif items:
            start, end = statement.value
            edits.append((start, end, array_with(text[start:end], items)))
    if not created:
        return edits
    home = [*pairs.values()] or [s for s in found if s.kind == "table" and s.table == ("features",)]
    if home:
        prefix = ("features",)[len(home[-1].table) :]
        lines = [_feature_line((*prefix, name), items, newline) for name, items in created]
        return [*edits, _line_after(text, home[-1], newline.join(lines), newline)]
    lines = ["[features]", *(_feature_line((name,), items, newline) for name, items in created)]
    before = ("" if text.endswith("\n") or not text else newline) + newline
    return [*edits, (len(text), len(text), before + newline.join(lines) + newline)]


def _feature_line(key: Path, items: Sequence[str], newline: str) -> str:
    line = f"{key_text(*key)} = [{', '.join(map(quoted, items))}]"
    if len(line) <= _WIDTH:
        return line
    return newline.join([f"{key_text(*key)} = [", *(f"    {quoted(item)}," for item in items), "]"])


def _line_after(text: str, statement: Statement, line: str, newline: str) -> Edit:
    """Return the edit that puts `line` after a statement, indented like it."""
    whole = text[statement.start : statement.end]
    indent = whole[: len(whole) - len(whole.lstrip(" \t"))]
    line = indent + line.replace(newline, newline + indent)
    ended = whole.endswith("\n")
    return (statement.end, statement.end, f"{line}{newline}" if ended else f"{newline}{line}")
