"""What Cargo says, as values: packages, targets, dependencies, the graph between them, the toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Dependency", "DependencyKind", "Package", "Target", "Toolchain", "Workspace"]

DependencyKind = Literal["normal", "dev", "build"]


class Target(NamedTuple):
    """A target of a package (library, binary, test, bench, example, build script)."""

    name: str
    kinds: tuple[str, ...]
    """As Cargo names them: `lib`, `proc-macro`, `bin`, `test`, `bench`, `example`, `custom-build`, …"""
    src_path: str
    doctest: bool
    test: bool


class Dependency(NamedTuple):
    """A dependency as a manifest declares it."""

    key: str
    """Name in the manifest: the rename where there is one."""
    package: str
    kind: DependencyKind
    target: str | None
    """Platform of `[target.'…'.dependencies]`."""
    optional: bool
    path: str | None
    """Directory of a path dependency, absolute."""


class Package(NamedTuple):
    """A package of the workspace, or a path dependency outside of it."""

    id: str
    name: str
    version: str
    manifest: Path
    member: bool
    features: Mapping[str, tuple[str, ...]]
    dependencies: tuple[Dependency, ...]
    targets: tuple[Target, ...]

    @property
    def directory(self) -> Path:
        """Return the directory of the manifest."""
        return self.manifest.parent

    @property
    def spec(self) -> str:
        """Return `name@version`, which Cargo's `--package` takes."""
        return f"{self.name}@{self.version}"


class Workspace(NamedTuple):
    """A Cargo workspace as `cargo metadata` describes it."""

    root: Path
    target_directory: Path
    packages: tuple[Package, ...]
    """Members, and path dependencies outside the root (`member` tells them apart), sorted by name, version, id."""
    edges: Mapping[str, tuple[tuple[str, tuple[DependencyKind, ...]], ...]]
    """By package id, the packages (of `packages`) that it depends on, and how."""
    external_packages: int | None
    """How many registry and git packages the lock file resolves to; None while there is no lock file."""
    has_lock: bool

    @property
    def members(self) -> tuple[Package, ...]:
        """Return the workspace members."""
        return tuple(package for package in self.packages if package.member)

    @property
    def virtual(self) -> bool:
        """Whether the root manifest has no package of its own."""
        return all(package.directory != self.root for package in self.packages)


class Toolchain(NamedTuple):
    """The Rust toolchain that Cargo uses in this workspace. Versions are plain text such as `1.95.0`."""

    cargo: str
    rustc: str
    host: str
    """Host triple, such as `x86_64-unknown-linux-gnu`."""
    nightly: bool
    clippy: str | None
    rustfmt: str | None
    nextest: str | None
