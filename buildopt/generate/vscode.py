"""`.vscode/settings.json`: what rust-analyzer is told. Key names: rust-analyzer's manual, chapter Configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from buildopt.generate.jsonc import scan, with_values
from buildopt.generate.toml import Source
from buildopt.profile.model import Ide

__all__ = ["FILE", "with_ide"]

FILE = ".vscode/settings.json"
_FEATURES = "rust-analyzer.cargo.features"
_NO_DEFAULT = "rust-analyzer.cargo.noDefaultFeatures"
_COMMAND = "rust-analyzer.check.command"
_DIRECTORY = "rust-analyzer.cargo.targetDir"


def with_ide(source: Source, ide: Ide, features: Mapping[str, Collection[str]]) -> tuple[str, tuple[str, ...]]:
    """Return the text of the editor's settings with what `ide` says, and notes.

    `features` are the features that each member has (after the gates). Raises ManifestError when the file cannot be read.
    """
    scanned = scan(source.text, FILE)
    now = {entry.key: entry.value for entry in scanned.entries} if scanned else {}
    wanted, notes = _wanted_features(ide, features)
    values: dict[str, Any] = {_FEATURES: wanted}
    if ide.features == "none" or _NO_DEFAULT in now:
        values[_NO_DEFAULT] = ide.features == "none"
    values[_COMMAND] = ide.check
    if ide.build_directory == "own" and not isinstance(now.get(_DIRECTORY), str):
        values[_DIRECTORY] = True
    elif ide.build_directory == "shared" and _DIRECTORY in now:
        values[_DIRECTORY] = None
    return with_values(source.text, FILE, values, source.newline), notes


def _wanted_features(ide: Ide, features: Mapping[str, Collection[str]]) -> tuple[str | list[str], tuple[str, ...]]:
    """Return the value of the features key: each with its package before it, which also a virtual workspace takes."""
    if ide.features == "all":
        return "all", ()
    if isinstance(ide.features, str):
        return [], ()
    found: list[str] = []
    notes = []
    for name in ide.features:
        package, slash, feature = name.partition("/")
        here = [f"{member}/{name}" for member in sorted(features) if name in features[member]]
        if slash and feature in features.get(package, ()):
            here = [name]
        if not here:
            notes.append(f"ide.features: no workspace member has a feature {name!r}, so the editor is not told of it")
        found += here
    return list(dict.fromkeys(found)), tuple(notes)
