"""What a gate found, as text for people and as JSON for scripts. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from buildopt.measure.gate import Answer, Kind
from buildopt.report.gate_view import Change, GateLine, GateView
from buildopt.report.layout import advice, columns, paint, visible, wrapped
from buildopt.units import format_duration, format_size

__all__ = ["as_json", "as_text", "closing_line", "explained", "verdict_words"]

_WORST_FIRST = ("critical", "warning", "none")


def as_text(view: GateView, width: int = 100, *, color: bool = False) -> str:
    """Return the lines of the gate, what fails first, each with what explains it, and one closing line."""
    lines = _ordered(view)
    rows = [(verdict_words(line.answer), line.subject, line.answer.words) for line in lines]
    styles = [_style(view, line) for line in lines]
    table = columns(rows, width=max(width, 200), styles=styles, color=color)
    text: list[str] = []
    for line, cells in zip(lines, table, strict=True):
        text.append(cells)
        for told in explained(line):
            text += wrapped(told, width, first="      ", rest="      ")
    for scenario, message in view.broken:
        text += wrapped(f"{scenario} cannot be measured: {message}", width)
    text += [paint(visible(closing_line(view)), "red" if view.failed else "bold", color)]
    for hint in _hints(view):
        text += advice(hint, width)
    return "".join(f"{line}\n" for line in text)


def closing_line(view: GateView) -> str:
    """Return how the gate ended, as `the gate fails: 1 regression; 5 ok, 2 with too few runs; 12 builds in 2m05s`."""
    failures = view.failures
    parts = []
    for words, found in (
        ("regression{s}", [line for line in failures if line.answer.verdict == "regression"]),
        ("over budget", [line for line in failures if line.answer.verdict == "over"]),
    ):
        if found:
            parts.append(f"{len(found)} {words.format(s='' if len(found) == 1 else 's')}")
    if view.broken:
        parts.append(f"{len(view.broken)} that cannot be built")
    rest = []
    if view.warnings:
        rest.append(f"{len(view.warnings)} warning{'' if len(view.warnings) == 1 else 's'}")
    for verdict, words in (("ok", "ok"), ("improved", "improved"), ("too few runs", "with too few runs")):
        count = sum(line.answer.verdict == verdict and line.accepted is None for line in view.lines)
        if count:
            rest.append(f"{count} {words}")
    accepted = sum(line.accepted is not None for line in view.lines)
    if accepted:
        rest.append(f"{accepted} new baseline{'' if accepted == 1 else 's'}")
    head = f"the gate fails: {', '.join(parts)}" if view.failed else "the gate passes"
    cost = f"{view.builds} builds measured in {format_duration(view.seconds)}" if view.builds else ""
    body = ", ".join(rest) or "nothing was held"
    return "; ".join(filter(None, (head if view.failed else f"{head}: {body}", body if view.failed else "", cost)))


def verdict_words(answer: Answer) -> str:
    """Return the verdict as a table shows it, with its level where it is not what one would think."""
    if answer.verdict.startswith("over,"):
        return "over, not confirmed"
    if answer.verdict in ("over", "regression") and not answer.confirmed:
        return f"{answer.verdict}, not confirmed"
    return f"{answer.verdict}, critical" if answer.verdict == "over" and answer.level == "critical" else answer.verdict


def explained(line: GateLine) -> Iterator[str]:
    """Yield what explains a line: when its level changed, which crates cost more, why it is the new baseline."""
    if line.change is not None:
        yield _changed(line.change, line.kind)
    if line.crates:
        yield "crates that cost more: " + ", ".join(
            f"{crate.package} (new, {format_duration(crate.seconds)})"
            if crate.before_seconds is None
            else f"{crate.package} +{format_duration(crate.seconds - crate.before_seconds)}"
            f" ({format_duration(crate.before_seconds)} → {format_duration(crate.seconds)})"
            for crate in line.crates
        )
    if line.accepted is not None:
        yield f"the new baseline from here on: {line.accepted}"


def as_json(view: GateView) -> dict[str, Any]:
    """Return the one document that `buildopt gate --json` prints; its keys are a contract."""
    failures = view.failures
    return {
        "version": 1,
        "gate": "failed" if view.failed else "passed",
        "exit_code": int(view.failed),
        "verdicts": [_line(line, failed=line in failures) for line in _ordered(view)],
        "broken": [{"scenario": scenario, "message": message} for scenario, message in view.broken],
        "builds": view.builds,
        "seconds": view.seconds,
        "experiment": view.experiment,
        "notes": list(view.notes),
    }


def _line(line: GateLine, *, failed: bool) -> dict[str, Any]:
    return {
        "subject": line.subject,
        "against": line.against,
        "metric": line.kind,
        **line.answer._asdict(),
        "fails": failed,
        "crates": [crate._asdict() for crate in line.crates],
        "change": line.change._asdict() if line.change else None,
        "accepted": line.accepted,
    }


def _ordered(view: GateView) -> list[GateLine]:
    """Return the lines, what fails first, then what warns; otherwise as they were held."""
    failures = view.failures
    return sorted(view.lines, key=lambda line: (line not in failures, _WORST_FIRST.index(line.answer.level)))


def _style(view: GateView, line: GateLine) -> str | None:
    if line in view.failures:
        return "red"
    if line.answer.level != "none":
        return "yellow"
    return {"ok": "green", "improved": "green"}.get(line.answer.verdict, "dim")


def _changed(change: Change, kind: Kind) -> str:
    day = _day(change.started_at)
    commit = f", commit {visible(change.git_sha)[:12]}" if change.git_sha else ""
    levels = f"{_amount(change.before, kind)} before, {_amount(change.after, kind)} since"
    return f"it changed {change.runs} run{'' if change.runs == 1 else 's'} ago ({day}{commit}): {levels}"


def _day(started_at: float) -> str:
    """Return a day in UTC; the clock of a machine may say anything."""
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(started_at))
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"


def _amount(value: float, kind: Kind) -> str:
    if kind == "size":
        return format_size(round(value))
    return f"{value:g}" if kind == "count" else format_duration(value)


def _hints(view: GateView) -> Iterator[str]:
    failures = view.failures
    if any(line.against == "history" for line in failures):
        yield 'if it is worth its price: buildopt gate --accept "why"; what takes long: buildopt report --slow'
    if any(line.against == "budget" for line in failures):
        yield "a budget stands in [budgets] or in its stage; buildopt explain budgets shows where it comes from"
    if any("seen once" in line.answer.words for line in view.warnings) and not view.builds:
        yield "without --no-measure it is measured again, and then it is certain"
    if not view.builds and any(line.answer.value is None for line in view.lines):
        yield "scenarios are measured by buildopt gate and buildopt bench, stages by buildopt run"
