"""A plan: the edits that would make the generated files what the profile says."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Edit", "EditKind", "Plan"]

EditKind = Literal["create", "modify", "delete"]


class Edit(NamedTuple):
    """One file, before and after. None stands for a file that is not there."""

    path: str
    """Relative to the workspace root, with `/`."""
    before: bytes | None
    after: bytes | None

    @property
    def kind(self) -> EditKind:
        """Return what happens to the file."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "modify"


class Plan(NamedTuple):
    """All edits of one sync, and what to tell a person about them. No edits: everything is in sync."""

    edits: tuple[Edit, ...]
    notes: tuple[str, ...] = ()
    """What was left out, and why (a setting that this Cargo would ignore, a linker that is not there)."""
    gated: tuple[str, ...] = ()
    """Packages (names) whose manifests get a dependency made optional that was not: their default build is probed."""
