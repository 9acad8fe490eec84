"""Why a build is slow: what the record, the graph of packages and a model of the machine tell of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from buildopt.cargo.crate_graph import CrateGraph
from buildopt.cargo.model import Package
from buildopt.measure.critical_path import (
    Job,
    Link,
    critical_path,
    dependents,
    most_at_once,
    schedule,
    serial_stretches,
)
from buildopt.record import Record, UnitRow
from buildopt.report.slow_bounds import Where, bound_of, bounds, fastest_rebuilds, todo_for
from buildopt.report.slow_dependencies import dependencies, duplicates, read_built
from buildopt.report.slow_scripts import RecordedRun, reruns
from buildopt.report.slow_units import Build, cargo_profile, jobs_of, label, packages_by_unit
from buildopt.report.slow_view import MoreCores, PathLink, Serial, SlowView
from buildopt.units import format_duration

__all__ = ["Surroundings", "view_slow"]

_RECENT_RUNS = 20
_SHOWN_SERIAL = 5
_LEAST_SHARE = 0.02
_CORES = (2, 4)
_ROUNDING_SECONDS = 0.02
_WELL_MODELLED = 1.15
_BUSY = 2.0  # on a quiet machine it is near 1 (ripgrep, clean: 1.05)
_WORTH_PROCESSORS = 0.1
_HELD_BACK = 0.1


class Surroundings(NamedTuple):
    """What is known beside the record."""

    graph: CrateGraph
    """Empty when Cargo could not be asked."""
    members: tuple[Package, ...]
    gated: Mapping[str, Collection[str]]
    """By member, the dependencies that the profile gates already."""
    lean: tuple[bool, bool]
    """Whether the profile already asks for little debug info: in members, in all other packages."""
    newest: Callable[[str], tuple[str, float] | None]
    """The file at or below a path that was written last, and when, in seconds since the epoch."""
    again: str
    """The command that makes a build in which everything is rebuilt."""


def view_slow(record: Record, build: Build | None, around: Surroundings, notes: Sequence[str] = ()) -> SlowView:
    """Return why `build` took as long as it did; `notes` are put before those that follow from the build."""
    recent = [RecordedRun(run, record.units(run.id), record.steps(run.id)) for run in record.runs(_RECENT_RUNS)]
    folders = {member.name: str(member.directory) for member in around.members}
    scripts = reruns(recent, around.newest, folders)
    if build is None:
        said = (*notes, f"the record holds no build that rebuilt anything → {around.again}")
        return SlowView(None, said, reruns=scripts)
    jobs = jobs_of(build.units, around.graph)
    path = critical_path(jobs)
    cores = _cores(build, jobs, path if around.graph else ())
    places = _places(build, jobs, around, [_alike(each, build) for each in recent])
    model = schedule(jobs, cores).seconds if around.graph else build.seconds

    def saved(without: Collection[int]) -> float:
        return max(0.0, model - schedule(jobs, cores, without=without).seconds)

    view = SlowView(
        build,
        (*notes, *_notes(build, around.again, model, cores)),
        cores,
        model,
        ("what bounds it as a whole is not known", "see the first line"),
        serial=_serial(build, jobs, places) if cores > 1 else (),
        bounds=bounds(build.units, places),
        reruns=scripts,
    )
    if not around.graph:
        return view
    built = read_built(build.units, record.units(build.run.id), around.graph)
    unlimited = schedule(jobs, None)
    return view._replace(
        verdict=_verdict(build, cores, unlimited.seconds),
        path=tuple(_link(link, build.units, places) for link in path),
        unlimited_path=tuple(_link(link, build.units, places) for link in critical_path(unlimited.moved(jobs))),
        dependencies=dependencies(built, around.members, around.gated, saved),
        duplicates=duplicates(built, build.units),
        more_cores=_more_cores(jobs, cores, model),
    )


def _cores(build: Build, jobs: Sequence[Job], path: Sequence[Link]) -> int:
    """Return how many units Cargo ran at once: one for each processor, unless it was told otherwise."""
    most, processors = most_at_once(jobs), build.run.cores or 1
    held_back = sum(link.waited_seconds for link in path) > _HELD_BACK * build.seconds
    return most if held_back and most else max(processors, most)


def _places(build: Build, jobs: Sequence[Job], around: Surroundings, runs: Sequence[Sequence[UnitRow]]) -> list[Where]:
    fastest, checks = fastest_rebuilds(runs)
    waiting = dependents(jobs)
    places = []
    for at, package in enumerate(packages_by_unit(build.units, around.graph)):
        unit = build.units[at]
        key = (unit.package, unit.target, unit.mode)
        crate = None if package is None else around.graph[package]
        lean = around.lean[0 if crate is not None and crate.member else 1]
        places.append(Where(crate, waiting[at], fastest.get(key), lean, checks.get(key)))
    return places


def _alike(recorded: RecordedRun, build: Build) -> list[UnitRow]:
    """Return the units of a run that were built with the Cargo profile of `build`."""
    steps = {(s.stage, s.name) for s in recorded.steps if cargo_profile(s.argv) == build.cargo_profile}
    return [unit for unit in recorded.units if (unit.stage, unit.step) in steps]


def _notes(build: Build, again: str, model: float, cores: int) -> list[str]:
    notes = []
    reasons = _doubts(build)
    if reasons:
        notes.append(f"{'; '.join(reasons)} → for a better one, on a quiet machine: {again}")
    processors = build.run.cores or cores
    if cores < processors:
        notes.append(
            f"Cargo ran no more than {_units(cores)} at once, on {processors} processors → see who says so: buildopt doctor"
            " (build.jobs), or CARGO_BUILD_JOBS"
        )
    if not 1 / _WELL_MODELLED <= model / max(build.seconds, 0.01) <= _WELL_MODELLED:
        notes.append(
            f"the model of this machine gives {format_duration(model)} for it, so what a change would save is rough"
            " → trust the seconds of units, and measure what you change with buildopt bench"
        )
    return notes


def _doubts(build: Build) -> list[str]:
    """Return why another build would tell more."""
    reasons = []
    if not build.mostly_rebuilt:
        total = build.rebuilt + build.fresh
        reasons.append(
            f"no recorded build rebuilt most of the workspace; this one rebuilt most, {build.rebuilt} of {total} units"
        )
    elif not build.newest:
        reasons.append("the last build was mostly fresh, and this is the last one that rebuilt much")
    if build.run.polluted:
        reasons.append(f"its times are not clean ({build.run.polluted})")
    if build.cpu_seconds and build.work_seconds > _BUSY * build.cpu_seconds:
        times = build.work_seconds / build.cpu_seconds
        reasons.append(
            f"other programs were using the processors: units took {times:.1f} times as long as they computed,"
            " so compare the seconds below with each other only"
        )
    return reasons


def _verdict(build: Build, cores: int, unlimited: float) -> tuple[str, str]:
    """Return what bounds the build: the amount of work, or the order that it must be done in."""
    busy = min(1.0, build.work_seconds / (cores * build.seconds)) if build.seconds else 0.0
    said = f"the processors had {round(100 * busy)} % of the time a unit to run"
    if unlimited >= 0.8 * build.seconds:
        return (
            f"{said}: the order bounds this build, not the amount of work",
            "shorten the critical path and the serial parts",
        )
    if busy >= 0.8:
        return (
            f"{said}: the amount of work bounds this build, not its order",
            "build less (dependencies), or use more processors",
        )
    return f"{said}: both the order and the amount of work bound this build", "begin with the serial parts"


def _link(link: Link, units: Sequence[UnitRow], places: Sequence[Where]) -> PathLink:
    unit, place = units[link.job], places[link.job]
    waited = link.waited_seconds > link.seconds
    todo = "less work, or more processors: it waited longer than it ran" if waited else _todo(unit, place, link.seconds)
    return PathLink(label(unit), link.seconds, link.waited_seconds, todo)


def _todo(unit: UnitRow, place: Where, seconds: float) -> str:
    """Return what to do about the first `seconds` of a unit: when the rest could start with its metadata, its frontend counts alone."""
    frontend = unit.frontend_seconds
    if unit.mode == "build" and frontend is not None and seconds <= frontend + _ROUNDING_SECONDS:
        return todo_for(unit, place, "frontend")
    return todo_for(unit, place, bound_of(unit, place)[0])


def _serial(build: Build, jobs: Sequence[Job], places: Sequence[Where]) -> tuple[Serial, ...]:
    least = _LEAST_SHARE * build.seconds
    found = [stretch for stretch in serial_stretches(jobs) if stretch.seconds >= least]
    found.sort(key=lambda stretch: -stretch.seconds)
    return tuple(
        Serial(label(build.units[s.job]), s.start, s.seconds, _todo(build.units[s.job], places[s.job], s.seconds))
        for s in found[:_SHOWN_SERIAL]
    )


def _more_cores(jobs: Sequence[Job], cores: int, model: float) -> tuple[MoreCores, ...]:
    rows = []
    before = model
    for count in (*(cores * times for times in _CORES), None):
        takes = schedule(jobs, count).seconds
        gain = 1 - takes / before if before else 0.0
        if count is None:
            todo = "below that no processor helps: shorten the chain"
        elif gain >= _WORTH_PROCESSORS:
            todo = f"worth it where it builds clean often: a machine or CI runner with {count}"
        else:
            todo = "not worth more processors: shorten the chain"
        rows.append(MoreCores(count, takes, 1 - takes / model if model else 0.0, todo))
        before = takes
    return tuple(rows)


def _units(count: int) -> str:
    return f"{count} unit{'' if count == 1 else 's'}"
