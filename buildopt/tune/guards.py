"""What a faster build must not break: the tests, the sizes, the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.measured import Sizes
from buildopt.bench.results import Comparison
from buildopt.bench.sampling import Laboratory
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.profile.model import Budgets
from buildopt.tune.trials import TEST
from buildopt.units import format_duration, format_size

__all__ = ["Guarded", "guard", "over_budget"]

_BUILD = Scenario("no-change", "build")


class Guarded(NamedTuple):
    """What the guards say of all that was chosen."""

    broken: tuple[str, ...]
    """One line each: what adopting it would break."""
    notes: tuple[str, ...]
    today: Sizes | None
    chosen: Sizes | None
    test_seconds: float | None
    """Wall time of the tests with what was chosen."""


def guard(
    lab: Laboratory,
    arms: tuple[Arm, Arm],
    whole: Sequence[Comparison],
    budgets: Budgets,
    *,
    tests_today: str | None,
) -> Guarded:
    """Build both of `arms`, today's and the chosen one, and test that one; what fails today already is no fault of it.

    `tests_today` is why the tests fail with today's settings, None where they pass.
    """
    today, chosen = arms
    sizes = [_sizes(lab, arm) for arm in (today, chosen)]
    broken = [*over_budget(whole, sizes[0], sizes[1], budgets)]
    notes: list[str] = []
    seconds = None
    if tests_today is None:
        why, seconds = _tests(lab, chosen)
        if why is not None:
            broken.append(f"the tests pass with today's settings, and not with these: {why}")
    else:
        notes.append(f"the tests fail with today's settings too, and guard nothing: {tests_today}")
    for arm in (today, chosen):
        lab.forget(arm)
    return Guarded(tuple(broken), tuple(notes), sizes[0], sizes[1], seconds)


def over_budget(
    whole: Sequence[Comparison], today: Sizes | None, chosen: Sizes | None, budgets: Budgets
) -> tuple[str, ...]:
    """Return the budgets that are kept today and would not be with what was chosen. Pure."""
    broken = []
    times = {"clean": budgets.clean_build, "leaf": budgets.incremental_build, "hub": budgets.incremental_build}
    for each in whole:
        budget = budgets.scenarios.get(each.scenario, times.get(each.scenario.partition("/")[0]))
        if budget is not None and each.metric == "wall" and each.baseline_seconds <= budget < each.candidate_seconds:
            broken.append(
                f"{each.scenario} would take {format_duration(each.candidate_seconds)}, over its budget of {format_duration(budget)}"
            )
    if today is None or chosen is None:
        return tuple(broken)
    size = budgets.target_size
    if size is not None and today.target_bytes <= size < chosen.target_bytes:
        broken.append(f"the target directory would be {format_size(chosen.target_bytes)}, over {format_size(size)}")
    for pattern, most in budgets.artifacts.items():
        for path, now in chosen.artifacts.items():
            if fnmatchcase(path, pattern) and now > most and today.artifacts.get(path, 0) <= most:
                broken.append(f"{path} would be {format_size(now)}, over {format_size(most)}")
    return tuple(broken)


def _sizes(lab: Laboratory, arm: Arm) -> Sizes | None:
    try:
        lab.prepare(arm, _BUILD)
        return lab.sizes(arm)
    except ArmFailed:
        return None


def _tests(lab: Laboratory, arm: Arm) -> tuple[str | None, float | None]:
    """Return why the tests fail, or None, and how long they took; tests that fail once and then pass are flaky, and pass."""
    why = None
    for _ in range(2):
        try:
            lab.prepare(arm, TEST)
            found = lab.sample(arm, TEST)
        except ArmFailed as error:
            why = error.message
            continue
        if found.result == "success":
            return None, found.test_seconds
        why = "a test failed"
    return why, None
