"""The Rust toolchain that Cargo uses in a workspace: versions, host triple, and which components are there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from buildopt.cargo.kept import read_kept, write_kept
from buildopt.cargo.model import Components, Toolchain
from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Finished, Host
from buildopt.host.files import digest

__all__ = ["GET_RUST", "missing_toolchain", "probe_components", "probe_toolchain", "toolchain_identity"]

GET_RUST = "install Rust from https://rustup.rs, then open a new shell"
_TOOLS = ("cargo", "rustc", "cargo-clippy", "clippy-driver", "cargo-fmt", "rustfmt", "cargo-nextest")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIMEOUT_SECONDS = 300.0  # rustup may install a toolchain that rust-toolchain.toml names


def probe_toolchain(host: Host, root: Path, state: Path, *, may_keep: Callable[[], bool] = lambda: True) -> Toolchain:
    """Return the toolchain that Cargo uses in `root`; cached in `state` until a binary or a choice of rustup changes.

    `may_keep` is asked before anything is written.
    Raises ToolMissing when Cargo or rustc is not there, or the toolchain that the workspace names is not installed.
    """
    identity = toolchain_identity(host, root)
    key, kept = read_kept(host, state, "toolchain")
    if key == identity and isinstance(kept, dict) and tuple(kept) == Toolchain._fields:
        return Toolchain(**kept)
    toolchain = _probe(host, root)
    if may_keep():
        write_kept(host, state, "toolchain", identity, toolchain._asdict())
    return toolchain


def probe_components(host: Host, root: Path, state: Path) -> Components:
    """Return what the toolchain of `root` has beside Cargo and rustc; cached as the toolchain is. Never raises for a lack."""
    identity = toolchain_identity(host, root)
    key, kept = read_kept(host, state, "components")
    if key == identity and isinstance(kept, dict) and tuple(kept) == Components._fields:
        return Components(**kept)
    components = Components(
        clippy=_optional(host, root, "cargo-clippy", "cargo-clippy", "-V"),
        rustfmt=_optional(host, root, "rustfmt", "rustfmt", "--version"),
        nextest=_optional(host, root, "cargo-nextest", "cargo-nextest", "nextest", "--version"),
    )
    write_kept(host, state, "components", identity, components._asdict())
    return components


def toolchain_identity(host: Host, root: Path) -> str:
    """Return a digest of everything that decides which toolchain runs in `root`, without starting a process.

    That is: the binaries, the toolchain files from `root` upwards, RUSTUP_TOOLCHAIN, and what rustup has installed.
    """
    return digest("\n".join(_facts(host, root)).encode(errors="surrogateescape"))


def _facts(host: Host, root: Path) -> Iterator[str]:
    files = host.files
    for name in _TOOLS:
        path = host.which(name)
        yield f"{path} {path and files.stamp(path)}"
    yield host.environ.get("RUSTUP_TOOLCHAIN", "")
    for path in _toolchain_files(root):
        with contextlib.suppress(MachineRefused):  # a directory of that name, which rustup passes over
            content = files.read(path)
            if content is not None:
                yield f"{path} {digest(content)}"
    home = _rustup_home(host)
    yield digest(files.read(home / "settings.toml") or b"")
    for name in files.names(home / "update-hashes"):
        yield f"{name} {files.stamp(home / 'update-hashes' / name)}"
    for name in files.names(home / "toolchains"):
        toolchain = home / "toolchains" / name
        yield f"{name} {files.stamp(toolchain)} {files.stamp(toolchain / 'lib' / 'rustlib' / 'components')}"


def _rustup_home(host: Host) -> Path:
    given = host.environ.get("RUSTUP_HOME")
    home = host.environ.get("HOME") or host.environ.get("USERPROFILE") or "/"
    return Path(given) if given else Path(home) / ".rustup"


def _probe(host: Host, root: Path) -> Toolchain:
    for name in ("cargo", "rustc"):
        if host.which(name) is None:
            raise ToolMissing(f"{name} is not found on PATH", hint=GET_RUST)
    cargo = _needed(host, root, "cargo", "-V")
    rustc = _needed(host, root, "rustc", "-vV")
    facts = dict(line.split(": ", 1) for line in rustc.splitlines() if ": " in line)
    release = facts.get("release", "")
    if not release or "host" not in facts:
        raise ToolMissing(f"rustc -vV does not name a release and a host: {rustc.strip()!r}", hint=GET_RUST)
    return Toolchain(
        cargo=_version(cargo) or "",
        rustc=_version(release) or release,
        host=facts["host"],
        nightly="-nightly" in release or "-dev" in release,
    )


def _needed(host: Host, root: Path, *argv: str) -> str:
    finished = _run(host, root, *argv)
    if finished.returncode == 0:
        return finished.stdout.decode(errors="replace")
    missing = missing_toolchain(host, root, finished.stderr)
    if missing is not None:
        raise missing
    said = _ANSI.sub("", finished.stderr.decode(errors="replace")).strip()
    first = next((line for line in said.splitlines() if line.startswith("error")), said[:300])
    raise ToolMissing(f"{' '.join(argv)} fails: {first or finished.returncode}", hint=GET_RUST)


def missing_toolchain(host: Host, root: Path, stderr: bytes) -> ToolMissing | None:
    """Return the error for what rustup says in `stderr` when the toolchain of `root` is not installed, else None."""
    said = _ANSI.sub("", stderr.decode(errors="replace"))
    found = re.search(r"toolchain '([^']+)' (?:is|was) not (?:installed|found)", said)
    if found is None:
        return None
    file = _toolchain_file(host, root)
    return ToolMissing(
        f"the Rust toolchain {found[1]} is not installed{f' ({file} names it)' if file else ''}",
        hint=f"run: rustup toolchain install {found[1]}",
    )


def _toolchain_file(host: Host, root: Path) -> str | None:
    if host.environ.get("RUSTUP_TOOLCHAIN"):
        return "$RUSTUP_TOOLCHAIN"
    for path in _toolchain_files(root):
        if host.files.stamp(path) is not None:
            return path.name if path.parent == root else str(path)
    return None


def _toolchain_files(root: Path) -> Iterator[Path]:
    for directory in (root, *root.parents):
        yield directory / "rust-toolchain"
        yield directory / "rust-toolchain.toml"


def _optional(host: Host, root: Path, program: str, *argv: str) -> str | None:
    """Return the version of a component, or None: rustup leaves a proxy behind that fails when it is not installed."""
    if host.which(program) is None:
        return None
    try:
        finished = _run(host, root, *argv)
    except MachineRefused:
        return None
    return _version(finished.stdout.decode(errors="replace")) if finished.returncode == 0 else None


def _run(host: Host, root: Path, *argv: str) -> Finished:
    return host.run(Command(argv, cwd=root, timeout_seconds=_TIMEOUT_SECONDS))


def _version(text: str) -> str | None:
    found = re.search(r"\d+\.\d+\.\d+", text)
    return found.group(0) if found else None
