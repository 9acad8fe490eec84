"""The declared document: model, schema, presets, inheritance, provenance.

Names are imported on first use: `outline` alone (for `nox -l`) does not pay for the model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildopt.profile.explanation import Explanation, explain
    from buildopt.profile.json_schema import enforce, schema
    from buildopt.profile.loading import Given, Loaded, Origin, load
    from buildopt.profile.model import Profile
    from buildopt.profile.outlines import Outline, OutlineStage, outline
    from buildopt.profile.presets import preset_names, read_preset
    from buildopt.profile.reference_page import reference
    from buildopt.profile.requirements import check_requires

__all__ = [
    "Explanation",
    "Given",
    "Loaded",
    "Origin",
    "Outline",
    "OutlineStage",
    "Profile",
    "check_requires",
    "enforce",
    "explain",
    "load",
    "outline",
    "preset_names",
    "read_preset",
    "reference",
    "schema",
]

_HOMES = {
    "explanation": ("Explanation", "explain"),
    "json_schema": ("enforce", "schema"),
    "loading": ("Given", "Loaded", "Origin", "load"),
    "model": ("Profile",),
    "outlines": ("Outline", "OutlineStage", "outline"),
    "presets": ("preset_names", "read_preset"),
    "reference_page": ("reference",),
    "requirements": ("check_requires",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
