"""Settings as people write them, turned into what `--config` of Cargo is given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from buildopt.cargo.config import load_config
from buildopt.cargo.linkers import linkers
from buildopt.cargo.model import CargoConfig, LinkerProbe, Toolchain
from buildopt.cargo.settings import find_setting, known_profile_keys, refused
from buildopt.errors import ArgumentError
from buildopt.generate.host_config import flags_table
from buildopt.generate.toml import key_text, value_text
from buildopt.host import Host
from buildopt.profile.model import Profile
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["OWN_KEYS", "Ground", "Settings", "config_lines", "refuse", "unknown"]

Settings = Mapping[str, Any]
"""By key as people write it: `debug`, `package.*.debug`, `build-override.opt-level`, `linker`, `jobs`, `wrapper`, `-Zthreads`."""

OWN_KEYS = ("linker", "jobs", "wrapper")


class Ground:
    """What arms are read against: the workspace, its profile, this machine."""

    def __init__(self, host: Host, root: Path, state: Path, profile: Profile, toolchain: Toolchain) -> None:
        self.host = host
        self.root = root
        self.state = state
        self.profile = profile
        self.toolchain = toolchain

    @cached_property
    def config(self) -> CargoConfig:
        """Return Cargo's configuration in the workspace."""
        return load_config(self.host, self.root)

    @cached_property
    def linkers(self) -> Mapping[str, LinkerProbe]:
        """Return the linkers of this host."""
        return linkers(self.host, self.root, self.toolchain, self.state)


def config_lines(name: str, settings: Settings, ground: Ground) -> tuple[str, ...]:
    """Return what `--config` is given for `settings` of the arm `name`; the wrapper is environment, and left out.

    Raises ArgumentError for a key that there is not, and for a value that this Cargo or this machine does not take.
    """
    lines: list[str] = []
    flags: list[str] = []
    for key, value in settings.items():
        if key == "linker":
            flags += _linker_flags(name, value, ground)
        elif key == "jobs":
            if type(value) is not int or value == 0:
                raise refuse(name, key, f"takes a number other than 0: found {shown(value)}")
            lines.append(f"build.jobs={value}")
        elif key.startswith("-"):
            flags.append(_flag(name, key, value, ground))
        elif key != "wrapper":
            lines += _profile_lines(name, key, value, ground)
    if flags:
        notes: list[str] = []
        table = flags_table(ground.config, ground.toolchain.host, notes)
        if table is None or notes:
            raise refuse(name, "compiler flags", f"cannot be given here: {'; '.join(notes)}")
        lines.append(f"{key_text(*table, 'rustflags')}={value_text(flags)}")
    return tuple(lines)


def _profile_lines(name: str, key: str, value: Any, ground: Ground) -> list[str]:
    parts = _parts(key)
    setting = find_setting("profile", "dev", *parts) if len(parts) < 4 else None
    if setting is None or setting.kind != "profile":
        known = [*sorted(known_profile_keys()), *OWN_KEYS]
        near = did_you_mean(parts[-1], known)
        raise unknown(f"{name}: {key}", near or f"keys are those of [profile.*], and {', '.join(OWN_KEYS)}")
    place = parts[0] if len(parts) > 1 else "profile"
    why = refused(setting, ground.toolchain, value)
    if setting.places and place not in setting.places:
        why = "is taken by Cargo for a whole Cargo profile only"
    if not isinstance(value, (bool, int, str)):
        why = f"takes no {type(value).__name__}"
    if why is not None:
        raise refuse(name, key, why)
    switch = [f"{key_text('unstable', setting.switch)}=true"] if setting.switch else []
    over = ground.config.get("build", "incremental") if key == "incremental" else None
    hidden = [f"build.incremental={value_text(value)}"] if over is not None else []
    return [*switch, *hidden, f"{key_text('profile', 'dev', *parts)}={value_text(value)}"]


def _parts(key: str) -> tuple[str, ...]:
    """Return the parts of a key below its Cargo profile; the name of a package may have dots."""
    if key.startswith("package."):
        package, _, name = key.removeprefix("package.").rpartition(".")
        return "package", package.strip("\"'"), name
    return tuple(key.split("."))


def _linker_flags(name: str, linker: Any, ground: Ground) -> tuple[str, ...]:
    probe = ground.linkers.get(linker) if isinstance(linker, str) else None
    if linker == "default" or (probe is not None and probe.works and probe.default):
        return ()
    if probe is None or not probe.works:
        why = probe.why if probe else f"there are {', '.join(ground.linkers)}"
        raise refuse(name, "linker", f"cannot be {shown(linker)}: {why}")
    return probe.rustflags


def _flag(name: str, key: str, value: Any, ground: Ground) -> str:
    text = f"{key}={value}" if not isinstance(value, bool) else key
    setting = find_setting(key) or find_setting(text)
    if setting is None or setting.kind != "rustflag":
        raise unknown(f"{name}: {text}", "compiler flags are those of buildopt's settings table, as -Zthreads=8")
    why = refused(setting, ground.toolchain)
    if why is not None:
        raise refuse(name, key, why)
    return text


def unknown(text: str, hint: str) -> ArgumentError:
    """Return the error for words that name no arm."""
    return ArgumentError(f"--compare: {shown(text)} is no way to build", hint=hint)


def refuse(name: str, key: str, why: str) -> ArgumentError:
    """Return the error for a setting of the arm `name` that cannot be; `why` follows the key."""
    return ArgumentError(f"--compare: {name}: {key} {why}")
