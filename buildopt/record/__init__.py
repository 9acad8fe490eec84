"""The record of runs in SQLite: what was run, what it cost, what was rebuilt and why."""

from __future__ import annotations

from buildopt.record.book import Record, host_class, new_run_id
from buildopt.record.rows import (
    BaselineRow,
    CacheRow,
    CrateCost,
    CycleRow,
    ExperimentRow,
    Health,
    MeasurementRow,
    RunRow,
    StageRow,
    StepRow,
    TimeRow,
    UnitRow,
)

__all__ = [
    "BaselineRow",
    "CacheRow",
    "CrateCost",
    "CycleRow",
    "ExperimentRow",
    "Health",
    "MeasurementRow",
    "Record",
    "RunRow",
    "StageRow",
    "StepRow",
    "TimeRow",
    "UnitRow",
    "host_class",
    "new_run_id",
]
