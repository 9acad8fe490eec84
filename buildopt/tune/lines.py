"""What is adopted, as settings of the profile with their evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.bench.results import Comparison
from buildopt.generate.adoption import Adopted
from buildopt.profile.model import Profile
from buildopt.tune.candidates import Candidate
from buildopt.tune.judge import Judged, weigh
from buildopt.tune.levels import Found
from buildopt.tune.study import Result

__all__ = ["Evidence", "effect_of", "lines_of", "path_of"]

_OWN = {"linker": ("cargo", "linker", "prefer"), "jobs": ("cargo", "jobs"), "wrapper": ("cache", "wrapper")}


class Evidence(NamedTuple):
    """What stands beside each line, and is the same for all."""

    date: str
    """As 2026-11-21."""
    host_class: str
    rustc: str
    id: str
    """Of the experiment in the record."""


def lines_of(
    result: Result, weights: Mapping[str, float], profile: Profile, name: str, evidence: Evidence
) -> list[Adopted]:
    """Return the settings to write for what `result` found, each with its effect, alone and with the others."""
    lines = []
    declared = profile.cargo.profile if profile.cargo else {}
    if name not in declared and name not in ("dev", "test"):
        lines.append(Adopted(("cargo", "profile", name, "inherits"), "dev", ()))
    for candidate in result.chosen:
        words = [effect_of(candidate, result, weights)]
        if len(result.chosen) > 1 and result.weighted is not None:
            words.append(
                f"all {len(result.chosen)} lines together {_ratio(result.weighted)} ({_pairs(result.whole)} pairs)"
            )
        where = f"{evidence.date}, {evidence.host_class}, rustc {evidence.rustc}, evidence {evidence.id}"
        lines += [
            Adopted(path_of(key, name), _value(key, value, profile), ("; ".join(words), where))
            for key, value in candidate.settings
        ]
    return lines


def effect_of(candidate: Candidate, result: Result, weights: Mapping[str, float]) -> str:
    """Return what one setting does, in words: by pairs of its own where there are some, else by the screening."""
    own = result.alone.get(candidate, ())
    found = weigh(own, weights)
    if found is not None:
        return f"by itself {_ratio(found)} of today's cost ({_pairs(own)} pairs)"
    if result.chosen == (candidate,) and result.weighted is not None:
        return f"{_ratio(result.weighted)} of today's cost ({_pairs(result.whole)} pairs)"
    settled = result.settled.get(candidate, ())
    found = weigh(settled, weights)
    if found is not None:
        return f"over the others {_ratio(found)} of the cost ({_pairs(settled)} pairs)"
    judged = next((each for each in result.judged if each.candidate == candidate), None)
    return _screened(judged)


def path_of(key: str, name: str) -> tuple[str, ...]:
    """Return where in the profile a setting stands, for the Cargo profile `name`."""
    if key in _OWN:
        return _OWN[key]
    head = ("cargo", "profile", name)
    if key.startswith("package."):
        package, _, last = key.removeprefix("package.").rpartition(".")
        return (*head, "package", package.strip("\"'"), last)
    return (*head, *key.split("."))


def _value(key: str, value: Any, profile: Profile) -> Any:
    if key != "linker":
        return value
    linker = profile.cargo.linker if profile.cargo else None
    return [value, *(each for each in (linker.prefer if linker else ()) if each != value)]


def _screened(judged: Judged | None) -> str:
    if judged is None or judged.found is None:
        return "measured with the others"
    return (
        f"by itself {_ratio(judged.found)} of the cost ({judged.builds} builds, a placebo {100 * judged.floor:.0f} %)"
    )


def _pairs(comparisons: Sequence[Comparison]) -> int:
    return min((each.pairs for each in comparisons if each.decides), default=0)


def _ratio(found: Found) -> str:
    return f"{found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}]"
