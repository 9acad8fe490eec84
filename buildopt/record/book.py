"""The record of runs: what was run, what it cost, what was rebuilt and why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from buildopt.host import Host
from buildopt.record import experiments, statements, times
from buildopt.record.rows import (
    BaselineRow,
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

if TYPE_CHECKING:
    from buildopt.record.database import Database

__all__ = ["Record", "host_class", "new_run_id"]

T = TypeVar("T")

_FILE = "record.sqlite"


class Record:
    """The runs of one workspace, in `.buildopt/record.sqlite`.

    A run is kept in memory and written in one transaction by `finish_run`, so no reader ever sees half of it. No
    method raises for a file that is damaged, newer, not writable or on a full disk: `note` then says what happened.
    """

    def __init__(self, host: Host, state: Path) -> None:
        self._host = host
        self._path = state / _FILE
        self._opened: Database | None = None
        self._run: RunRow | None = None
        self._stages: list[StageRow] = []
        self._steps: list[StepRow] = []
        self._units: list[UnitRow] = []
        self._notes: list[str] = []
        self._tests: list[tuple[str, str, float]] = []

    @classmethod
    def open(cls, host: Host, state: Path) -> Self:
        """Return the record in the folder `state`; a file that is not there is created by the first write."""
        record = cls(host, state)
        if record._path.exists():
            record._database().read(lambda _connection: None, None)
        return record

    @property
    def note(self) -> str | None:
        """What went wrong with the file so far, in one line for a person; `finish_run` may add to it."""
        return self._opened.note if self._opened else None

    def begin_run(self, run: RunRow) -> None:
        """Begin a run; what an unfinished one before it had gathered is dropped."""
        self._run = run
        for gathered in (self._stages, self._steps, self._units, self._notes, self._tests):
            gathered.clear()

    def add_stage(self, stage: StageRow) -> None:
        """Add a stage that has ended."""
        self._stages.append(stage)

    def add_step(self, step: StepRow) -> None:
        """Add a step that has ended."""
        self._steps.append(step)

    def add_units(self, stage: str, step: str, units: Iterable[UnitRow]) -> None:
        """Add the units of a step."""
        self._units.extend(unit._replace(stage=stage, step=step) for unit in units)

    def add_tests(self, tests: Iterable[tuple[str, str, float]]) -> None:
        """Add tests that passed: binary id, name, wall seconds of each."""
        self._tests.extend(tests)

    def add_note(self, text: str) -> None:
        """Add one line that the run said to the person."""
        self._notes.append(text)

    def finish_run(
        self,
        result: str,
        *,
        wall_seconds: float,
        cpu_seconds: float | None = None,
        polluted: str | None = None,
        external_share: float | None = None,
    ) -> bool:
        """Write the run that `begin_run` began; return whether it is in the record.

        `polluted` says why its figures must not be compared with others.
        """
        if self._run is None:
            return False
        run = self._run._replace(
            result=result,
            wall_seconds=wall_seconds,
            cpu_seconds=cpu_seconds,
            polluted=polluted,
            external_share=external_share,
        )
        written = statements.Written(run, self._stages, self._steps, self._units, self._notes)
        timed = self._times(run)
        self._run = None

        def write(connection: Any) -> int:
            times.insert(connection, timed)
            return statements.insert(connection, written)

        return self._write(write, 0) > 0

    def add_times(self, rows: Sequence[TimeRow]) -> int:
        """Write samples that come from elsewhere, and return how many were taken; those known already change nothing."""

        def write(connection: Any) -> int:
            taken = times.insert(connection, rows)
            times.forget(connection)
            return taken

        return self._write(write, 0)

    def add_cycle(self, cycle: CycleRow) -> None:
        """Write one cycle of a watch, at once and whole."""
        self._write(lambda connection: statements.insert_cycle(connection, cycle), 0)

    def begin_experiment(self, experiment: ExperimentRow) -> bool:
        """Write an experiment that begins; return whether it is in the record."""
        return self._write(lambda connection: experiments.insert(connection, experiment), 0) > 0

    def add_measurement(self, measurement: MeasurementRow) -> bool:
        """Write one measurement of an experiment, at once; return whether it is in the record."""
        return self._write(lambda connection: experiments.insert_measurement(connection, measurement), 0) > 0

    def finish_experiment(self, experiment: str, document: str) -> bool:
        """Write what the experiment with the id `experiment` found, as JSON; return whether it is in the record."""
        return self._write(lambda connection: experiments.finish(connection, experiment, document), 0) > 0

    def accept_baseline(self, baseline: BaselineRow) -> bool:
        """Write that all that is known of a subject until now is no longer compared with; return whether it was."""
        return self._write(lambda connection: experiments.insert_baseline(connection, baseline), 0) > 0

    def prune(self, keep: int) -> int:
        """Keep the last `keep` runs and experiments and ten times as many cycles; return how many runs were removed."""

        def write(connection: Any) -> int:
            times.forget(connection)
            experiments.prune(connection, keep)
            return statements.prune(connection, keep)

        return self._write(write, 0)

    def runs(self, limit: int = 10) -> tuple[RunRow, ...]:
        """Return the last runs, newest first."""
        return self._read(lambda connection: statements.runs(connection, limit))

    def stages(self, run: str) -> tuple[StageRow, ...]:
        """Return the stages of the run with the id `run`, in order."""
        return self._read(lambda connection: statements.stages(connection, run))

    def steps(self, run: str) -> tuple[StepRow, ...]:
        """Return the steps of the run with the id `run`, in order."""
        return self._read(lambda connection: statements.steps(connection, run))

    def units(self, run: str) -> tuple[UnitRow, ...]:
        """Return the units of the run with the id `run`; of older runs only the rebuilt ones are kept."""
        return self._read(lambda connection: statements.units(connection, run))

    def notes(self, run: str) -> tuple[str, ...]:
        """Return what the run with the id `run` said, in order."""
        return self._read(lambda connection: statements.notes(connection, run))

    def last_stage(self, stage: str) -> tuple[RunRow, StageRow] | None:
        """Return the last time that `stage` was run and not skipped, with its run; None when it never was."""
        return next(iter(self._read(lambda connection: statements.last_stage(connection, stage))), None)

    def has_passed(self, stage: str) -> bool:
        """Return whether `stage` has succeeded in any run that is kept."""
        return bool(self._read(lambda connection: statements.has_passed(connection, stage)))

    def cycles(self, since: float) -> tuple[CycleRow, ...]:
        """Return the cycles of watches that began at `since` (seconds since the epoch) or later, newest first."""
        return self._read(lambda connection: statements.cycles(connection, since))

    def last_cycle(self) -> CycleRow | None:
        """Return the cycle of a watch that began last; None when there is none."""
        return next(iter(self._read(statements.last_cycle)), None)

    def open_experiment(self, kind: str, key: str) -> ExperimentRow | None:
        """Return the last experiment of this kind and key, unless it is done."""
        found = self._read(lambda connection: experiments.last(connection, kind, key))
        return found[0] if found and found[0].state == "open" else None

    def experiments(self, kind: str, limit: int = 10) -> tuple[ExperimentRow, ...]:
        """Return the last experiments of this kind, newest first."""
        return self._read(lambda connection: experiments.latest(connection, kind, limit))

    def measurements(self, experiment: str) -> tuple[MeasurementRow, ...]:
        """Return the measurements of the experiment with the id `experiment`, in order."""
        return self._read(lambda connection: experiments.measurements(connection, experiment))

    def scenario_history(
        self, scenario: str, *, host_class: str, rustc: str, arm: str = "current", last: int = 60, after: int = 0
    ) -> tuple[MeasurementRow, ...]:
        """Return the `last` successes of a scenario on machines of this class with this compiler, oldest first.

        `after` is the `after_measurement` of a baseline: what is older is left out. The order is that of writing, not
        that of clocks.
        """
        sought = (scenario, arm, host_class, rustc, after)
        return self._read(lambda connection: experiments.history(connection, sought, last))

    def stage_history(
        self, stage: str, *, like: RunRow, last: int = 60, after: int = 0
    ) -> tuple[tuple[RunRow, StageRow], ...]:
        """Return the `last` successes of a stage in runs comparable to `like`, oldest first.

        Comparable: same profile, Cargo, compiler, class of machine and CI state. `after` is the `after_run` of a
        baseline. Polluted runs are there too, and say so.
        """
        return self._read(lambda connection: experiments.stage_history(connection, stage, like, last, after))

    def baselines(self, host_class: str) -> tuple[BaselineRow, ...]:
        """Return the last accepted baseline of each subject on machines of this class, by subject."""
        return self._read(lambda connection: experiments.baselines(connection, host_class))

    def slowest(self, limit: int = 10, *, last: int = 20) -> tuple[CrateCost, ...]:
        """Return the packages that cost most when rebuilt, over the `last` runs that rebuilt anything."""
        return self._read(lambda connection: statements.slowest(connection, limit, last))

    def usual_seconds(self, stage: str, like: RunRow | None = None, *, last: int = 10) -> float | None:
        """Return the median wall time of the last successes of `stage`; None when there is none.

        Runs that waited for a lock or are polluted do not count; with `like`, only runs comparable to it do.
        """
        found = self._read(lambda connection: statements.usual_seconds(connection, stage, like, last))
        return statements.median(found)

    def times(self) -> tuple[TimeRow, ...]:
        """Return what is known of how long tests and stages took, sorted."""
        return self._read(times.select)

    def stage_times(self, stages: Sequence[str], host_class: str, *, last: int) -> tuple[tuple[int, float], ...]:
        """Return milliseconds and seconds of the `last` successes of any of `stages` on machines of `host_class`."""
        return self._read(lambda connection: times.stage_times(connection, stages, host_class, last))

    def health(self) -> Health:
        """Return the state of the file, after reading it."""
        known = sum(self._read(statements.count))
        exists = self._path.exists()
        names = self._host.files.names(self._path.parent)
        return Health(
            path=str(self._path),
            exists=exists,
            usable=self._opened is None or self._opened.usable,
            writable=self._opened is None or self._opened.writable,
            runs=known,
            size_bytes=sum(_size(self._path.with_name(_FILE + suffix)) for suffix in ("", "-wal", "-shm")),
            note=self.note,
            set_aside=tuple(
                name for name in names if name.startswith(f"{_FILE}.damaged-") and not name.endswith(("-wal", "-shm"))
            ),
        )

    def close(self) -> None:
        """Release the file."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _times(self, run: RunRow) -> list[TimeRow]:
        """Return the samples of a run: its tests, and its stages that passed and that nothing held up."""
        if run.host_class is None or not 0 <= run.started_at < 2**40:
            return []
        stages = [
            ("", stage.name, stage.wall_seconds)
            for stage in self._stages
            if stage.result == "success" and not stage.lock_wait and stage.wall_seconds is not None
        ]
        at = int(run.started_at * 1000)
        return [TimeRow(run.host_class, binary, name, at, took) for binary, name, took in (*stages, *self._tests)]

    def _read(self, query: Callable[[Any], tuple[T, ...]]) -> tuple[T, ...]:
        return self._database().read(query, ()) if self._path.exists() else ()

    def _write(self, change: Callable[[Any], int], otherwise: int) -> int:
        return self._database().write(change, otherwise)

    def _database(self) -> Database:
        if self._opened is None:
            from buildopt.record.database import Database  # noqa: PLC0415 - sqlite3 costs 5 ms

            self._opened = Database(self._host, self._path)
        return self._opened


def new_run_id(now: float) -> str:
    """Return an id that is unique and sorts by time, as `20260822T101500123Z-1a2b3c4d`."""
    milliseconds = int(now * 1000)
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(milliseconds // 1000))
    return f"{moment}{milliseconds % 1000:03d}Z-{os.urandom(4).hex()}"


def host_class(host: Host) -> str:
    """Return a short text that is equal for machines whose figures may be compared, as `linux-8c-32g`."""
    memory = host.memory_bytes
    size = "" if memory is None else f"-{max(1, round(memory / 2**30))}g"
    return f"{host.system}-{host.cores}c{size}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
