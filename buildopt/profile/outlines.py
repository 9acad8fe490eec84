"""The names of stages and test groups, for a list of sessions: no model, no dataclass, no check of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from buildopt.errors import ProfileError
from buildopt.profile.documents import Read, lay, resolve

__all__ = ["Outline", "OutlineStage", "outline"]


class OutlineStage(NamedTuple):
    """A stage as the files say it; `timeout` and `budget` are text such as `"2m"`, empty when not given."""

    name: str
    run: tuple[str, ...]
    requires: tuple[str, ...]
    scope: str
    timeout: str
    budget: str


class Outline(NamedTuple):
    """What a list of sessions shows of a profile."""

    stages: tuple[OutlineStage, ...]
    tests: tuple[str, ...]


def outline(path: Path, *, root: Path, read: Read) -> Outline:
    """Return the stages and test groups of the profile at `path`, presets included, without overrides.

    A value of the wrong type is left out: `load` is what reports it.
    Raises ProfileError when a file is missing or is not TOML.
    """
    resolved = resolve(path, root=root, read=read)
    if resolved.problems:
        raise ProfileError("the profile cannot be read", problems=resolved.problems)
    tree: dict[str, Any] = {}
    for document in resolved.documents:
        lay(tree, {key: document.table[key] for key in ("stages", "tests") if key in document.table}, _nothing)
    stages = ((name, stage) for name, stage in _table(tree.get("stages")).items() if isinstance(stage, dict))
    return Outline(tuple(_stage(name, stage) for name, stage in stages), tuple(_table(tree.get("tests"))))


def _stage(name: str, table: dict[str, Any]) -> OutlineStage:
    scope = _text(table.get("scope")) or "workspace"
    run, requires = _texts(table.get("run")), _texts(table.get("requires"))
    return OutlineStage(name, run, requires, scope, _text(table.get("timeout")), _text(table.get("budget")))


def _nothing(_path: tuple[str, ...], _value: Any) -> None:
    pass


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
