"""The record of runs in SQLite: what was run, what it cost, what was rebuilt and why."""

from __future__ import annotations

from buildopt.record.book import Record, host_class, new_run_id
from buildopt.record.rows import CacheRow, CrateCost, CycleRow, Health, RunRow, StageRow, StepRow, TimeRow, UnitRow

__all__ = [
    "CacheRow",
    "CrateCost",
    "CycleRow",
    "Health",
    "Record",
    "RunRow",
    "StageRow",
    "StepRow",
    "TimeRow",
    "UnitRow",
    "host_class",
    "new_run_id",
]
