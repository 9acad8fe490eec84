"""Units of one step: what the JSON messages, the timings and the reasons say, joined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cargo.messages import ArtifactMessage
from buildopt.cargo.timings import TimedUnit

__all__ = ["UnitRow", "join_units"]

_Key = tuple[str, str, str, str]
_Waiting = Mapping[_Key, list[TimedUnit]]


class UnitRow(NamedTuple):
    """One of Cargo's units in one step; the fields are those of `pipeline.events.Unit`."""

    package: str
    version: str
    target: str
    """Target kind and name, as `lib`, `bin "app"`, `build-script`."""
    mode: str
    """`build`, `check`, `test`, `doc` or `run-custom-build`."""
    fresh: bool
    reason: str | None = None
    """Why it was rebuilt, in Cargo's words; Cargo gives one a package, for the first of its units that is not fresh."""
    start_seconds: float | None = None
    duration_seconds: float | None = None
    frontend_seconds: float | None = None
    codegen_seconds: float | None = None


def join_units(
    artifacts: Iterable[ArtifactMessage],
    timings: Iterable[TimedUnit],
    reasons: Mapping[tuple[str, str], str] | None = None,
) -> tuple[UnitRow, ...]:
    """Return a row for every unit that a message names, in that order, then one for every unit that only the timings name.

    The latter are units that failed: they ran, and Cargo sends no message for them. Whether a unit was fresh is what the message
    says; for the run of a build script, of which no message says it, whether the timings list it (without timings: whether
    the package had to be rebuilt). Equal keys (the same crate for the host and for the target) are paired in order, and
    only units that were not fresh take a time.
    """
    artifacts, timings, reasons = tuple(artifacts), tuple(timings), reasons or {}
    rebuilt = set() if timings else {artifact.package_id for artifact in artifacts if artifact.fresh is False}
    waiting: dict[_Key, list[TimedUnit]] = defaultdict(list)
    for timed in sorted(timings, key=lambda unit: unit.start_seconds + unit.duration_seconds):
        waiting[timed[:4]].append(timed)  # Cargo's messages come in the order of the ends
    rows = [_row(artifact, waiting, reasons, artifact.package_id in rebuilt) for artifact in artifacts]
    for queue in waiting.values():
        rows.extend(_timed_row(timed, reasons) for timed in queue if timed.mode not in ("doctest", "docscrape"))
    return tuple(rows)


def _row(
    artifact: ArtifactMessage, waiting: _Waiting, reasons: Mapping[tuple[str, str], str], rebuilt: bool
) -> UnitRow:
    timed = None if artifact.fresh else _take(artifact, waiting)
    fresh = (timed is None and not rebuilt) if artifact.fresh is None else artifact.fresh
    return UnitRow(
        artifact.package,
        artifact.version,
        artifact.target,
        artifact.mode,
        fresh,
        None if fresh else reasons.get((artifact.package, artifact.version)),
        *(_times(timed) if timed else ()),
    )


def _take(artifact: ArtifactMessage, waiting: _Waiting) -> TimedUnit | None:
    """Take the first time that can be the artifact's: equal features, where both sides tell them."""
    queue = waiting.get((artifact.package, artifact.version, artifact.target, artifact.mode), [])
    for at, timed in enumerate(queue):
        if artifact.mode == "run-custom-build" or timed.features in (None, artifact.features):
            return queue.pop(at)
    return None


def _timed_row(timed: TimedUnit, reasons: Mapping[tuple[str, str], str]) -> UnitRow:
    reason = reasons.get((timed.package, timed.version))
    return UnitRow(timed.package, timed.version, timed.target, timed.mode, False, reason, *_times(timed))


def _times(timed: TimedUnit) -> tuple[float, float, float | None, float | None]:
    return timed.start_seconds, timed.duration_seconds, timed.frontend_seconds, timed.codegen_seconds
