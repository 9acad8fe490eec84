"""Cargo's configuration: every file that Cargo reads in this workspace, and the environment variables beside them.

Order and rules are those of Cargo 1.95, tried with the real one: the file nearest to the workspace root wins, a file
wins over what it includes, of two includes the later one wins, and the environment wins over every file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt.cargo.model import CargoConfig, ConfigValue, RustFlags
from buildopt.errors import ManifestError
from buildopt.host import Files, Host

__all__ = [
    "REGION_BEGIN",
    "REGION_END",
    "Source",
    "cargo_home",
    "config_sources",
    "declared_profiles",
    "load_config",
    "without_region",
]

REGION_BEGIN = "# >>> buildopt >>>"
REGION_END = "# <<< buildopt <<<"
_OURS = frozenset({".cargo/buildopt.toml", ".cargo/buildopt.host.toml"})

_VARIABLES = {
    "RUSTC_WRAPPER": ("build", "rustc-wrapper"),
    "CARGO_BUILD_RUSTC_WRAPPER": ("build", "rustc-wrapper"),
    "RUSTC_WORKSPACE_WRAPPER": ("build", "rustc-workspace-wrapper"),
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER": ("build", "rustc-workspace-wrapper"),
    "CARGO_INCREMENTAL": ("build", "incremental"),
    "CARGO_BUILD_INCREMENTAL": ("build", "incremental"),
    "CARGO_TARGET_DIR": ("build", "target-dir"),
    "CARGO_BUILD_TARGET_DIR": ("build", "target-dir"),
    "CARGO_BUILD_BUILD_DIR": ("build", "build-dir"),
    "CARGO_BUILD_JOBS": ("build", "jobs"),
    "CARGO_BUILD_TARGET": ("build", "target"),
    "CARGO_BUILD_WARNINGS": ("build", "warnings"),
}
"""In Cargo's order: of two variables for one key the upper one wins."""
_PROFILE_VARIABLE = re.compile(
    r"CARGO_PROFILE_(\w+?)_(BUILD_OVERRIDE_)?"
    r"(OPT_LEVEL|DEBUG_ASSERTIONS|SPLIT_DEBUGINFO|DEBUG|STRIP|OVERFLOW_CHECKS|LTO|PANIC|INCREMENTAL|CODEGEN_UNITS|RPATH|INHERITS)",
    re.ASCII,
)
_TARGET_VARIABLE = re.compile(r"CARGO_TARGET_(\w+)_(LINKER|RUNNER|RUSTFLAGS)", re.ASCII)


class Source(NamedTuple):
    """One configuration file that Cargo reads."""

    path: Path
    content: bytes


def load_config(host: Host, root: Path) -> CargoConfig:
    """Return what Cargo's configuration says when Cargo runs in `root`.

    Raises ManifestError for a file that is not TOML, and for an include that Cargo would refuse.
    """
    sources, shadowed = config_sources(host, root)
    values: list[ConfigValue] = []
    flags: list[RustFlags] = []
    for path, content in sources:
        where = _shown(path, root)
        tables = _parse(content, where)
        users = _parse_users(content) if where not in _OURS else {}
        for key, value in _leaves(tables):
            ours = where in _OURS or (users is not None and _lookup(users, key) is None)
            found = _rustflags(key, value, where, ours)
            if found is None:
                values.append(ConfigValue(key, value, where, ours))
            else:
                flags.append(found)
    env_values, env_flags = _from_environment(host.environ)
    rank = {"environment": 0, "build": 2}
    return CargoConfig(
        values=(*env_values, *values),
        rustflags=tuple(sorted([*env_flags, *flags], key=lambda found: rank.get(found.table, 1))),
        files=tuple(_shown(source.path, root) for source in sources),
        shadowed=tuple(_shown(path, root) for path in shadowed),
    )


def config_sources(host: Host, root: Path) -> tuple[list[Source], list[Path]]:
    """Return the files that Cargo reads when it runs in `root`, the one that wins first, and those it passes over.

    Cargo looks in `.cargo` of `root` and of every directory above, then in its home; a file `config` hides the file
    `config.toml` beside it. Raises ManifestError for an include that Cargo would refuse.
    """
    sources: list[Source] = []
    shadowed: list[Path] = []
    folders = [directory / ".cargo" for directory in (root, *root.parents)]
    home = cargo_home(host)
    for folder in folders if home in folders else [*folders, home]:
        old, new = folder / "config", folder / "config.toml"
        content, newer = (host.files.read(path) if host.files.stamp(path) else None for path in (old, new))
        if content is not None and newer is not None:
            shadowed.append(new)
        if content is not None:
            sources.extend(_with_includes(host.files, root, Source(old, content), ()))
        elif newer is not None:
            sources.extend(_with_includes(host.files, root, Source(new, newer), ()))
    return sources, shadowed


def declared_profiles(host: Host, root: Path) -> tuple[str, ...]:
    """Return the Cargo profiles that the root manifest and Cargo's configuration declare, sorted."""
    manifest = _parse(host.files.read(root / "Cargo.toml") or b"", "Cargo.toml").get("profile")
    names = {value.key[1] for value in load_config(host, root).values if value.key[0] == "profile"}
    return tuple(sorted(names | set(manifest if isinstance(manifest, dict) else ())))


