"""Apply a plan so that all of its edits land or none does, and take the last one back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import ChangedSince, MachineRefused, Problem
from buildopt.host import Host
from buildopt.host.files import inside
from buildopt.sync.journal import Change, Journal, Place, decode, encode, prepare
from buildopt.sync.model import Edit, Plan
from buildopt.sync.plan import target_of
from buildopt.sync.recovery import recover, settle

__all__ = ["Restored", "apply", "rollback"]

_NEW_FILE_MODE = 0o644


class Restored(NamedTuple):
    """What a rollback did."""

    paths: tuple[str, ...]
    """Files that are again as they were before the last sync; empty when there was nothing to undo."""
    remaining: int
    """How many earlier syncs can still be rolled back."""
    recovered: str | None = None
    """What had to be repaired before, in one line."""


def apply(host: Host, root: Path, state: Path, plan: Plan, *, verify: Callable[[], None]) -> str | None:
    """Write all edits of `plan`, or none: when `verify` raises, every byte is restored and the error goes on.

    Repairs first what a crash left, and returns the line that says so. A plan without edits touches nothing else.
    Raises ChangedSince when a file is not what the plan saw, UnsafePath when it has become a symlink, MachineRefused
    when the disk is full or a directory is not writable; in all three cases nothing has changed.
    """
    if not plan.edits:
        return recover(host, root, state)
    place = prepare(host, state)
    with host.interrupts(), host.files.lock(place.lock):
        settled = settle(host, root, place)
        changes = [
            _change(host, root, edit.path, edit.before, edit.after, new_mode=_NEW_FILE_MODE)
            for edit in _in_order(plan.edits)
        ]
        _refuse_changed(
            (change.path for change, current in changes if current != change.before),
            "is not what the plan saw",
            hint=settled.line if settled else "nothing was written; run the same command again",
        )
        numbers = place.numbers(host)
        _carry_out(
            host,
            root,
            place,
            Journal(
                "sync",
                numbers[-1] + 1 if numbers else 1,
                tuple(change for change, _ in changes),
                _missing_directories(root, (edit.path for edit in plan.edits if edit.after is not None)),
            ),
            verify,
        )
    return settled and settled.line


def rollback(host: Host, root: Path, state: Path) -> Restored:
    """Take the last sync back, byte for byte; called again, the one before it.

    Raises ChangedSince, and touches nothing, when a file is not what that sync wrote; MachineRefused when the history
    cannot be read, the disk is full or a directory is not writable.
    """
    recovered = recover(host, root, state)
    if not Place(state / "sync").numbers(host):
        return Restored((), 0, recovered)
    place = prepare(host, state)
    with host.interrupts(), host.files.lock(place.lock):
        settled = settle(host, root, place)
        numbers = place.numbers(host)
        if not numbers:
            return Restored((), 0, recovered)
        entry = _read_entry(host, place, numbers[-1])
        changes = [
            _change(host, root, done.path, done.after, done.before, new_mode=done.before_mode)
            for done in reversed(entry.changes)
        ]
        _refuse_changed(
            (change.path for change, current in changes if current != change.before),
            "was changed since the last sync",
            hint="nothing was written; undo that change, or keep it and leave the sync as it is",
        )
        restored = _missing_directories(root, (done.path for done in entry.changes if done.before is not None))
        _carry_out(
            host,
            root,
            place,
            Journal("rollback", entry.number, tuple(change for change, _ in changes), restored, entry.created),
            lambda: None,
        )
    line = settled.line if settled else recovered
    return Restored(tuple(sorted(change.path for change, _ in changes)), len(numbers) - 1, line)


def _in_order(edits: Iterable[Edit]) -> list[Edit]:
    """Put creations first, by path, and deletions last, the other way round; a rollback goes through them backwards.

    So `.cargo/config.toml` never includes a `.cargo/buildopt.toml` that is not there, wherever an apply is cut short.
    """
    by_path = sorted(edits, key=lambda edit: edit.path)
    created, modified, deleted = ([edit for edit in by_path if edit.kind == k] for k in ("create", "modify", "delete"))
    return [*created, *modified, *reversed(deleted)]


def _carry_out(host: Host, root: Path, place: Place, journal: Journal, verify: Callable[[], None]) -> None:
    """Make the changes of `journal`. The rename of the journal to `closed` is the moment from which they stand."""
    stands = False
    try:
        host.files.write(place.open, encode(journal), 0o600)
        _stage(host, root, journal)
        _exchange(host, root, journal)
        verify()
        host.files.replace(place.open, place.closed)
        stands = True
        settle(host, root, place)
    except BaseException as error:
        try:
            settled = settle(host, root, place)
        except MachineRefused as refused:
            raise MachineRefused(
                f"{refused.message}; the {journal.kind} is not finished and its journal is kept in {place.directory}",
                hint="remove the obstacle: the next buildopt command then repairs the files before anything else",
            ) from error
        stands = settled.stands if settled else stands
        if not (stands and isinstance(error, MachineRefused)):
            raise


def _stage(host: Host, root: Path, journal: Journal) -> None:
    """Put new and old content beside each target: from here on, neither going on nor going back takes disk space."""
    for directory in journal.created:
        host.files.make_directory(inside(root, directory))
    for index, change in enumerate(journal.changes):
        target = target_of(root, change.path)
        if change.after is not None:
            new = root / journal.temporary(index, "new")
            host.files.remove(new)
            host.files.write_new(new, change.after, _NEW_FILE_MODE if change.after_mode is None else change.after_mode)
        if change.before is not None:
            old = root / journal.temporary(index, "old")
            host.files.remove(old)
            host.files.duplicate(target, old)


def _exchange(host: Host, root: Path, journal: Journal) -> None:
    for index, change in enumerate(journal.changes):
        target = target_of(root, change.path)
        if host.files.read(target) != change.before:
            _refuse_changed([change.path], "was changed in this moment", hint="nothing was written; run it again")
        new = root / journal.temporary(index, "new")
        if change.after is None:  # to a free name: between two names of one file, a rename does nothing
            host.files.replace(target, new)
        else:
            host.files.replace(new, target)


def _change(
    host: Host, root: Path, path: str, before: bytes | None, after: bytes | None, *, new_mode: int | None
) -> tuple[Change, bytes | None]:
    """Return the change with the permission bits it has to keep, and what stands in the file now."""
    target = target_of(root, path)
    mode = host.files.mode(target)
    after_mode = None if after is None else mode if mode is not None else new_mode
    return Change(path, before, after, mode, after_mode), host.files.read(target)


def _refuse_changed(paths: Iterable[str], message: str, *, hint: str) -> None:
    problems = tuple(Problem(message, file=path) for path in sorted(paths))
    if problems:
        files = "a file has" if len(problems) == 1 else f"{len(problems)} files have"
        raise ChangedSince(f"{files} changed in the meantime", problems=problems, hint=hint)


def _missing_directories(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the parents of `paths` that do not exist yet, outermost first."""
    parents = {parent for path in paths for parent in Path(path).parents if parent.parts}
    return tuple(sorted(parent.as_posix() for parent in parents if not (root / parent).is_dir()))


def _read_entry(host: Host, place: Place, number: int) -> Journal:
    path = place.entry(number)
    journal = decode(host.files.read(path) or b"")
    if journal is None:
        raise MachineRefused(
            f"the history entry {path} is damaged, so the sync that it describes cannot be rolled back",
            hint="take the files back from version control, then remove that entry",
        )
    return journal
