from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from buildopt.host import Host
from buildopt.record import Record, RunRow, StageRow, UnitRow

START = 1_750_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".buildopt"


@pytest.fixture
def write_run(host: Host, state: Path) -> Callable[..., str]:
    """Write one run into the record, the n-th of the day, and return its id."""

    def write(
        number: int,
        *,
        stage: str = "quick-check",
        seconds: float = 4.0,
        result: str = "success",
        units: tuple[UnitRow, ...] = (),
        lock_wait: bool = False,
        polluted: str | None = None,
        **fields: object,
    ) -> str:
        run = RunRow(f"run-{number:05d}", f"run {stage}", START + number)._replace(**fields)
        with Record.open(host, state) as record:
            record.begin_run(run)
            fresh = sum(unit.fresh for unit in units)
            row = StageRow(
                stage, result, seconds, seconds, fresh=fresh, rebuilt=len(units) - fresh, lock_wait=lock_wait
            )
            record.add_stage(row)
            record.add_units(stage, "check", units)
            assert record.finish_run(result, wall_seconds=seconds, polluted=polluted), record.note
        return run.id

    return write
