"""What the report shows, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildopt.measure import BudgetVerdict
from buildopt.record import CacheRow, CrateCost, RunRow, StageRow, UnitRow
from buildopt.report.reasons import RebuildGroup
from buildopt.report.watching import WatchDay

__all__ = ["RunsView", "StageStanding"]


class StageStanding(NamedTuple):
    """A stage as it stands against its budget."""

    name: str
    last_result: str | None
    """None for a stage of the profile that was never run."""
    last_seconds: float | None
    usual_seconds: float | None
    """Median of the last successes that can be compared with the last run."""
    budget_seconds: float | None
    last: BudgetVerdict
    """The last run against the budget; `unknown` for one that did not pass."""
    usual: BudgetVerdict


class RunsView(NamedTuple):
    """What the record tells about the last runs."""

    now: float
    """When it was looked at, in seconds since the epoch."""
    runs: tuple[RunRow, ...]
    """Newest first."""
    stages: Mapping[str, tuple[StageRow, ...]]
    """By run id."""
    standings: tuple[StageStanding, ...]
    slowest: tuple[CrateCost, ...]
    units: tuple[UnitRow, ...]
    """Of the newest run that built anything."""
    units_run: str | None
    """Id of that run."""
    rebuilt: tuple[RebuildGroup, ...]
    cache: CacheRow | None
    """Sum over the stages of that run."""
    notes: tuple[str, ...]
    """What the newest run said."""
    watch: WatchDay | None
    """Today, or the latest day on which anybody watched."""
    record_note: str | None
    """What is wrong with the record file."""
