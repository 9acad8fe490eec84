"""The report as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from buildopt.measure import plain_duration
from buildopt.record import RunRow, StageRow
from buildopt.report import watching
from buildopt.report.layout import advice, columns, heading, visible, wrapped
from buildopt.report.reasons import advice_for
from buildopt.report.views import RunsView, StageStanding
from buildopt.units import format_duration

__all__ = ["as_text"]

_STYLES = {"success": None, "skipped": "dim", "failure": "red", "timeout": "red", "cancelled": "yellow"}
_WORDS = {"success": "passed", "failure": "failed", "timeout": "timed out", None: "never run"}

_WORTH_A_GATE_SECONDS = 1.0


def as_text(view: RunsView, width: int = 100, *, color: bool = False) -> str:
    """Return the report in lines of at most `width` characters, with colour only where `color` says so."""
    watch = watching.as_lines(view.watch, width, color) if view.watch else []
    if not view.runs:
        empty = "no run is recorded yet: buildopt dev-quick (or nox -s dev-quick) makes the first"
        said = [visible(view.record_note)] if view.record_note else []
        return "\n".join([*said, empty, *(["", *watch] if watch else [])]) + "\n"
    sections = [
        _runs(view, width, color),
        watch,
        _standings(view, width, color),
        _rebuilt(view, width, color),
        _slowest(view, width, color),
        _cache(view, width, color),
        _notes(view, width, color),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _runs(view: RunsView, width: int, color: bool) -> list[str]:
    rows = [
        (
            _age(view.now - run.started_at),
            _WORDS.get(run.result, run.result or "unknown"),
            _duration(run.wall_seconds),
            _units(view.stages[run.id]),
            run.verb + _remark(run),
        )
        for run in view.runs
    ]
    styles = [_STYLES.get(run.result or "") for run in view.runs]
    lines = [heading("Last runs", color), *columns(rows, right=(0, 2), width=width, styles=styles, color=color)]
    newest = view.runs[0]
    if newest.result in ("failure", "timeout"):
        stage = next((s for s in view.stages[newest.id] if s.result == newest.result), None)
        why = f" ({stage.detail})" if stage and stage.detail else ""
        lines += advice(f"the last run {_WORDS[newest.result]}{why}: buildopt {newest.verb} repeats it", width)
    return lines


def _standings(view: RunsView, width: int, color: bool) -> list[str]:
    if not view.standings:
        return []
    rows = [("stage", "last", "usual", "budget", "")]
    styles: list[str | None] = ["dim"]
    for standing in view.standings:
        budget = "-" if standing.budget_seconds is None else plain_duration(standing.budget_seconds)
        rows.append(
            (
                standing.name,
                _duration(standing.last_seconds),
                _duration(standing.usual_seconds),
                budget,
                _stand(standing),
            )
        )
        styles.append("red" if standing.last.verdict == "over" else None)
    lines = [heading("Stages against budgets", color)]
    lines += columns(rows, right=(1, 2, 3), width=width, styles=styles, color=color)
    return lines + _budget_advice(view.standings, width)


def _stand(standing: StageStanding) -> str:
    if standing.last_result != "success":
        return _WORDS.get(standing.last_result, str(standing.last_result))
    percent = f" ({standing.last.percent} %)" if standing.last.percent is not None else ""
    words = {"ok": f"kept{percent}", "over": f"over{percent}", "unknown": "no budget"}
    if standing.last.verdict == "unknown" and standing.budget_seconds is not None:
        return f"unknown: {standing.last.words}"
    return words[standing.last.verdict]


def _budget_advice(standings: Sequence[StageStanding], width: int) -> list[str]:
    usually = [standing.name for standing in standings if standing.usual.verdict == "over"]
    once = [s.name for s in standings if s.last.verdict == "over" and s.usual.verdict != "over"]
    unset = [s.name for s in standings if s.last_result == "success" and s.budget_seconds is None]
    if usually:
        return advice(f"{', '.join(usually)} is usually over: see below what is rebuilt and what it costs", width)
    if once:
        return advice(
            f"{', '.join(once)} was over this once, not usually: run it again before changing anything", width
        )
    if unset and len(unset) == len(standings):
        return advice(f'no stage has a budget: set one, as [stages.{unset[0]}] budget = "10s"', width)
    return []


def _rebuilt(view: RunsView, width: int, color: bool) -> list[str]:
    if view.units_run is None:
        return []
    stages = view.stages[view.units_run]
    fresh, rebuilt = sum(stage.fresh for stage in stages), sum(stage.rebuilt for stage in stages)
    title = heading("Rebuilt in the last run" if view.units_run == view.runs[0].id else "Rebuilt last", color)
    counts = f"  {rebuilt} units rebuilt, {fresh} fresh" if rebuilt else f"  nothing: all {fresh} units were fresh"
    rows = [
        (group.cause, f"{group.units}", _duration(group.seconds), _some(group.packages)) for group in view.rebuilt[:8]
    ]
    lines = [title, counts, *columns(rows, right=(1, 2), width=width)]
    if len(view.rebuilt) > 8:
        lines.append(f"  … and {len(view.rebuilt) - 8} more causes")
    what = advice_for(view.rebuilt)
    return lines + advice(what, width) if what else lines


def _slowest(view: RunsView, width: int, color: bool) -> list[str]:
    if not view.slowest:
        return []
    rows = [("package", "seconds", "frontend", "codegen", "rebuilt in")]
    for cost in view.slowest:
        times = "1 run" if cost.runs == 1 else f"{cost.runs} runs"
        rows.append(
            (
                " ".join((cost.package, *cost.versions)),
                _duration(cost.seconds),
                _duration(cost.frontend_seconds),
                _duration(cost.codegen_seconds),
                times,
            )
        )
    lines = [heading("Slowest packages, when they are rebuilt", color)]
    lines += columns(rows, right=(1, 2, 3), width=width, styles=["dim"], color=color)
    first = view.slowest[0]
    if first.seconds < _WORTH_A_GATE_SECONDS:
        return lines
    what = f"cargo tree --invert {first.package} shows who needs it; a gate in [features] keeps it out of quick stages"
    return lines + advice(what, width)


def _cache(view: RunsView, width: int, color: bool) -> list[str]:
    cache = view.cache
    if cache is None:
        return []
    asked = cache.hits + cache.misses
    rate = f" ({round(100 * cache.hits / asked)} %)" if asked else ""
    lines = [heading("Compiler cache in that run", color)]
    lines += wrapped(f"{cache.hits} of {asked} hits{rate}, {cache.location}", width)
    reasons = sorted(cache.not_cached.items(), key=lambda item: (-item[1], item[0]))[:5]
    lines += columns([(f"{count}", f"not cached: {reason}") for reason, count in reasons], right=(0,), width=width)
    if cache.errors:
        errors = "1 error" if cache.errors == 1 else f"{cache.errors} errors"
        lines += advice(f"{errors}: buildopt doctor checks the cache", width)
    return lines


def _notes(view: RunsView, width: int, color: bool) -> list[str]:
    texts = [*view.notes[:8], *([view.record_note] if view.record_note else [])]
    if not texts:
        return []
    lines = [heading("Said by the last run", color)]
    for text in texts:
        lines += wrapped(text, width, first="  - ", rest="    ")
    return lines


def _remark(run: RunRow) -> str:
    remarks = [run.polluted or "", "CI" if run.ci else ""]
    text = ", ".join(filter(None, remarks))
    return f"  ({text})" if text else ""


def _units(stages: Sequence[StageRow]) -> str:
    fresh, rebuilt = sum(stage.fresh for stage in stages), sum(stage.rebuilt for stage in stages)
    return f"{rebuilt} rebuilt, {fresh} fresh" if fresh + rebuilt else ""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(seconds)


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
