"""What tuning may try: settings that are legal for this Cargo, this host and this profile. Pure.

A setting has the key that `bench --compare` takes: `debug`, `package.*.debug`, `build-override.opt-level`, `linker`, `jobs`, …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.cargo.model import LinkerProbe, Toolchain
from buildopt.cargo.settings import Setting, find_setting, refused, settings
from buildopt.errors import Problem, ProfileError
from buildopt.generate.toml import key_text, value_text
from buildopt.profile.model import CargoProfile, Profile

__all__ = ["Candidate", "Candidates", "Surroundings", "choose_candidates", "tuned_profile"]

Settings = Mapping[str, Any]

_OWN = ("linker", "jobs", "wrapper")
_PARALLEL = frozenset({"codegen-units", "-Zthreads", *_OWN})
_CACHED = ("warm-cache", "branch-switch", "second-tree")
_PREFIX = {"flag": "", "profile": "", "package": "package.*.", "build-override": "build-override."}
_HELD = frozenset(field.replace("_", "-") for field in CargoProfile.__dataclass_fields__)


class Candidate(NamedTuple):
    """One thing to try: settings that are put over those of today."""

    settings: tuple[tuple[str, Any], ...]
    apart: bool = False
    """Whether it is measured by itself: its effect would hide those of the others."""

    @property
    def name(self) -> str:
        """Return it as people write it: `debug=0`, `wrapper="sccache"+incremental=false`."""
        return "+".join(f"{key}={value_text(value)}" for key, value in self.settings)

    @property
    def key(self) -> str:
        """Return what it is a level of: of candidates with one key, at most one can hold."""
        return "+".join(key for key, _ in self.settings)

    @property
    def parallel(self) -> bool:
        """Whether it changes how much is done at once: wall time decides, not CPU time."""
        return any(key.rpartition(".")[2] in _PARALLEL for key, _ in self.settings)

    @property
    def held(self) -> bool:
        """Whether a profile has keys for it: what only a nightly toolchain knows has none, and can only be advised."""
        return all(key in _OWN or key.rpartition(".")[2] in _HELD for key, _ in self.settings)


class Candidates(NamedTuple):
    """What is tried, and what is not."""

    chosen: tuple[Candidate, ...]
    left_out: tuple[str, ...]
    """One line each: the setting, and why it is not tried."""


class Surroundings(NamedTuple):
    """What decides beside the profile which settings are legal."""

    toolchain: Toolchain
    linkers: Mapping[str, LinkerProbe]
    cores: int
    sccache: bool
    """Whether sccache is found."""
    scenarios: tuple[str, ...]
    """What is measured: a compiler cache cannot pay where each build begins with an empty one."""


def tuned_profile(profile: Profile) -> str:
    """Return the name of the Cargo profile that is tuned; ProfileError for one that is no development profile."""
    first = next(iter(profile.stages.values()), None)
    name = profile.tune.cargo_profile or (first.cargo_profile if first else None) or "dev-fast"
    root = _ancestors(profile, name)[-1]
    if root in ("release", "bench"):
        problem = Problem(f"{name} inherits {root}, and tuning is for development", key="tune.cargo-profile")
        raise ProfileError("there is no Cargo profile to tune", problems=(problem,), hint="name one that inherits dev")
    return name


def choose_candidates(profile: Profile, today: Settings, around: Surroundings) -> Candidates:
    """Return what may be tried over the settings of `today`, in the order of the settings table.

    What changes the program needs a word in `tune.may-change`, or has to be named in `tune.candidates`.
    Raises ProfileError for a candidate of the profile that cannot be read.
    """
    left_out: list[str] = []
    if profile.tune.candidates:
        named = _named(profile.tune.candidates)
        return Candidates(tuple(_legal(named, today, around, left_out)), tuple(left_out))
    unnamed: list[str] = []
    offered = [*_from_table(profile, today, unnamed), *_from_host(today, around, left_out)]
    if unnamed:
        left_out.append(f"what changes the program, unless tune.may-change names it: {', '.join(unnamed)}")
    return Candidates(tuple(_legal(offered, today, around, left_out)), tuple(left_out))


def _ancestors(profile: Profile, name: str) -> list[str]:
    """Return the Cargo profile and what it inherits, itself first, what is built in last."""
    declared = profile.cargo.profile if profile.cargo else {}
    chain = [name]
    while (here := declared.get(chain[-1])) is not None and here.inherits is not None and here.inherits not in chain:
        chain.append(here.inherits)
    if chain[-1] == "test" or chain[-1] not in ("dev", "release", "bench"):
        chain.append("dev")
    return chain


def _from_table(profile: Profile, today: Settings, unnamed: list[str]) -> Iterator[Candidate]:
    for setting in settings():
        name = setting.key.rpartition(".")[2] if setting.kind == "profile" else setting.key
        for place, values in setting.tries.items():
            key = _PREFIX[place] + name
            wanted = _levels(setting, values, today.get(key, setting.in_dev))
            free = setting.changes != "artifact" or setting.same_program or place == "build-override"
            if wanted and not free and key not in profile.tune.may_change:
                unnamed.append(key)
                continue
            apart = place in setting.apart or place == "flag"
            yield from (Candidate(((key, value),), apart) for value in wanted)


def _levels(setting: Setting, values: Sequence[Any], current: Any) -> list[Any]:
    """Return the values to try: of several, only those beyond today's; Cargo's own where today's is another."""
    wanted = list(values[values.index(current) + 1 :]) if current in values else list(values)
    if setting.in_dev is not None and current != setting.in_dev and setting.in_dev not in wanted:
        wanted.append(setting.in_dev)
    return [value for value in wanted if value != current]


