"""The record of a run says what other processes had of the processors meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildopt.cargo.model import Toolchain
from buildopt.pipeline.events import CacheUse, RunFinished, RunStarted, StageFinished
from buildopt.pipeline.recording import Recording
from buildopt.record import Record
from buildopt.testing import ScriptedHost


class Machine(ScriptedHost):
    """A machine with four processors, of which a test says how long they were busy."""

    busy: float | None = 1000.0

    @property
    def cores(self) -> int:
        return 4

    def busy_seconds(self) -> float | None:
        return self.busy


@pytest.fixture
def machine() -> Machine:
    return Machine({})


@pytest.fixture
def record(machine: Machine, tmp_path: Path) -> Iterator[Record]:
    with Record.open(machine, tmp_path) as record:
        yield record


def run(machine: Machine, record: Record, *, busy: float | None, elapsed: float, cache: bool = False) -> float | None:
    """Record a run of 10 s that needs 8 s of CPU, while the processors are busy for `busy` seconds."""
    recording = Recording(record, Toolchain("1.95.0", "1.95.0", "x", nightly=False), "p", machine)
    recording.consume(RunStarted("run", "run core", machine.now()))
    machine.time += elapsed
    machine.busy = None if busy is None or machine.busy is None else machine.busy + busy
    use = CacheUse(1, 1, 0, {}, "local") if cache else None
    recording.consume(StageFinished("core", "success", 10.0, 8.0, 0, ("a",), 0, 1, None, None, False, use))
    recording.consume(RunFinished("run", "success", 10.0))
    return record.runs(1)[0].external_share


def test_what_others_had_is_what_the_build_had_not(machine: Machine, record: Record) -> None:
    assert run(machine, record, busy=28.0, elapsed=10.0) == pytest.approx(0.5)


@pytest.mark.parametrize(("busy", "share"), [(8.0, 0.0), (7.5, 0.0), (400.0, 1.0)])
def test_a_share_is_never_below_nothing_or_above_all(
    machine: Machine, record: Record, busy: float, share: float
) -> None:
    assert run(machine, record, busy=busy, elapsed=10.0) == share


def test_nobody_can_say_without_the_system_beside_a_cache_server_or_afterwards(
    machine: Machine, record: Record
) -> None:
    assert run(machine, record, busy=28.0, elapsed=10.0, cache=True) is None
    assert run(machine, record, busy=28.0, elapsed=0.1) is None, "a watch tells of a run when it is over"
    assert run(machine, record, busy=None, elapsed=10.0) is None
