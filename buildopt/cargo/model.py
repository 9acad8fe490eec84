"""What Cargo says, as values: packages, targets, dependencies, the graph between them, the toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

__all__ = [
    "CargoConfig", "Components", "ConfigValue", "Dependency", "DependencyKind", "LinkerProbe", "Package", "RustFlags", "Target",
    "Toolchain", "Workspace",
]  # fmt: skip

DependencyKind = Literal["normal", "dev", "build"]


class Target(NamedTuple):
    """A target of a package (library, binary, test, bench, example, build script)."""

    name: str
    kinds: tuple[str, ...]
    """As Cargo names them: `lib`, `proc-macro`, `bin`, `test`, `bench`, `example`, `custom-build`, …"""
    src_path: str
    doctest: bool
    test: bool
    required_features: tuple[str, ...] = ()
    """Features of the package without which Cargo does not build the target."""


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
    rust_version: str | None = None
    """Oldest toolchain that the manifest declares, as `1.85` or `1.85.0`."""

    @property
    def directory(self) -> Path:
        """Return the directory of the manifest."""
        return self.manifest.parent

    @property
    def spec(self) -> str:
        """Return what Cargo's `--package` takes for this package and no other.

        That is the id where it is a URL (since Cargo 1.77): `name@version` also means a published package of the same
        name and version, which a member may well depend on.
        """
        return self.id if self.id.startswith("path+") else f"{self.name}@{self.version}"


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


class Components(NamedTuple):
    """What a toolchain may have or lack: versions as plain text, None for what is not there."""

    clippy: str | None
    rustfmt: str | None
    nextest: str | None


class RustFlags(NamedTuple):
    """Compiler flags as one source gives them. Sources replace each other, except the `target` tables, which join."""

    table: str
    """`environment`, `build`, `target.<triple>` or `target.'cfg(…)'`."""
    flags: tuple[str, ...]
    form: Literal["array", "string"]
    """How it is written: Cargo refuses to merge a string in one file with an array in another."""
    where: str
    """File, relative to the workspace root where it is inside; `$NAME` for an environment variable."""
    ours: bool
    """Whether buildopt wrote it."""


class ConfigValue(NamedTuple):
    """One value of Cargo's configuration, and where it stands."""

    key: tuple[str, ...]
    """The key, part by part, as `("build", "jobs")`."""
    value: Any
    """As TOML has it; text for an environment variable."""
    where: str
    """File, relative to the workspace root where it is inside; `$NAME` for an environment variable."""
    ours: bool
    """Whether buildopt wrote it."""

    @property
    def dotted(self) -> str:
        """Return the key as Cargo's messages write it: `build.jobs`."""
        return ".".join(f"'{part}'" if "(" in part or "." in part or "*" in part else part for part in self.key)


class CargoConfig(NamedTuple):
    """What Cargo's configuration files and the environment say, before any command line."""

    values: tuple[ConfigValue, ...]
    """Every value that is given anywhere, the one that wins first. `rustflags` stand apart."""
    rustflags: tuple[RustFlags, ...]
    """Every source of compiler flags, the one that wins first."""
    files: tuple[str, ...]
    """The files that were read, nearest first, as `where` shows them."""
    shadowed: tuple[str, ...]
    """Files named `config.toml` that Cargo ignores because a file `config` stands beside them."""

    def get(self, *key: str, ours: bool | None = None) -> ConfigValue | None:
        """Return the value that wins for a key, as `get("build", "jobs")`; `ours=False` asks for the user's own."""
        for value in self.values:
            if value.key == key and ours in (None, value.ours):
                return value
        return None

    @property
    def rustc_wrapper(self) -> ConfigValue | None:
        """Return the compiler wrapper that wins. An empty text switches off one that is configured further away."""
        return self.get("build", "rustc-wrapper")

    @property
    def linkers(self) -> tuple[ConfigValue, ...]:
        """Return every `target.*.linker`, the one that wins first."""
        return tuple(value for value in self.values if value.key[0] == "target" and value.key[-1] == "linker")


class LinkerProbe(NamedTuple):
    """A linker on this host."""

    name: str
    """`mold`, `lld`, `rust-lld` or `wild`."""
    path: Path | None
    works: bool
    """Whether a trial program could be linked with it."""
    default: bool
    """Whether rustc uses it without being told."""
    rustflags: tuple[str, ...]
    """What selects it; empty for the default, and for one that does not work."""
    why: str
    """One line for people: what was found, or why it cannot be used."""
