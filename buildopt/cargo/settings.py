"""The settings that Cargo and rustc take, by version, channel and host: a table of data, and what it says about one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt.cargo.model import Toolchain

__all__ = ["Setting", "find_setting", "known_profile_keys", "refused", "settings"]

Kind = Literal["profile", "config", "environment", "rustflag", "unstable"]


class Setting(NamedTuple):
    """One setting; `settings.toml` documents the fields."""

    key: str
    kind: Kind
    changes: Literal["artifact", "speed only", "place", "diagnostics"]
    default: str
    effect: str
    source: str
    since: str | None = None
    until: str | None = None
    channel: Literal["stable", "nightly"] = "stable"
    switch: str | None = None
    hosts: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    values_since: Mapping[str, str] = {}
    places: tuple[str, ...] = ()
    unmet: Literal["error", "warning", "silence"] | None = None
    conflicts: tuple[str, ...] = ()
    tries: Mapping[str, tuple[Any, ...]] = {}
    in_dev: Any = None
    apart: tuple[str, ...] = ()
    same_program: bool = False


_UNMET = {
    "error": "and refuses every command",
    "warning": "and ignores it with a warning",
    "silence": "and ignores it without a word",
}


@cache
def settings() -> tuple[Setting, ...]:
    """Return the whole table, in its order."""
    text = Path(__file__).with_name("settings.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["setting"]
    lists = ("hosts", "values", "places", "conflicts", "apart")
    for row in rows:
        row.update({name: tuple(row.get(name, ())) for name in lists})
        row["tries"] = {place: tuple(values) for place, values in row.get("tries", {}).items()}
    return tuple(Setting(**row) for row in rows)


def find_setting(*key: str) -> Setting | None:
    """Return the setting of a key given part by part, as `find_setting("profile", "dev-fast", "debug")`.

    The overrides of a Cargo profile (`build-override`, `package.NAME`) have the settings of the profile.
    """
    parts = key
    if len(key) > 3 and key[0] == "profile":
        parts = (*key[:2], *key[3:]) if key[2] == "build-override" else (*key[:2], *key[4:])
    wanted = tuple(parts)
    for setting in settings():
        if setting.key == ".".join(wanted) or _matches(tuple(setting.key.split(".")), wanted):
            return setting
    return None


def known_profile_keys() -> frozenset[str]:
    """Return the keys that `[profile.*]` takes on some Cargo, nightly ones included; the sub-tables are not among them."""
    return frozenset(setting.key.removeprefix("profile.*.") for setting in settings() if setting.kind == "profile")


def refused(setting: Setting, toolchain: Toolchain, value: object = None) -> str | None:
    """Return why this toolchain would ignore or reject a setting (or one value of it); None when it honours it.

    The text is a fragment that follows the key: `needs Cargo 1.97, and this is 1.95.0, which …`.
    """
    tool, version = ("rustc", toolchain.rustc) if setting.kind == "rustflag" else ("Cargo", toolchain.cargo)
    then = f", {_UNMET[setting.unmet]}" if setting.unmet else ""
    if setting.since is not None and _number(version) < _number(setting.since):
        return f"needs {tool} {setting.since}: this is {version}{then}"
    if setting.until is not None and _number(version) >= _number(setting.until):
        return f"ended with {tool} {setting.until}: this is {version}"
    if setting.channel == "nightly" and not toolchain.nightly:
        return f"needs a nightly toolchain: this is {tool} {version} stable{then}"
    if setting.hosts and not any(fnmatchcase(toolchain.host, host) for host in setting.hosts):
        return f"is for {' or '.join(setting.hosts)}: this host is {toolchain.host}"
    if value is None:
        return None
    return _refused_value(setting, value, tool, version)


def _refused_value(setting: Setting, value: object, tool: str, version: str) -> str | None:
    # In Python True == 1, in TOML it is not.
    if setting.values and not any(type(value) is type(one) and value == one for one in setting.values):
        return f"takes {', '.join(_shown(one) for one in setting.values)}: found {_shown(value)}"
    name = "negative" if isinstance(value, int) and value < 0 else value if isinstance(value, str) else None
    since = setting.values_since.get(name) if name is not None else None
    if since is not None and _number(version) < _number(since):
        return f"takes {_shown(value)} since {tool} {since}: this is {version}, {_UNMET['error']}"
    return None


def _matches(pattern: tuple[str, ...], key: tuple[str, ...]) -> bool:
    return len(pattern) == len(key) and all(p in ("*", k) for p, k in zip(pattern, key, strict=True))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)
