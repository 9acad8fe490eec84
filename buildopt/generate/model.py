"""What goes into generation, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildopt.cargo.model import CargoConfig, LinkerProbe, Toolchain, Workspace
from buildopt.profile.model import Profile

__all__ = ["Generated", "Inputs"]


class Inputs(NamedTuple):
    """Everything that the generated files depend on."""

    profile: Profile
    workspace: Workspace
    toolchain: Toolchain
    config: CargoConfig
    linkers: Mapping[str, LinkerProbe]
    cores: int
    memory_bytes: int | None
    texts: Mapping[str, bytes]
    """Current content by path relative to the root; a file that does not exist is absent."""
    ci_profile: Profile | None = None
    """The profile as a CI job reads it, where that differs: what CI runs must not depend on who generates it."""

    below_repository: bool = False
    """Whether the top of the repository is above the workspace root, where no host looks for CI files."""

    @property
    def as_in_ci(self) -> Profile:
        """Return the profile as a CI job reads it."""
        return self.ci_profile or self.profile


class Generated(NamedTuple):
    """What the files should be."""

    files: Mapping[str, bytes | None]
    """Content by path relative to the root; None for a file that must not exist."""
    notes: tuple[str, ...]
    """What was left out, and what to know about the rest; one line each."""
    gated: tuple[str, ...]
    """Packages (names) with a dependency that was always built, and now is not unless asked for."""
