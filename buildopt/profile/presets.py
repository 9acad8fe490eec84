"""The presets that ship with buildopt: commented TOML data, found in the wheel or in a checkout."""

from __future__ import annotations

import os

from buildopt.errors import Problem, ProfileError
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["is_preset", "preset_names", "read_preset"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _directory() -> str:
    shipped = os.path.join(_PACKAGE, "_data", "profiles")
    return shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(_PACKAGE), "profiles")


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    try:
        files = os.listdir(_directory())
    except OSError:
        return ()
    return tuple(sorted(file[: -len(".toml")] for file in files if file.endswith(".toml")))


def is_preset(entry: str) -> bool:
    """Whether an entry of `extends` is meant as the name of a preset; anything else is a path."""
    return "/" not in entry and "\\" not in entry and not entry.endswith(".toml")


def read_preset(name: str) -> bytes:
    """Return the text of a preset.

    Raises ProfileError, with the nearest name, when there is no such preset.
    """
    names = preset_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"there are {', '.join(names)}; a path ends in .toml"
        raise ProfileError(f"no such preset: {shown(name)}", problems=(Problem("no such preset", hint=hint),))
    with open(os.path.join(_directory(), f"{name}.toml"), "rb") as file:
        return file.read()
