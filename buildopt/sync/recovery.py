"""Bring an apply that did not come to its end to one: undone when its edits were not accepted yet, else tidied up.

The same code runs after an exception in the apply itself and, in a later process, after a crash. It may be cut short
at any point and run again.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import UnsafePath
from buildopt.host import Host
from buildopt.host.files import inside
from buildopt.sync.journal import Change, Journal, Place, decode, prepare
from buildopt.sync.plan import target_of

__all__ = ["Settled", "recover", "settle"]

_HISTORY_LIMIT = 20


class Settled(NamedTuple):
    """How an apply came to its end."""

    stands: bool
    """Whether its edits stand."""
    line: str
    """What to tell a person."""


def recover(host: Host, root: Path, state: Path) -> str | None:
    """Undo, or tidy up after, a sync or rollback that was cut short; return one line that says which, or None.

    Leaves alone, and does not wait for, a sync that is under way. Costs one directory listing when nothing was left.
    Raises MachineRefused when a file cannot be restored; then the next call tries again.
    """
    if not _left_over(host, Place(state / "sync")):
        return None
    place = prepare(host, state)
    with host.files.lock(place.lock, wait=False) as held:
        settled = settle(host, root, place) if held else None
    return settled and settled.line


def settle(host: Host, root: Path, place: Place) -> Settled | None:
    """Do the work of `recover`, under a lock that the caller holds."""
    left_over = _left_over(host, place)
    if not left_over:
        return None
    for name in left_over - {place.open.name, place.closed.name}:
        host.files.remove(place.directory / name)
    for path in (place.closed, place.open):
        content = host.files.read(path)
        if content is None:
            continue
        journal = decode(content)
        if journal is None:
            return _set_aside(host, path)
        if path == place.closed:
            return _finish(host, root, place, journal)
        return _undo(host, root, place, journal)
    return Settled(False, "a sync was cut short before it changed any file")


def _left_over(host: Host, place: Place) -> set[str]:
    """Return the names of journals, and of journals that were not completely written."""
    names = host.files.names(place.directory)
    return {name for name in names if name in ("journal", "closed") or name.startswith(".journal.")}


def _set_aside(host: Host, path: Path) -> Settled:
    aside = path.with_name(f"{path.name}.damaged")
    host.files.replace(path, aside)
    return Settled(
        False,
        f"the journal of a sync that was cut short is damaged: no file was touched, the journal is now {aside}; "
        "see with git diff what the sync had written",
    )


def _finish(host: Host, root: Path, place: Place, journal: Journal) -> Settled:
    _remove_temporaries(host, root, journal)
    for directory in reversed(journal.vacated):
        with contextlib.suppress(UnsafePath):
            host.files.remove_empty_directory(inside(root, directory))
    if journal.kind == "rollback":
        host.files.remove(place.entry(journal.number))
        host.files.remove(place.closed)
    else:
        for number in place.numbers(host)[: -(_HISTORY_LIMIT - 1)]:
            host.files.remove(place.entry(number))
        host.files.replace(place.closed, place.entry(journal.number))
    return Settled(True, f"the last {journal.kind} is complete: all its edits stand, what it left lying was removed")


def _undo(host: Host, root: Path, place: Place, journal: Journal) -> Settled:
    restored = 0
    kept = []
    for index, change in reversed(list(enumerate(journal.changes))):
        try:
            target = target_of(root, change.path)
            current = host.files.read(target)
        except UnsafePath:
            kept.append(_keep_beside(host, place.directory / Path(change.path).name, change))
            continue
        if current == change.before:
            continue
        if current == change.after:
            _restore(host, root, target, journal, index)
            restored += 1
        elif change.after is None or host.files.mode(root / journal.temporary(index, "new")) is None:
            beside = target if target.parent.is_dir() else place.directory / target.name
            kept.append(_keep_beside(host, beside, change))
    _remove_temporaries(host, root, journal)
    for directory in reversed(journal.created):
        with contextlib.suppress(UnsafePath):
            host.files.remove_empty_directory(inside(root, directory))
    host.files.remove(place.open)
    if not restored and not kept:
        return Settled(False, f"a {journal.kind} was cut short before it changed any file")
    files = f"{restored} file{'' if restored == 1 else 's'} restored"
    return Settled(False, "; ".join((f"a {journal.kind} was cut short and is undone: {files}", *kept)))


def _restore(host: Host, root: Path, target: Path, journal: Journal, index: int) -> None:
    """Put the old content back; by a rename where possible, which takes no space and keeps the time of the file."""
    change = journal.changes[index]
    old = root / journal.temporary(index, "old")
    if change.before is None:
        host.files.replace(target, root / journal.temporary(index, "new"))
    elif not old.is_symlink() and host.files.read(old) == change.before:
        host.files.replace(old, target)
    else:
        host.files.make_directory(target.parent)
        host.files.write(target, change.before, 0o644 if change.before_mode is None else change.before_mode)


def _keep_beside(host: Host, beside: Path, change: Change) -> str:
    """Save the old content of a file that somebody changed after the crash, and say where."""
    if change.before is None:
        return f"{change.path} was changed since and stays"
    name = f"{beside.name}.buildopt-before"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    saved = next(path for path in map(beside.with_name, names) if _is_free_or_same(host, path, change.before))
    if host.files.mode(saved) is None:
        host.files.write_new(saved, change.before, 0o644 if change.before_mode is None else change.before_mode)
    return f"{change.path} was changed since and stays, what it was before is in {saved}"


def _is_free_or_same(host: Host, path: Path, content: bytes) -> bool:
    return host.files.mode(path) is None or (path.is_file() and host.files.read(path) == content)


def _remove_temporaries(host: Host, root: Path, journal: Journal) -> None:
    for index in range(len(journal.changes)):
        with contextlib.suppress(UnsafePath):
            host.files.remove(inside(root, journal.temporary(index, "new")))
            host.files.remove(inside(root, journal.temporary(index, "old")))
