"""Arms: the ways to build that are compared, as people write them, and what Cargo is told for each.

Settings go into Cargo's own `dev` profile (`release` in a release build) by `--config`, so that nothing but them differs
between two arms. A linker is a compiler flag, a compiler cache is environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt import profile as profiles
from buildopt.bench.config_lines import OWN_KEYS, Ground, Settings, config_lines, refuse, unknown
from buildopt.bench.scenarios import Action
from buildopt.cargo.settings import known_profile_keys
from buildopt.generate.host_config import host_settings
from buildopt.profile.model import CargoProfile, Profile
from buildopt.profile.presets import preset_names
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["Arm", "Ground", "parse_arm", "profile_settings", "settings_arm"]

_PARALLEL = frozenset({"codegen-units", "-Zthreads", *OWN_KEYS})
_WRAPPERS = ("none", "sccache")
_DEV = "profile.dev."
# Of https://doc.rust-lang.org/cargo/reference/profiles.html#release, for what inherits it and is put into `dev`.
_RELEASE: Settings = {
    "opt-level": 3, "debug": False, "debug-assertions": False, "overflow-checks": False, "incremental": False,
    "codegen-units": 16,
}  # fmt: skip


class Arm(NamedTuple):
    """One way to build."""

    name: str
    """As people wrote it."""
    config: tuple[str, ...] = ()
    """What `--config` is given, one `KEY=VALUE` each."""
    env: Mapping[str, str | None] = {}
    """Changes to the environment; None removes a variable."""
    revision: str | None = None
    """The git revision that is built in place of the work tree."""
    kind: Literal["settings", "plain", "declared"] = "settings"
    """How a cycle is done: with clippy and tests of the workspace; as people do without buildopt; as the profile declares."""
    wrapper: str | None = None
    """`sccache`, `none`, or None where the scenario decides: one with a filled cache then has sccache."""
    changes_parallelism: bool = False
    """Whether wall time decides: it changes how much is done at once, or where CPU time cannot be seen."""
    release: tuple[str, ...] | None = None
    """`config` for release builds, where it is not the same settings."""
    by_crate: bool = False
    """Whether Cargo is asked what each crate took."""

    def arguments(self, action: Action) -> tuple[str, ...]:
        """Return the arguments for Cargo in a scenario with this action."""
        lines = self.config
        if action == "release":
            lines = self.config if self.release is None else self.release
            lines = tuple(f"profile.release.{x.removeprefix(_DEV)}" if x.startswith(_DEV) else x for x in lines)
        return tuple(part for line in lines for part in ("--config", line))


def parse_arm(text: str, ground: Ground) -> Arm:
    """Return the arm that people write as `default`, `dev-fast`, `rev:main`, `debug=0+linker=mold`.

    A Cargo profile that the workspace declares wins over a preset of the same name. Raises ArgumentError for a word that
    names nothing, and for a setting that this Cargo or this machine does not take; ProfileError for a bad profile.
    """
    text = text.strip()
    if text == "plain":
        return Arm(text, kind="plain")
    if text == "declared":
        return _declared(ground)
    if text.startswith("rev:"):
        revision = text.removeprefix("rev:")
        if not revision or revision.startswith("-"):
            raise unknown(text, "write rev:REVISION, as rev:main")
        return _of_profile(text, ground.profile, ground)._replace(revision=revision)
    if text.endswith(".toml"):
        return _of_profile(text, _read(ground.root / text, ground), ground)
    base, _, rest = text.partition("+")
    if "=" in base:
        return settings_arm(text, _parsed(text, text), ground)
    found, release = _named(base, ground)
    more = _parsed(rest, text) if rest else {}
    return settings_arm(text, {**found, **more}, ground, release=None if release is None else {**release, **more})


def settings_arm(name: str, settings: Settings, ground: Ground, *, release: Settings | None = None) -> Arm:
    """Return an arm that builds with `settings`, by keys as people write them; `release` is what release builds have instead.

    Raises ArgumentError for a key that there is not, and for a value that this Cargo or this machine does not take.
    """
    wrapper = settings.get("wrapper")
    if wrapper not in (None, *_WRAPPERS):
        raise refuse(name, "wrapper", f"takes {' or '.join(_WRAPPERS)}: found {shown(wrapper)}")
    return Arm(
        name,
        config_lines(name, settings, ground),
        # Where the environment says it, no profile is asked.
        {"CARGO_INCREMENTAL": None} if "incremental" in settings or wrapper == "sccache" else {},
        wrapper=wrapper,
        changes_parallelism=any(key.rpartition(".")[2] in _PARALLEL for key in settings),
        release=None if release is None else config_lines(name, release, ground),
    )


def profile_settings(profile: Profile, cargo_profile: str | None, ground: Ground) -> dict[str, Any]:
    """Return what a Cargo profile of `profile` sets, with what it inherits, and the linker, jobs and wrapper beside it."""
    found: dict[str, Any] = {}
    declared = profile.cargo.profile if profile.cargo else {}
    chain: list[str] = []
    name = cargo_profile
    while name is not None and name not in chain:
        chain.append(name)
        name = declared[name].inherits if name in declared else None
    if chain and chain[-1] in ("release", "bench") and chain[0] not in ("release", "bench"):
        found.update(_RELEASE)
    for link in reversed(chain):
        found.update(_flat(declared[link]) if link in declared else {})
    if profile.incremental is not None and not (
        profile.incremental.ci if ground.host.in_ci else profile.incremental.local
    ):
        found.setdefault("incremental", False)
    if profile.cargo is not None:
        found.update(_of_machine(profile, ground))
    if profile.cache is not None and profile.cache.wrapper != "none":
        found["wrapper"] = profile.cache.wrapper
    return found


def _of_machine(profile: Profile, ground: Ground) -> dict[str, Any]:
    """Return the linker and the jobs that a sync would write on this machine."""
    assert profile.cargo is not None
    prefer = profile.cargo.linker.prefer if profile.cargo.linker else ()
    found = host_settings(
        profile.cargo,
        config=ground.config,
        linkers=ground.linkers if prefer else {},
        triple=ground.toolchain.host,
        cores=ground.host.cores,
        memory_bytes=ground.host.memory_bytes,
    )
    chosen = next((name for name in prefer if found.flags and ground.linkers[name].rustflags == found.flags), None)
    named = {"linker": chosen, "jobs": found.jobs}
    return {key: value for key, value in named.items() if value is not None}


def _declared(ground: Ground) -> Arm:
    """Return the arm whose stages name their own Cargo profiles: it has only what stands beside these."""
    today, _ = _both(ground.profile, ground)
    arm = settings_arm("declared", {key: today[key] for key in OWN_KEYS if key in today}, ground)
    incremental = ground.profile.incremental
    off = incremental is not None and not (incremental.ci if ground.host.in_ci else incremental.local)
    return arm._replace(kind="declared", env={"CARGO_INCREMENTAL": "0"} if off else arm.env)


def _of_profile(name: str, profile: Profile, ground: Ground) -> Arm:
    settings, release = _both(profile, ground)
    return settings_arm(name, settings, ground, release=release)


def _both(profile: Profile, ground: Ground) -> tuple[Settings, Settings]:
    """Return the settings of a profile for development, and for release builds."""
    first = next((stage.cargo_profile for stage in profile.stages.values() if stage.cargo_profile), None)
    declared = profile.cargo.profile if profile.cargo else {}
    usual = profile.tune.cargo_profile or first or next((name for name in declared if name != "release"), "dev")
    release = next((name for name in declared if declared[name].inherits == "release"), "release")
    return profile_settings(profile, usual, ground), profile_settings(profile, release, ground)


def _named(name: str, ground: Ground) -> tuple[Settings, Settings | None]:
    declared = ground.profile.cargo.profile if ground.profile.cargo else {}
    if name == "default":
        return {}, {}
    if name == "current":
        return _both(ground.profile, ground)
    if name in declared:
        return profile_settings(ground.profile, name, ground), None
    if name in preset_names():
        text = f'version = 1\nextends = ["{name}"]\n'.encode()
        return _both(_loaded(ground, ground.root / "buildopt.toml", text), ground)
    if name in known_profile_keys() or name in OWN_KEYS:
        raise unknown(name, f"write {name}=VALUE")
    known = ["default", "current", *preset_names(), *declared, "plain", "declared"]
    hint = did_you_mean(name, known) or f"there are {', '.join(known)}, rev:REVISION, FILE.toml, and KEY=VALUE"
    raise unknown(name, hint)


def _read(path: Path, ground: Ground) -> Profile:
    if ground.host.files.read(path) is None:
        raise unknown(str(path), "there is no such file; a path is relative to the workspace root")
    return _loaded(ground, path, None)


def _loaded(ground: Ground, path: Path, text: bytes | None) -> Profile:
    """Load a profile; `text` stands in for the file where it is given."""
    files, host = ground.host.files, ground.host
    return profiles.load(
        path,
        root=ground.root,
        read=lambda asked: text if text is not None and Path(asked) == path else files.read(asked),
        environ={},
        ci=host.in_ci,
        system=host.system,
        strict=False,
    ).profile


def _parsed(text: str, whole: str) -> dict[str, Any]:
    """Return the settings of `debug=0+linker=mold`; a value that is no TOML is a text."""
    found: dict[str, Any] = {}
    for part in text.split("+"):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not key or not value:
            raise unknown(whole, f"expected KEY=VALUE, found {shown(part)}")
        try:
            found[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found


def _flat(profile: CargoProfile, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in profile.__dataclass_fields__:
        value = getattr(profile, field)
        if value is not None and field not in ("inherits", "build_override", "package"):
            found[prefix + field.replace("_", "-")] = value
    if profile.build_override is not None:
        found.update(_flat(profile.build_override, "build-override."))
    for package, override in profile.package.items():
        found.update(_flat(override, f"package.{package}."))
    return found
