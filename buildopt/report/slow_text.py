"""`report --slow` as text for people and as JSON. Every line ends with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from buildopt.report.layout import heading, visible, wrapped
from buildopt.report.slow_view import Bound, Dependency, Duplicate, MoreCores, PathLink, SlowView
from buildopt.units import format_duration

__all__ = ["as_json", "as_text"]

_LEAST_LINK_SHARE = 0.02
_NAMES = 4
_GATE_LINES = 6
_KINDS = {
    "frontend": "frontend",
    "codegen": "code generation",
    "link": "linking",
    "executable": "code generation and linking",
    "procedural macro": "a procedural macro",
    "build script": "a build script",
}


def as_text(view: SlowView, width: int = 100, *, color: bool = False) -> str:
    """Return the view in lines of at most `width` characters, with colour only where `color` says so."""
    sections: list[tuple[str, list[str]]] = []
    if view.build is None:
        sections.append(("Why it is slow", _items(view.notes, width)))
    else:
        sections += [
            (f"Why {view.build.run.verb} ({view.build.step}) took {format_duration(view.build.seconds)}", _whole(view, width)),
            (f"Critical path: {_sum(view.path)}", _path(view.path, width)),
            (f"With processors without end: {_sum(view.unlimited_path)}", _path(view.unlimited_path, width)),
            (
                "Serial parts: one unit ran, and nothing else could",
                _items(
                    (f"{_at(s.start_seconds)} {format_duration(s.seconds)} {s.unit} → {s.todo}" for s in view.serial), width
                ),
            ),
            ("What the most expensive units spend their time on", _items(map(_bound, view.bounds), width)),
            ("Dependencies by what a build without them saves", _dependencies(view, width)),
            ("Built more than once", _items(map(_duplicate, view.duplicates), width)),
        ]  # fmt: skip
    scripts = (
        f"{row.package}: {row.cause}; seen in {_count(row.runs, 'run')}, the last time it cost {format_duration(row.work_seconds)}"
        f" → {row.todo}"
        for row in view.reruns
    )
    sections.append(("Build scripts that run again although nothing was edited", _items(scripts, width)))
    sections.append(("More processors", _items(map(_more, view.more_cores), width)))
    shown = ("\n".join([*_title(title, width, color), *lines]) for title, lines in sections if lines)
    return "\n\n".join(shown) + "\n"


def as_json(view: SlowView) -> dict[str, Any]:
    """Return the view as the one document that `buildopt report --slow --json` prints."""
    return {
        "version": 1,
        "build": _build_json(view),
        "notes": list(view.notes),
        "verdict": {"what": view.verdict[0], "todo": view.verdict[1]},
        "critical_path": [link._asdict() for link in view.path],
        "unlimited_path": [link._asdict() for link in view.unlimited_path],
        "serial": [part._asdict() for part in view.serial],
        "bounds": [bound._asdict() for bound in view.bounds],
        "dependencies": [
            row._asdict() | {"pulled_in": list(row.pulled_in), "members": list(row.members), "gate": list(row.gate)}
            for row in view.dependencies
        ],
        "duplicates": [
            row._asdict() | {"versions": list(row.versions), "through": list(row.through)} for row in view.duplicates
        ],
        "build_scripts": [row._asdict() for row in view.reruns],
        "more_cores": [row._asdict() for row in view.more_cores],
    }


def _build_json(view: SlowView) -> dict[str, Any] | None:
    build = view.build
    if build is None:
        return None
    return {
        "run": build.run.id,
        "verb": build.run.verb,
        "stage": build.stage,
        "step": build.step,
        "started_at": build.run.started_at,
        "seconds": build.seconds,
        "work_seconds": build.work_seconds,
        "model_seconds": view.model_seconds,
        "cores": view.cores,
        "units": {"fresh": build.fresh, "rebuilt": build.rebuilt},
        "newest": build.newest,
        "mostly_rebuilt": build.mostly_rebuilt,
    }


def _whole(view: SlowView, width: int) -> list[str]:
    build = view.build
    assert build is not None
    facts = (
        f"{build.rebuilt} units rebuilt, {build.fresh} fresh: {format_duration(build.work_seconds)} of work on"
        f" {_count(view.cores, 'processor')}; {view.verdict[0]} → {view.verdict[1]}"
    )
    return _items([*view.notes, facts], width)


def _path(path: Sequence[PathLink], width: int) -> list[str]:
    """Return a line for each unit that matters; neighbours that mostly waited, and neighbours that are short, share one."""
    least = _LEAST_LINK_SHARE * sum(map(_length, path))
    lines: list[str] = []
    for kind, group in groupby(path, key=lambda link: _link_kind(link, least)):
        links = list(group)
        names, seconds = _some([link.unit for link in links]), format_duration(sum(link.seconds for link in links))
        waited = format_duration(sum(link.waited_seconds for link in links))
        if kind == "short":
            lines += _items([f"{seconds} {names} → nothing: too short to matter"], width)
        elif kind == "waited":
            lines += _items(
                [f"{seconds} {names}, {waited} waiting for a processor → less work, or more processors"], width
            )
        else:
            for link in links:
                after = (
                    f", after {format_duration(link.waited_seconds)} of waiting" if link.waited_seconds > 0.05 else ""
                )
                lines += _items([f"{format_duration(link.seconds)} {link.unit}{after} → {link.todo}"], width)
    return lines


def _link_kind(link: PathLink, least: float) -> str:
    if link.waited_seconds > link.seconds:
        return "waited"
    return "short" if _length(link) < least else "ran"


def _length(link: PathLink) -> float:
    return link.seconds + link.waited_seconds


def _bound(bound: Bound) -> str:
    share = f", {round(100 * bound.share)} % of it" if bound.share < 0.995 else ""
    return f"{format_duration(bound.seconds)} {bound.unit}: {_KINDS[bound.kind]}{share} → {bound.todo}"


def _dependencies(view: SlowView, width: int) -> list[str]:
    lines: list[str] = []
    for row in view.dependencies:
        lines += _items([_dependency(row)], width)
        lines += [f"        {visible(line)}" for line in row.gate[:_GATE_LINES]]
        if len(row.gate) > _GATE_LINES:
            lines.append(f"        … and {len(row.gate) - _GATE_LINES} lines more (--json has them all)")
    return lines


def _dependency(row: Dependency) -> str:
    inside = (
        f" and {_count(len(row.pulled_in), 'package')} only it pulls in ({_some(row.pulled_in)})"
        if row.pulled_in
        else ""
    )
    saves = f"{format_duration(row.work_seconds)} of work, {format_duration(row.wall_seconds)} of the build"
    return f"{saves}: {row.name} {row.version}{inside}, for {_some(row.members)} → {row.todo}"


def _duplicate(row: Duplicate) -> str:
    cost = format_duration(row.work_seconds)
    if len(row.versions) == 1:
        return f"{cost} {row.name} {row.versions[0]}, built twice → {row.todo}"
    way = f", by {' → '.join(row.through)}" if row.through else ""
    return f"{cost} {row.name} {', '.join(row.versions[:-1])}{way}, beside {row.versions[-1]} → {row.todo}"


def _more(row: MoreCores) -> str:
    less = round(100 * row.saved_share)
    who = "as many as it can use" if row.cores is None else f"{row.cores}"
    return f"{who}: {format_duration(row.seconds)}, {less} % less → {row.todo}"


def _sum(path: Sequence[PathLink]) -> str:
    whole = sum(link.seconds + link.waited_seconds for link in path)
    waited = sum(link.waited_seconds for link in path)
    more = f", {format_duration(waited)} of it waiting for a processor" if waited > 0.05 else ""
    return f"{_count(len(path), 'unit')}, {format_duration(whole)}{more}"


def _title(text: str, width: int, color: bool) -> list[str]:
    return [heading(line, color) for line in wrapped(text, width, first="", rest="")]


def _items(texts: Iterable[str], width: int) -> list[str]:
    return [line for text in texts for line in wrapped(text, width, first="  - ", rest="    ")]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"


def _at(seconds: float) -> str:
    return f"at {format_duration(seconds)}:"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
