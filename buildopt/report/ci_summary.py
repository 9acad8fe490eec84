"""One run as Markdown, for the summary of a CI job. Pure.

Names of crates, tests and branches are untrusted: every character that Markdown or HTML could read is written as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from buildopt.cargo.units import UnitRow
from buildopt.measure import judge, plain_duration
from buildopt.pipeline.events import StageFinished
from buildopt.report.closing import cache_text
from buildopt.report.layout import visible
from buildopt.units import format_duration
from buildopt.watch.diagnostics import Diagnostic

__all__ = ["RunFacts", "as_markdown", "escaped"]

_LARGEST = 60_000  # bytes; GitHub drops a summary above 1 MiB, and a person reads no more than this
_STAGES, _CRATES, _PROBLEMS, _NOTES = 30, 10, 20, 10
_LONGEST_WORD, _LONGEST_LINE = 80, 160  # characters, of which each may take six bytes
_MARKUP = re.compile(r"(?<![A-Za-z0-9])-|[^\w\s-]|_", re.ASCII)
_RESULTS = {
    "success": "passed",
    "failure": "**failed**",
    "timeout": "**timed out**",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


class RunFacts(NamedTuple):
    """What a run told."""

    command: str
    result: str
    wall_seconds: float
    stages: tuple[StageFinished, ...]
    covered: dict[str, tuple[int, str]]
    """By stage: how many packages the workspace has, and why these were chosen."""
    units: tuple[UnitRow, ...]
    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[str, ...]


def as_markdown(facts: RunFacts) -> str:
    """Return the run as Markdown: stages with time, budget, units and cache, what failed, the slowest crates; below 64 KiB."""
    sections = [_head(facts), *filter(None, (_problems(facts), _slowest(facts.units), _notes(facts)))]
    text = ""
    for section in sections:
        if len((text + section).encode()) > _LARGEST:
            return f"{text}\nThe rest of the summary is left out: it is too long.\n"
        text += f"{section}\n"
    return text


def escaped(text: str, longest: int = _LONGEST_WORD) -> str:
    """Return `text` as one line that Markdown and HTML show as it is; cut after `longest` characters."""
    line = visible(text.encode("utf-8", "replace").decode())
    line = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};" if found[0].isascii() else found[0], line)


def _head(facts: RunFacts) -> str:
    title = f"### buildopt {escaped(facts.command)}: {_RESULTS[facts.result].strip('*')} in {format_duration(facts.wall_seconds)}"
    rows = [_stage(stage, *facts.covered.get(stage.stage, (None, ""))) for stage in facts.stages[:_STAGES]]
    names = ("stage", "result", "time", "budget", "packages", "units", "cache")
    lines = [title, "", *_table(names, rows, right=(2,))]
    if len(facts.stages) > _STAGES:
        lines += ["", f"and {len(facts.stages) - _STAGES} more stages"]
    return "\n".join(lines) + "\n"


def _stage(stage: StageFinished, total: int | None, why: str) -> Sequence[str]:
    ran = stage.result != "skipped"
    count = str(len(stage.packages)) if total is None else f"{len(stage.packages)} of {total}"
    built = f"{stage.rebuilt} rebuilt, {stage.fresh} fresh" if stage.fresh + stage.rebuilt else ""
    reason = stage.detail if stage.detail and stage.result != "success" else why
    return (
        _code(stage.stage),
        _RESULTS[stage.result],
        format_duration(stage.wall_seconds) if ran else "",
        _budget(stage) if ran else "",
        "<br>".join(part for part in (count if ran else "", escaped(reason, _LONGEST_LINE)) if part),
        built,
        cache_text(stage),
    )


def _budget(stage: StageFinished) -> str:
    if stage.budget_seconds is None:
        return ""
    budget = plain_duration(stage.budget_seconds)
    if stage.result != "success":
        return budget
    verdict = judge(
        stage.wall_seconds, stage.budget_seconds, doubt="waited for a lock" if stage.lock_wait else None
    ).verdict
    return (
        f"{budget} kept"
        if verdict == "ok"
        else f"**over {budget}**"
        if verdict == "over"
        else f"over {budget}, waited for a lock"
    )


def _problems(facts: RunFacts) -> str:
    found = [each for each in facts.diagnostics if each.level != "warning"]
    warnings = len(facts.diagnostics) - len(found)
    counted = [f"{warnings} warning{'' if warnings == 1 else 's'}"] if warnings else []
    if not found:
        return f"{counted[0]}\n" if counted else ""
    lines = [f"- {_problem(each)}" for each in found[:_PROBLEMS]]
    if len(found) > _PROBLEMS:
        counted.insert(0, f"{len(found) - _PROBLEMS} more errors")
    return "\n".join(["**What failed**", "", *lines, *(["", " and ".join(counted)] if counted else [])]) + "\n"


def _problem(diagnostic: Diagnostic) -> str:
    kind = "test " if diagnostic.level == "test" else ""
    text = f"{kind}{escaped(diagnostic.message, _LONGEST_LINE)}"
    if diagnostic.path is None:
        return text
    place = f"{diagnostic.path[-_LONGEST_LINE:]}:{diagnostic.line or 1}"
    return f"{text} at {_code(place, _LONGEST_LINE)}"


def _slowest(units: Iterable[UnitRow]) -> str:
    spent: dict[tuple[str, str], list[float]] = {}
    for unit in units:
        if not unit.fresh and unit.duration_seconds is not None:
            spent.setdefault((unit.package, unit.version), []).append(unit.duration_seconds)
    if not spent:
        return ""
    slowest = sorted(spent.items(), key=lambda item: (-sum(item[1]), item[0]))[:_CRATES]
    rows = [
        (_code(name), escaped(version), format_duration(sum(seconds)), str(len(seconds)))
        for (name, version), seconds in slowest
    ]
    table = _table(("crate", "version", "compile time", "units"), rows, right=(2, 3))
    return "\n".join(["<details><summary>Slowest crates</summary>", "", *table, "", "</details>"]) + "\n"


def _notes(facts: RunFacts) -> str:
    notes = list(dict.fromkeys(facts.notes))
    lines = [f"- {escaped(note, _LONGEST_LINE)}" for note in notes[:_NOTES]]
    return "\n".join(lines) + "\n" if lines else ""


def _code(text: str, longest: int = _LONGEST_WORD) -> str:
    return f"<code>{escaped(text, longest)}</code>"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Yield a table without the columns in which no row says anything."""
    kept = [n for n in range(len(names)) if not rows or any(row[n] for row in rows)]
    yield f"| {' | '.join(names[n] for n in kept)} |"
    yield f"| {' | '.join('--:' if n in right else ':--' for n in kept)} |"
    for row in rows:
        yield f"| {' | '.join(row[n] for n in kept)} |"
