"""What an edit is judged by: packages, what a file reaches, the stages, and the files that decide all of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from buildopt.cargo.affected import Reached
from buildopt.watch.places import Places

__all__ = ["Graph", "StageRule"]


class StageRule(NamedTuple):
    """One stage of the watch."""

    name: str
    whole: bool
    """Whether it covers the whole workspace, whatever was edited."""
    quiet_seconds: float
    """How long no edit may have come before it starts."""


class Graph(NamedTuple):
    """One reading of manifests and profile."""

    names: Mapping[str, str]
    """The members, name by package id, in the order of the workspace."""
    reach: Callable[[str], Reached]
    why: Callable[[Iterable[str]], str]
    """Say in one line what these edited paths affect."""
    stages: tuple[StageRule, ...]
    steering: frozenset[str]
    """Paths relative to the workspace root; when one of them changes, this reading is out of date."""
    places: Places
