"""Where the workspace root is, found as Cargo finds it, without a process wherever the manifests alone decide it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildopt.cargo.config import cargo_home
from buildopt.cargo.metadata import cargo_words
from buildopt.errors import ManifestError, ToolMissing
from buildopt.host import Command, Host

__all__ = ["find_root", "list_of_text", "match_parts"]


def find_root(host: Host, start: Path) -> Path:
    """Return the root of the Cargo workspace that `start` lies in, symlinks resolved.

    A package outside every workspace is its own root. Raises ManifestError when there is no Cargo.toml in `start` or
    above, when one on the way cannot be parsed, and when Cargo says that the package belongs to no member list.
    """
    start = Path(os.path.realpath(start))
    for package in (start, *start.parents):
        tables = _read_manifest(host, package)
        if tables is not None:
            break
    else:
        raise ManifestError(
            f"no Cargo.toml in {start} or in any directory above it",
            hint="go into a Cargo workspace, or name one with --root DIR",
        )
    if "workspace" in tables:
        return package
    pointer = _pointer(tables)
    root = _from_pointer(package, pointer) if pointer else _root_above(host, package)
    if root is None:
        return package
    root_tables = _read_manifest(host, root)
    if root_tables is not None and _is_listed(
        root_tables, package.relative_to(root) if _within(package, root) else None
    ):
        return root
    return _ask_cargo(host, package, root)


def _root_above(host: Host, package: Path) -> Path | None:
    home = cargo_home(host)
    for directory in package.parents:
        if directory == home or directory.parts[-2:] == ("target", "package"):
            return None
        tables = _read_manifest(host, directory)
        if tables is None:
            continue
        if "workspace" in tables:
            return None if _is_excluded(tables, package.relative_to(directory)) else directory
        pointer = _pointer(tables)
        if pointer:
            return _from_pointer(directory, pointer)
    return None


def _read_manifest(host: Host, directory: Path) -> dict[str, Any] | None:
    path = directory / "Cargo.toml"
    content = host.files.read(path)
    if content is None:
        return None
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"{path}: not a Cargo manifest: {error}") from error


def _pointer(tables: Mapping[str, Any]) -> str | None:
    package = tables.get("package", tables.get("project"))
    pointer = package.get("workspace") if isinstance(package, dict) else None
    return pointer if isinstance(pointer, str) else None


def _from_pointer(directory: Path, pointer: str) -> Path:
    return Path(os.path.normpath(directory / pointer))


def _within(path: Path, root: Path) -> bool:
    return path.is_relative_to(root)


def _is_excluded(tables: Mapping[str, Any], package: Path) -> bool:
    """Follow Cargo: what `exclude` covers is out, unless `members` names the same place without a glob."""
    listed = any(_within(package, Path(os.path.normpath(item))) for item in list_of_text(tables, "members"))
    return not listed and any(
        _within(package, Path(os.path.normpath(item))) for item in list_of_text(tables, "exclude")
    )


def _is_listed(tables: Mapping[str, Any], package: Path | None) -> bool:
    if package is None:
        return False
    return any(
        match_parts(Path(os.path.normpath(item)).parts, package.parts) for item in list_of_text(tables, "members")
    )


def list_of_text(tables: Mapping[str, Any], key: str) -> list[str]:
    """Return the texts of a list in the `[workspace]` table of a manifest; empty when it is absent or malformed."""
    workspace = tables.get("workspace")
    found = workspace.get(key) if isinstance(workspace, dict) else None
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def match_parts(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Return whether a glob of `members` matches a path, both split at `/`."""
    import fnmatch  # noqa: PLC0415 - not needed when `start` is the root

    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(match_parts(pattern[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and match_parts(pattern[1:], parts[1:])


def _ask_cargo(host: Host, package: Path, fallback: Path) -> Path:
    """Let Cargo decide whether a package that `members` does not list belongs to the workspace (by a path dependency)."""
    argv = ("cargo", "locate-project", "--workspace", "--message-format", "plain")
    try:
        finished = host.run(Command(argv, cwd=package, timeout_seconds=60.0))
    except ToolMissing:
        return fallback
    if finished.returncode != 0:
        raise ManifestError(f"cargo finds no workspace for {package}: {cargo_words(finished.stderr)}")
    return Path(os.fsdecode(finished.stdout).strip()).parent
