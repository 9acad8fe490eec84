"""Why a value is what it is: its documentation, who gave it, whom that layer wins over, and the comment beside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from buildopt.errors import Problem, ProfileError
from buildopt.profile.documentation import field_texts, table_text
from buildopt.profile.loading import Given, Loaded, Origin
from buildopt.profile.reader import expected
from buildopt.profile.shapes import PROFILE, Shape, fields_of, shape_at
from buildopt.profile.wording import did_you_mean, dotted, shown

__all__ = ["Explanation", "Part", "explain"]

_HEADER = r"\s*\[\[?([^\[\]#]+)\]\]?(.*)"
_PAIR = r"([^=#]+)=(.*)"
_BEHIND = r"""(?:[^#"']|"(?:\\.|[^"\\])*"|'[^']*')*#+(.*)"""
_DEFAULT = Origin("default", "buildopt")


class Part(NamedTuple):
    """A leaf below an explained table."""

    key: str
    value: Any
    origin: Origin


class Explanation(NamedTuple):
    """What there is to say about one key."""

    key: str
    value: Any
    """As TOML has it; None when nothing gives it and there is no default."""
    origin: Origin
    documentation: str
    expected: str
    reason: str
    """Why this layer won, in words."""
    comment: str | None
    """What the file says about it: the comment above or beside the line."""
    parts: tuple[Part, ...]
    """For a table: the leaves below it."""


def explain(loaded: Loaded, key: str) -> Explanation:
    """Explain one key of a loaded profile.

    Raises ProfileError, with the nearest key, for a key that no profile can have.
    """
    path = _segments(key)
    shape = shape_at(path) if path else None
    if shape is None:
        near = did_you_mean(key, [*_all_keys(), *loaded.given])
        problem = Problem("no such key", key=key[:120], hint=near or "the keys stand in docs/profile.md")
        raise ProfileError("there is nothing to explain", problems=(problem,))
    name = dotted(path)
    text = _documentation(path)
    parts = tuple(
        Part(leaf, given[-1].value, given[-1].origin)
        for leaf, given in loaded.given.items()
        if leaf.startswith(f"{name}.")
    )
    given = loaded.given.get(name, ())
    if given:
        last = given[-1]
        inside = ("override", "set") if last.origin.layer == "override" else ()
        comment = _comment(loaded.texts.get(last.origin.source, ""), (*inside, *path))
        return Explanation(name, last.value, last.origin, text, expected(shape), _reason(given), comment, parts)
    if parts:
        reason = "a table: each key in it has its own origin"
        comments = (_comment(document, path) for document in reversed(tuple(loaded.texts.values())))
        comment = next((found for found in comments if found), None)
        return Explanation(name, None, parts[-1].origin, text, expected(shape), reason, comment, parts)
    default = _default(path)
    reason = (
        "nothing sets it, so the default holds" if default is not None else "nothing sets it, and it has no default"
    )
    return Explanation(name, default, _DEFAULT, text, expected(shape), reason, None, ())


def _reason(given: tuple[Given, ...]) -> str:
    """Return why the last of these won over the others."""
    last = given[-1]
    presets = ", and of two presets the later one wins" if len({other.origin.source for other in given}) > 1 else ""
    words = {
        "preset": f"{last.origin.source} sets it, and nothing above a preset does{presets}",
        "file": f"{last.origin.source} sets it, which wins over every preset",
        "override": f"an [[override]] in {last.origin.source} matches here and now, which wins over that file's own value",
        "environment": f"the variable {last.origin.source} is set, which wins over every file",
        "call": "it was given with --set on this command, which wins over everything else",
        "default": "nothing sets it",
    }
    replaced = [f"{other.origin.source} says {shown(other.value)}" for other in reversed(given[:-1])]
    return words[last.origin.layer] + (f"; {', '.join(replaced)}" if replaced else "")


def _segments(key: str) -> tuple[str, ...]:
    """Return the segments of a dotted key as TOML reads them; empty when it is no key."""
    if key.count(".") > 32 or "\n" in key or "=" in key:
        return ()
    try:
        table: Any = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        return ()
    path: list[str] = []
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        path.append(name)
    return tuple(path)


def _documentation(path: tuple[str, ...]) -> str:
    """Return the text of the nearest key at or above `path` that the model documents."""
    text = ""
    for length in range(len(path)):
        above = shape_at(path[:length])
        if above is not None and above.kind == "table" and above.table is not None:
            field = fields_of(above.table, above.without)[path[length]]
            text = field_texts(above.table)[field.name]
    whole = shape_at(path)
    above = shape_at(path[:-1])
    if whole is not None and whole.table is not None and above is not None and above.kind == "map":
        text = table_text(whole.table)
    return text


def _default(path: tuple[str, ...]) -> Any:
    above = shape_at(path[:-1])
    if above is None or above.kind != "table" or above.table is None:
        return None
    default = fields_of(above.table, above.without)[path[-1]].default
    return default if isinstance(default, (bool, int, str, tuple)) else None


def _all_keys(shape: Shape = PROFILE, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every key that needs no name of the user's."""
    if shape.kind == "table" and shape.table is not None:
        for key, field in fields_of(shape.table, shape.without).items():
            yield dotted((*path, key))
            yield from _all_keys(field.shape, (*path, key))


def _comment(text: str, path: tuple[str, ...]) -> str | None:
    """Return the comment above a key and the one behind it, as one line; where there is none, that of its table.

    A reading by lines: it knows headers and `key = value`, and finds nothing where a file is written otherwise.
    """
    table: tuple[str, ...] = ()
    above: list[str] = []
    of_table: str | None = None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above.append(stripped.lstrip("#").strip())
            continue
        header, pair = re.fullmatch(_HEADER, line), re.fullmatch(_PAIR, line)
        if header:
            table = _segments(header[1])
            if table and table == path[: len(table)]:
                of_table = _joined(above, header[2])
        elif pair and (*table, *_segments(pair[1])) == path:
            return _joined(above, pair[2]) or of_table
        above = []
    return of_table


def _joined(above: list[str], rest: str) -> str | None:
    """Return the lines above and the comment in the rest of the line, text in quotes left aside."""
    behind = re.fullmatch(_BEHIND, rest)
    words = [word for word in [*above, behind[1].strip() if behind else ""] if word]
    return " ".join(words) or None