def cargo_home(host: Host) -> Path:
    """Return the directory where Cargo keeps what belongs to the user: `CARGO_HOME`, or `.cargo` at home."""
    given = host.environ.get("CARGO_HOME")
    home = host.environ.get("HOME") or host.environ.get("USERPROFILE") or "/"
    return Path(given) if given else Path(home) / ".cargo"


def without_region(text: str) -> str:
    """Return the text of a configuration file without the region that buildopt marks as its own."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        mark = line.strip()
        if mark == REGION_BEGIN:
            inside = True
        if not inside:
            kept.append(line)
        if mark == REGION_END:
            inside = False
    return "".join(kept)


def _with_includes(files: Files, root: Path, source: Source, seen: tuple[Path, ...]) -> Iterator[Source]:
    yield source
    if b"include" not in source.content:
        return
    where = _shown(source.path, root)
    for name, optional in reversed(_includes(_parse(source.content, where), where)):
        path = Path(os.path.normpath(source.path.parent / name))
        if path == source.path or path in seen:
            raise ManifestError(f"{where}: include: {name} includes itself in a circle", hint="remove one of the two")
        content = files.read(path)
        if content is not None:
            yield from _with_includes(files, root, Source(path, content), (*seen, source.path))
        elif not optional:
            ours = path == root / ".cargo" / "buildopt.toml"
            raise ManifestError(
                f"{where}: include: {name} does not exist, and Cargo then refuses every command",
                hint="buildopt sync writes it again"
                if ours
                else "create the file, or make it { path = …, optional = true }",
            )


def _includes(tables: Mapping[str, Any], where: str) -> list[tuple[str, bool]]:
    found = []
    given = tables.get("include", [])
    for item in given if isinstance(given, list) else [None]:
        name = item.get("path") if isinstance(item, dict) else item
        if not isinstance(name, str) or not name.endswith(".toml"):
            raise ManifestError(
                f"{where}: include: expected a list of paths that end in .toml, or of tables with such a path",
                hint='write include = ["other.toml"]',
            )
        found.append((name, isinstance(item, dict) and item.get("optional") is True))
    return found


def _parse(content: bytes, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(
            f"{where}: not a Cargo configuration: {error}", hint="repair the file; cargo cannot read it either"
        ) from error


def _parse_users(content: bytes) -> dict[str, Any] | None:
    """Return the tables outside our region; None when all of the file is the user's."""
    text = content.decode()
    if REGION_BEGIN not in text:
        return None
    try:
        return tomllib.loads(without_region(text))
    except tomllib.TOMLDecodeError:
        return None


def _leaves(table: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*before, key))
        else:
            yield (*before, key), value


def _lookup(table: Any, key: tuple[str, ...]) -> Any:
    for part in key:
        table = table.get(part) if isinstance(table, dict) else None
    return table


def _rustflags(key: tuple[str, ...], value: Any, where: str, ours: bool) -> RustFlags | None:
    if key == ("build", "rustflags"):
        table = "build"
    elif len(key) == 3 and key[0] == "target" and key[2] == "rustflags":
        table = f"target.'{key[1]}'" if "(" in key[1] else f"target.{key[1]}"
    else:
        return None
    form: Literal["array", "string"] = "string" if isinstance(value, str) else "array"
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return RustFlags(table, tuple(str(word) for word in words), form, where, ours)


def _from_environment(environ: Mapping[str, str]) -> tuple[list[ConfigValue], list[RustFlags]]:
    values = [ConfigValue(key, environ[name], f"${name}", False) for name, key in _VARIABLES.items() if name in environ]
    flags = []
    if "CARGO_ENCODED_RUSTFLAGS" in environ:
        words = tuple(filter(None, environ["CARGO_ENCODED_RUSTFLAGS"].split("\x1f")))
        flags.append(RustFlags("environment", words, "string", "$CARGO_ENCODED_RUSTFLAGS", False))
    for name, table in (("RUSTFLAGS", "environment"), ("CARGO_BUILD_RUSTFLAGS", "build")):
        if name in environ:
            flags.append(RustFlags(table, tuple(environ[name].split()), "string", f"${name}", False))
    for name in sorted(environ):
        if not name.startswith(("CARGO_PROFILE_", "CARGO_TARGET_")):
            continue
        if (match := _PROFILE_VARIABLE.fullmatch(name)) is not None:
            override = ("build-override",) if match[2] else ()
            key = ("profile", _spelled(match[1]), *override, _spelled(match[3]))
            values.append(ConfigValue(key, environ[name], f"${name}", False))
        elif (match := _TARGET_VARIABLE.fullmatch(name)) is not None:
            triple = _spelled(match[1]).replace("x86-64", "x86_64")
            if match[2] == "RUSTFLAGS":
                flags.append(RustFlags(f"target.{triple}", tuple(environ[name].split()), "string", f"${name}", False))
            else:
                values.append(ConfigValue(("target", triple, match[2].lower()), environ[name], f"${name}", False))
    return values, flags


def _spelled(name: str) -> str:
    return name.lower().replace("_", "-")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
