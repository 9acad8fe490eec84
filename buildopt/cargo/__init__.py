"""What Cargo says: the workspace, the toolchain, its configuration, its settings by version, its messages.

The names are imported when they are asked for, so that a session pays only for the part that it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "affected": ("Affected", "affected"),
    "config": ("load_config",),
    "messages": ("MessageStream", "parse_messages"),
    "model": (
        "CargoConfig", "ConfigValue", "Dependency", "DependencyKind", "LinkerProbe", "Package", "RustFlags", "Target",
        "Toolchain", "Workspace",
    ),
    "changes": ("Changes", "changes"),
    "settings": ("Conflict", "Setting", "conflicts", "known_profile_keys", "refused", "settings"),
    "linkers": ("linkers",),
    "stderr": ("StderrReader",),
    "timings": ("TimedUnit", "parse_timings"),
    "units": ("UnitRow", "join_units"),
    "toolchain": ("probe_toolchain",),
    "root": ("find_root",),
    "workspace": ("load_workspace",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
