"""The one closing line of a stage, and of a run of several stages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from buildopt.measure import judge, plain_duration
from buildopt.pipeline.events import StageFinished
from buildopt.report.layout import visible
from buildopt.units import format_duration

__all__ = ["cache_text", "closing_line", "run_line"]


def closing_line(
    ended: StageFinished, *, total_packages: int | None = None, next_stage: str | None = None, via_nox: bool = False
) -> str:
    """Return how a stage ended, in one line for a person.

    As `quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; budget 5s kept. Next: nox -s core`.
    `total_packages` counts the workspace; `next_stage` is what a person would run after a success.
    """
    match ended.result:
        case "skipped":
            return _because(f"{ended.stage} skipped", ended.detail)
        case "cancelled":
            return _because(f"{ended.stage} cancelled after {format_duration(ended.wall_seconds)}", ended.detail)
        case "timeout":
            return _timed_out(ended)
        case "failure":
            start = _because(f"{ended.stage} failed after {_times(ended)}", ended.detail)
            return _join(start, [_coverage(ended, total_packages), _held_up(ended)])
        case "success":
            cache = f"cache {text}" if (text := cache_text(ended)) else ""
            what = "; ".join(filter(None, (_coverage(ended, total_packages), cache, _budget(ended))))
            line = f"{ended.stage} passed in {_times(ended)}: {what}"
            return f"{line}. Next: {_command(next_stage, via_nox)}" if next_stage else line
        case _:
            assert_never(ended.result)


def run_line(stages: Sequence[StageFinished], wall_seconds: float) -> str:
    """Return how a run of several stages ended: `core failed, quick-check passed, full not run; 41.0s in all`.

    The stages that did not pass come first: they are what a person looks for.
    """
    if not stages:
        return "nothing was run"
    words = {"success": "passed", "failure": "failed", "timeout": "timed out"}
    parts = []
    for result in ("failure", "timeout", "cancelled", "success", "skipped"):
        names = [stage.stage for stage in stages if stage.result == result]
        if names:
            parts.append(f"{_listed(names)} {words.get(result, result)}")
    return f"{', '.join(parts)}; {format_duration(wall_seconds)} in all"


def _timed_out(ended: StageFinished) -> str:
    limit = "" if ended.timeout_seconds is None else f" of {plain_duration(ended.timeout_seconds)}"
    line = f"{ended.stage} ran past its timeout{limit} and was stopped, with every process it had started"
    held_up = _held_up(ended)
    advice = f"{held_up}: run it again" if held_up else f"if it needs more, raise the timeout of {ended.stage}"
    return f"{line}; {advice}"


def _times(ended: StageFinished) -> str:
    return f"{format_duration(ended.wall_seconds)} ({format_duration(ended.cpu_seconds)} CPU)"


def _coverage(ended: StageFinished, total_packages: int | None) -> str:
    count = len(ended.packages)
    if total_packages is None:
        packages = f"{count} package{'' if count == 1 else 's'}"
    elif count == total_packages:
        packages = "the 1 package" if count == 1 else f"all {count} packages"
    else:
        packages = f"{count} of {total_packages} packages"
    if ended.fresh + ended.rebuilt == 0:
        return packages
    rebuilt = f"{ended.rebuilt} rebuilt" if ended.rebuilt else "nothing rebuilt"
    return f"{packages}, {rebuilt}, {ended.fresh} fresh"


def cache_text(ended: StageFinished) -> str:
    """Return what the compiler cache did for a stage, as `8 of 12 hits and 1 error`; empty when it did nothing."""
    cache = ended.cache
    if cache is None or cache.hits + cache.misses + cache.errors == 0:
        return ""
    errors = f" and {cache.errors} error{'' if cache.errors == 1 else 's'}" if cache.errors else ""
    return f"{cache.hits} of {cache.hits + cache.misses} hits{errors}"


def _budget(ended: StageFinished) -> str:
    if ended.budget_seconds is None:
        return _held_up(ended)
    stand = judge(ended.wall_seconds, ended.budget_seconds, doubt=_held_up(ended) or None)
    budget = f"budget {plain_duration(ended.budget_seconds)}"
    match stand.verdict:
        case "ok":
            return f"{budget} kept"
        case "over":
            return f"over {budget} by {format_duration(ended.wall_seconds - ended.budget_seconds)}"
        case "unknown":
            return f"over {budget}, but it {_held_up(ended)}"
        case _:
            assert_never(stand.verdict)


def _held_up(ended: StageFinished) -> str:
    return "waited for a lock that another cargo held" if ended.lock_wait else ""


def _because(line: str, detail: str | None) -> str:
    return f"{line}: {visible(detail)}" if detail else line


def _join(line: str, parts: Sequence[str]) -> str:
    return "; ".join([line, *filter(None, parts)])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _command(stage: str, via_nox: bool) -> str:
    return f"nox -s {stage}" if via_nox else f"buildopt run {stage}"
