"""Everything on this disk that decides what `cargo metadata` answers, as one digest of contents."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildopt.cargo.config import config_sources
from buildopt.cargo.toolchain import toolchain_identity
from buildopt.host import Files, Host

__all__ = ["input_digest"]

_VARIABLE = re.compile(
    r"CARGO_HOME|CARGO(_BUILD)?_TARGET_DIR|CARGO_BUILD_BUILD_DIR|CARGO_(RESOLVER|SOURCE|UNSTABLE|PATCH)_\w+|"
    r"CARGO_REGISTRIES_\w+_INDEX|CARGO_BUILD_TARGET|RUSTC|RUSTC_BOOTSTRAP"
)
_NOT_MEMBERS = frozenset({"target", "node_modules"})


def input_digest(host: Host, root: Path, directories: Iterable[str]) -> str:
    """Return a digest of what `cargo metadata` in `root` depends on, given the package directories it named before.

    A package that appeared since is noticed: by the manifest that names it, or by the directories that `members` globs.
    """
    total = hashlib.blake2b(digest_size=16)

    def add(*parts: str | bytes | None) -> None:
        for part in parts:
            content = part.encode(errors="surrogateescape") if isinstance(part, str) else part
            total.update(b"-;" if content is None else b"%d:" % len(content))
            total.update(content or b"")

    add(toolchain_identity(host, root))
    add(*(f"{name}={value}" for name, value in sorted(host.environ.items()) if _VARIABLE.fullmatch(name)))
    for source in config_sources(host, root)[0]:
        add(str(source.path), source.content)
    manifest = host.files.read(root / "Cargo.toml")
    add(manifest, host.files.read(root / "Cargo.lock"))
    known = set(directories)
    outside = {parent for each in known if not Path(each).is_relative_to(root) for parent in Path(each).parents}
    for parent in sorted(outside):
        add(host.files.read(parent / "Cargo.toml"))
    for directory in sorted({*known, *_globbed(host.files, os.fspath(root), manifest or b"")}):
        content = host.files.read(f"{directory}/Cargo.toml")
        add(directory, content, *(_discovered_targets(host.files, directory) if content is not None else ()))
    return total.hexdigest()


def _discovered_targets(files: Files, package: str) -> Iterator[str]:
    """Yield what Cargo would find by looking: the files that become targets without being named in the manifest."""
    names = files.names(package)
    yield from (name for name in ("build.rs",) if name in names)
    if "src" in names:
        source = files.names(f"{package}/src")
        yield from (name for name in ("lib.rs", "main.rs") if name in source)
        if "bin" in source:
            yield from _programs(files, f"{package}/src/bin")
    for name in ("tests", "benches", "examples"):
        if name in names:
            yield from _programs(files, f"{package}/{name}")


def _programs(files: Files, directory: str) -> Iterator[str]:
    yield os.path.basename(directory)
    for name in files.names(directory):
        if name.endswith(".rs") or files.stamp(f"{directory}/{name}/main.rs") is not None:
            yield name


def _globbed(files: Files, root: str, manifest: bytes) -> Iterator[str]:
    """Yield the directories that the globs of `members` match now."""
    if b"*" not in manifest and b"?" not in manifest and b"[" not in manifest:
        return
    try:
        members = tomllib.loads(manifest.decode()).get("workspace", {}).get("members", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
        return
    for pattern in members if isinstance(members, list) else ():
        if isinstance(pattern, str) and any(sign in pattern for sign in "*?["):
            yield from _expand(files, root, Path(os.path.normpath(pattern)).parts)


def _expand(files: Files, directory: str, parts: tuple[str, ...]) -> Iterator[str]:
    if not parts:
        yield directory
    elif parts[0] == "..":
        yield from _expand(files, os.path.dirname(directory), parts[1:])
    elif parts[0] == "**":
        yield from _expand(files, directory, parts[1:])
        for name in files.folders(directory):
            if not name.startswith(".") and name not in _NOT_MEMBERS:
                yield from _expand(files, f"{directory}/{name}", parts)
    else:
        for name in files.names(directory):
            if fnmatch.fnmatchcase(name, parts[0]):
                yield from _expand(files, f"{directory}/{name}", parts[1:])