def _from_host(today: Settings, around: Surroundings, left_out: list[str]) -> Iterator[Candidate]:
    yield from (
        Candidate((("linker", name),))
        for name, probe in around.linkers.items()
        if probe.works and not probe.default and today.get("linker") != name
    )
    if today.get("jobs") is None:
        yield Candidate((("jobs", around.cores + 1),))
    if not any(name.startswith(_CACHED) for name in around.scenarios):
        left_out.append(f"wrapper pays only in scenarios of {', '.join(_CACHED)}: tune.weights has none")
    elif not around.sccache:
        left_out.append("wrapper: sccache is not found")
    elif today.get("wrapper") is None:
        yield Candidate((("wrapper", "sccache"),), apart=True)
        if today.get("incremental", True) is True:
            yield Candidate((("wrapper", "sccache"), ("incremental", False)), apart=True)


def _legal(
    offered: Sequence[Candidate], today: Settings, around: Surroundings, left_out: list[str]
) -> Iterator[Candidate]:
    for candidate in offered:
        why = next((why for key, value in candidate.settings if (why := _refusal(key, value, around))), None)
        if why is not None:
            left_out.append(f"{candidate.name} {why}")
        elif any(
            today.get(key) != value or type(today.get(key)) is not type(value) for key, value in candidate.settings
        ):
            yield candidate


def _refusal(key: str, value: Any, around: Surroundings) -> str | None:
    if key == "linker":
        probe = around.linkers.get(value)
        return (
            None if probe is not None and probe.works else f"cannot be used here: {probe.why if probe else 'not found'}"
        )
    if key == "wrapper":
        return None if around.sccache or value == "none" else "is not found here"
    setting = _setting(key)
    return None if setting is None else refused(setting, around.toolchain, value)


def _setting(key: str) -> Setting | None:
    if key == "jobs":
        return find_setting("build", "jobs")
    if key.startswith("-"):
        return find_setting(key)
    return find_setting("profile", "dev", *_parts(key))


def _parts(key: str) -> tuple[str, ...]:
    """Return the parts of a key below its Cargo profile; a package may have dots in its version."""
    if key.startswith("package."):
        package, _, name = key.removeprefix("package.").rpartition(".")
        return ("package", package.strip("\"'"), name)
    return tuple(key.split("."))


def _named(texts: Sequence[str]) -> tuple[Candidate, ...]:
    problems: list[Problem] = []
    found: list[Candidate] = []
    for position, text in enumerate(texts):
        try:
            pairs = tuple(_pair(part) for part in text.split("+"))
        except ValueError as error:
            problems.append(Problem(str(error), key=f"tune.candidates[{position}]"))
            continue
        candidate = Candidate(pairs, len(pairs) > 1 or _is_apart(pairs[0][0]))
        found.append(candidate if candidate.held else candidate._replace(apart=True))
    if problems:
        raise ProfileError("tune.candidates cannot be read", problems=tuple(problems))
    return tuple(found)


def _is_apart(key: str) -> bool:
    setting = _setting(key)
    place = key.partition(".")[0]
    return (
        key == "wrapper"
        or key.startswith("-")
        or (setting is not None and (place if place in ("package", "build-override") else "profile") in setting.apart)
    )


def _pair(text: str) -> tuple[str, Any]:
    """Return one `KEY=VALUE`; a value that is no TOML is a text. Raises ValueError."""
    import tomllib  # noqa: PLC0415 - only where the profile names candidates

    from buildopt.profile.wording import did_you_mean  # noqa: PLC0415 - as above

    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or not value:
        raise ValueError(f"expected KEY=VALUE, found {text!r}")
    if key not in _OWN and _setting(key) is None:
        names = [setting.key.rpartition(".")[2] for setting in settings() if setting.kind == "profile"]
        hint = did_you_mean(key, [*names, *_OWN])
        raise ValueError(f"no such setting: {key_text(*_parts(key))}" + (f" ({hint})" if hint else ""))
    try:
        return key, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return key, value
