"""From events to rows of the record. A record that cannot be written never fails a run."""

from __future__ import annotations

from buildopt.cargo.model import Toolchain
from buildopt.host import Host
from buildopt.pipeline.events import (
    CacheUse,
    Event,
    Note,
    RunFinished,
    RunStarted,
    StageFinished,
    StepFinished,
    StepStarted,
    TimedTests,
    Units,
)
from buildopt.record import CacheRow, Record, RunRow, StageRow, StepRow, UnitRow, host_class

__all__ = ["Recording"]


class Recording:
    """Writes what a run tells into a record."""

    def __init__(self, record: Record, toolchain: Toolchain, fingerprint: str, host: Host) -> None:
        self._record = record
        self._toolchain = toolchain
        self._fingerprint = fingerprint
        self._host = host
        self._argv: dict[tuple[str, str], tuple[str, ...]] = {}
        self._cpu_seconds = 0.0
        self._lock_wait = False
        self._head: str | None = None
        self._dirty: bool | None = None
        self._cached = False
        self._busy: float | None = None
        self._began = 0.0

    def at_commit(self, head: str | None, *, dirty: bool | None) -> None:
        """Say which commit is checked out, and whether the work tree differs from it; None for what is not known."""
        self._head, self._dirty = head, dirty

    def consume(self, event: Event) -> None:
        """Take one event; the run is written as a whole when it has finished."""
        match event:
            case RunStarted():
                self._busy, self._began = self._host.busy_seconds(), self._host.monotonic()
                self._record.begin_run(self._run(event))
            case StepStarted():
                self._argv.setdefault((event.stage, event.step), event.argv)
            case Units():
                self._record.add_units(event.stage, event.step, (UnitRow(*unit) for unit in event.units))
            case TimedTests():
                self._record.add_tests(event.tests)
            case StepFinished():
                argv = self._argv.get((event.stage, event.step), ())
                self._record.add_step(StepRow(event.stage, event.step, argv, *event[2:]))
            case StageFinished():
                self._cpu_seconds += event.cpu_seconds
                self._lock_wait = self._lock_wait or event.lock_wait
                self._cached = self._cached or event.cache is not None
                self._record.add_stage(_stage(event))
            case Note():
                self._record.add_note(event.text)
            case RunFinished():
                polluted = "waited for a lock" if self._lock_wait else None
                self._record.finish_run(
                    event.result,
                    wall_seconds=event.wall_seconds,
                    cpu_seconds=self._cpu_seconds,
                    polluted=polluted,
                    external_share=self._external_share(event.wall_seconds),
                )
            case _:
                pass

    def _external_share(self, wall_seconds: float) -> float | None:
        """Return what other processes had of the processors; None where a cache server worked too, and for a run told later."""
        after, elapsed = self._host.busy_seconds(), self._host.monotonic() - self._began
        if self._busy is None or after is None or self._cached or elapsed <= 0 or elapsed < 0.9 * wall_seconds:
            return None
        others = after - self._busy - self._cpu_seconds
        return min(1.0, max(0.0, others / (self._host.cores * elapsed)))

    def _run(self, event: RunStarted) -> RunRow:
        return RunRow(
            id=event.id,
            verb=event.command,
            started_at=event.started_at,
            cargo=self._toolchain.cargo,
            rustc=self._toolchain.rustc,
            profile_fingerprint=self._fingerprint,
            git_sha=self._head,
            dirty=self._dirty,
            host_class=host_class(self._host),
            cores=self._host.cores,
            ci=self._host.in_ci,
        )


def _stage(event: StageFinished) -> StageRow:
    return StageRow(
        name=event.stage,
        result=event.result,
        wall_seconds=event.wall_seconds,
        cpu_seconds=event.cpu_seconds,
        peak_bytes=event.peak_bytes,
        packages=event.packages,
        fresh=event.fresh,
        rebuilt=event.rebuilt,
        budget_seconds=event.budget_seconds,
        timeout_seconds=event.timeout_seconds,
        lock_wait=event.lock_wait,
        detail=event.detail,
        cache=_cache(event.cache),
    )


def _cache(use: CacheUse | None) -> CacheRow | None:
    return None if use is None else CacheRow(*use)
