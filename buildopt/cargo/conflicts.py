"""Settings that fight each other, or that do not do what they look like: what the doctor says about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from buildopt.cargo.model import CargoConfig, ConfigValue, RustFlags, Toolchain
from buildopt.cargo.settings import find_setting, refused

if TYPE_CHECKING:
    from buildopt.profile.model import CargoProfile, Profile

__all__ = ["Conflict", "conflicts"]


class Conflict(NamedTuple):
    """One thing to know about the settings in force."""

    what: str
    """One line: which settings fight."""
    where: str
    """The files and variables that say so."""
    why: str
    """What happens because of it."""
    action: str
    """What to do."""


def conflicts(
    profile: Profile | None,
    config: CargoConfig,
    toolchain: Toolchain,
    environ: Mapping[str, str],
    *,
    manifest_profiles: tuple[str, ...] = (),
) -> tuple[Conflict, ...]:
    """Return every fight between the profile, Cargo's configuration and the environment, the gravest first.

    `manifest_profiles` are the names under `[profile]` in the root manifest, which configuration files override.
    """
    return (
        *_wrapper_and_incremental(profile, config, environ),
        *_hidden_flags(config, toolchain),
        *_linker_keys(config),
        *_shadowed_files(config),
        *_unknown_to_this_toolchain(config, toolchain),
        *_overridden_manifest(config, manifest_profiles),
        *(_with_profile(profile, config, toolchain) if profile is not None else ()),
    )


def _with_profile(profile: Profile, config: CargoConfig, toolchain: Toolchain) -> tuple[Conflict, ...]:
    return (*_wrappers(profile, config), *_profile_names(profile, toolchain), *_costly_keys(profile))


def _wrapper_and_incremental(
    profile: Profile | None, config: CargoConfig, environ: Mapping[str, str]
) -> Iterator[Conflict]:
    ours = profile is not None and profile.cache is not None and profile.cache.wrapper == "sccache"
    theirs = config.rustc_wrapper
    wrapped = ours or (theirs is not None and "sccache" in str(theirs.value))
    for name in ("CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"):
        if wrapped and environ.get(name) in ("1", "true"):
            wrapper = "cache.wrapper in the profile" if ours or theirs is None else theirs.where
            yield Conflict(
                f"{name}={environ[name]} beside sccache",
                f"${name}; {wrapper}",
                "sccache refuses to compile incrementally, and the build fails",
                f"unset {name}; `incremental = true` in a Cargo profile does no harm",
            )
            return


def _hidden_flags(config: CargoConfig, toolchain: Toolchain) -> Iterator[Conflict]:
    in_force = [flags for flags in config.rustflags if _may_match(flags, toolchain)]
    if not in_force:
        return
    winner = in_force[0]
    if winner.table == "environment":
        hidden = [flags for flags in in_force if flags.table != "environment" and flags.flags]
        name = winner.where.removeprefix("$")
        why = "Cargo then drops every configured compiler flag, the linker among them"
        action = f"unset {name}" + (
            "; warnings are denied by build.warnings (Cargo 1.97), [lints], or `cargo clippy -- -D warnings`"
            if "-Dwarnings" in winner.flags or "warnings" in winner.flags
            else "; put the flags into .cargo/config.toml"
        )
    else:
        target = next((flags for flags in in_force if flags.table.startswith("target") and flags.flags), None)
        if target is None:
            return
        winner, why = target, "Cargo does not join the two: the target table replaces [build]"
        hidden = [flags for flags in in_force if flags.table == "build" and flags.flags]
        action = f"move the flags of build.rustflags into {winner.table}.rustflags"
    if hidden:
        yield Conflict(
            f"{_flags_name(winner)} hides {', '.join(dict.fromkeys(_flags_name(flags) for flags in hidden))}",
            "; ".join(dict.fromkeys([winner.where, *(flags.where for flags in hidden)])),
            f"{why}; lost here: {' '.join(flag for flags in hidden for flag in flags.flags)}",
            action,
        )


def _wrappers(profile: Profile, config: CargoConfig) -> Iterator[Conflict]:
    theirs = config.get("build", "rustc-wrapper", ours=False)
    if theirs is None or profile.cache is None or profile.cache.wrapper == "none":
        return
    if str(theirs.value) and profile.cache.wrapper not in str(theirs.value):
        yield Conflict(
            f"two compiler wrappers: {theirs.value} and {profile.cache.wrapper}",
            f"{theirs.where}; cache.wrapper in the profile",
            "Cargo takes one: while buildopt runs Cargo it is the profile's, otherwise the other one, "
            "and they share nothing",
            f'keep one: remove rustc-wrapper from {theirs.where}, or set cache.wrapper = "none"',
        )


def _linker_keys(config: CargoConfig) -> Iterator[Conflict]:
    for value in config.linkers:
        yield Conflict(
            f"{value.dotted} = {value.value}",
            value.where,
            "this key is part of every fingerprint: whenever it changes, or another tool sets it, all crates are "
            "rebuilt, both ways",
            f'write it as a flag: rustflags = ["-Clinker={value.value}"] in the same table',
        )


def _shadowed_files(config: CargoConfig) -> Iterator[Conflict]:
    for file in config.shadowed:
        yield Conflict(
            f"{file} is not read",
            file,
            "a file `config` without the suffix stands beside it, and Cargo reads only that one",
            f"move what it says into {file} and remove the file without the suffix",
        )


def _unknown_to_this_toolchain(config: CargoConfig, toolchain: Toolchain) -> Iterator[Conflict]:
    for value in config.values:
        setting = find_setting(*value.key)
        reason = refused(setting, toolchain) if setting is not None else None
        if reason is not None:
            yield _not_honoured(value, reason)
        elif value.key[0] == "unstable" and not toolchain.nightly:
            yield _not_honoured(value, "needs a nightly toolchain: a stable Cargo ignores [unstable] without a word")


def _not_honoured(value: ConfigValue, reason: str) -> Conflict:
    return Conflict(
        f"{value.dotted} is not honoured by this toolchain",
        value.where,
        f"it {reason}",
        "remove it, or use a toolchain that has it",
    )


def _profile_names(profile: Profile, toolchain: Toolchain) -> Iterator[Conflict]:
    if "debug" in _cargo_profiles(profile) and _minor(toolchain) < 99:
        yield Conflict(
            "a Cargo profile called debug",
            "cargo.profile.debug in the profile",
            "Cargo reserves the name below 1.99 and refuses `--profile debug`; since 1.99 it is a built-in profile",
            "use the name dev, or another one of your own",
        )


def _costly_keys(profile: Profile) -> Iterator[Conflict]:
    for name, cargo_profile in _cargo_profiles(profile).items():
        key = f"cargo.profile.{name}"
        if "fast" in name and "release" not in name and cargo_profile.opt_level not in (None, 0):
            yield Conflict(
                f"{key}.opt-level = {cargo_profile.opt_level} in a profile called fast",
                f"{key} in the profile",
                "a clean build cost 2.4 to 2.9 times as much on two measured workspaces, and no edit became faster "
                "than with debug off",
                "remove it, unless the tests run longer than the build; `buildopt explain` says more",
            )
        override = cargo_profile.build_override
        if override is not None and override.opt_level not in (None, 0):
            yield Conflict(
                f"{key}.build-override.opt-level = {override.opt_level}",
                f"{key} in the profile",
                "dependencies shared with build scripts and macros are built twice: 2.2 to 2.5 times a clean build on "
                "ripgrep, though edits of macro-heavy code may take half",
                "keep it only where a measurement on this workspace favours it",
            )


def _overridden_manifest(config: CargoConfig, manifest_profiles: tuple[str, ...]) -> Iterator[Conflict]:
    given: dict[str, ConfigValue] = {}
    for value in config.values:
        if value.key[0] == "profile" and len(value.key) > 2:
            given.setdefault(value.key[1], value)
    for name in manifest_profiles:
        if name in given:
            yield Conflict(
                f"[profile.{name}] is said twice",
                f"Cargo.toml; {given[name].where}",
                "key by key, the configuration wins over Cargo.toml",
                "keep each key in one of the two places",
            )


def _cargo_profiles(profile: Profile) -> Mapping[str, CargoProfile]:
    return profile.cargo.profile if profile.cargo is not None else {}


def _may_match(flags: RustFlags, toolchain: Toolchain) -> bool:
    """Return whether a table is for this host; a `cfg(…)` that only rustc can decide is taken to match."""
    if not flags.table.startswith("target."):
        return True
    condition = flags.table.removeprefix("target.").strip("'")
    if condition in {"cfg(windows)", "cfg(unix)"}:
        return (condition == "cfg(windows)") == ("windows" in toolchain.host)
    named = re.fullmatch(r'cfg\(target_(os|arch) ?= ?"(\w+)"\)', condition)
    if named is not None:
        return named[2].replace("macos", "darwin") in toolchain.host
    return condition.startswith("cfg(") or condition == toolchain.host


def _flags_name(flags: RustFlags) -> str:
    return flags.where.removeprefix("$") if flags.table == "environment" else f"{flags.table}.rustflags"


def _minor(toolchain: Toolchain) -> int:
    return int(toolchain.cargo.split(".")[1])
