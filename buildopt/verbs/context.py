"""Where a verb works and what it knows: the workspace root, the profile, the toolchain, the packages."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import buildopt
from buildopt import cargo, profile
from buildopt.cargo.model import Toolchain, Workspace
from buildopt.errors import ArgumentError, MachineRefused, ProfileError
from buildopt.host import Host
from buildopt.profile import Loaded

__all__ = ["PROFILE_NAME", "Context", "find_workspace"]

PROFILE_NAME = "buildopt.toml"


def find_workspace(host: Host, start: Path | None) -> Path:
    """Return the workspace root: the nearest folder above `start` with a profile, else the one that Cargo would use.

    Raises ArgumentError when `start` is given and is no folder, ManifestError when there is no workspace.
    """
    folder = Path.cwd() if start is None else start
    if not folder.is_dir():
        raise ArgumentError(f"--root: {folder} is not a folder")
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if host.files.read(candidate / PROFILE_NAME) is not None:
            return candidate
    return cargo.find_root(host, folder)


class Context:
    """One call of a verb. Nothing is read before it is asked for, and everything only once."""

    def __init__(
        self,
        host: Host,
        root: Path,
        *,
        profile_path: Path | None = None,
        settings: tuple[str, ...] = (),
        strict: bool = True,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.host = host
        self.root = root
        self.state = root / ".buildopt"
        self.profile_path = profile_path or root / PROFILE_NAME
        self.settings = settings
        self.strict = strict
        self.note = note

    @cached_property
    def loaded(self) -> Loaded:
        """Return the profile with its provenance; ProfileError names everything that is wrong with it."""
        if self.host.files.read(self.profile_path) is None:
            raise ProfileError(f"there is no {self.profile_path}", hint="buildopt init writes one")
        loaded = profile.load(
            self.profile_path,
            root=self.root,
            read=self.host.files.read,
            environ=self.host.environ,
            call=self.settings,
            ci=self.host.in_ci,
            system=self.host.system,
            strict=self.strict,
        )
        self._enforce(loaded)
        for problem in loaded.warnings:
            self.note(f"{problem}; it is ignored")
        return loaded

    @cached_property
    def toolchain(self) -> Toolchain:
        """Return the toolchain; ToolMissing when Cargo or rustc is not there."""
        return cargo.probe_toolchain(self.host, self.root, self.state)

    @cached_property
    def workspace(self) -> Workspace:
        """Return the workspace; ManifestError in Cargo's own words when Cargo refuses it."""
        return cargo.load_workspace(self.host, self.root, self.state)

    def check_requires(self) -> None:
        """Check the versions that the profile requires; ToolMissing names all that are not met."""
        required = self.loaded.profile.requires
        if any(vars(required).values()):
            profile.check_requires(self.loaded.profile, self.versions())

    def versions(self) -> dict[str, str | None]:
        """Return the version of each tool that a profile can require; None for one that is not there."""
        import platform  # noqa: PLC0415 - only for profiles that require something
        from importlib import metadata  # noqa: PLC0415 - as above

        from buildopt.cache import installed_version  # noqa: PLC0415 - as above

        try:
            nox: str | None = metadata.version("nox")
        except metadata.PackageNotFoundError:
            nox = None
        return {
            "buildopt": buildopt.__version__,
            "cargo": self.toolchain.cargo,
            "rustc": self.toolchain.rustc,
            "nextest": self.toolchain.nextest,
            "sccache": installed_version(self.host),
            "nox": nox,
            "python": platform.python_version(),
        }

    def prepare_state(self) -> None:
        """Create the state folder, which ignores itself in git."""
        if not self.state.is_dir():
            self.host.files.make_directory(self.state)
        ignore = self.state / ".gitignore"
        if self.host.files.read(ignore) is None:
            self.host.files.write(ignore, b"*\n")

    def _enforce(self, loaded: Loaded) -> None:
        """Hold the profile against its JSON Schema, once for each content: the validator takes 0.1 s to import."""
        if not self.strict:
            return
        cache = self.state / "cache" / "profile.json"
        known = self.host.files.read(cache)
        key = f"{buildopt.__version__}:{loaded.fingerprint}"
        if known is not None and known == json.dumps(key).encode():
            return
        profile.enforce(loaded)
        try:
            self.prepare_state()
            self.host.files.make_directory(cache.parent)
            self.host.files.write(cache, json.dumps(key).encode())
        except MachineRefused:
            return  # a cache that cannot be written costs time, nothing else
