"""From generated texts to a plan: only what differs, and never outside of the workspace root."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from buildopt.errors import MachineRefused, UnsafePath
from buildopt.host import Host
from buildopt.host.files import inside
from buildopt.sync.model import Edit, Plan

if TYPE_CHECKING:
    from buildopt.generate import Generated

__all__ = ["make_plan", "read_texts", "target_of"]

_PRIVATE = {".git", ".buildopt"}


def target_of(root: Path, path: str) -> Path:
    """Return the file below `root` that an edit of `path` may write.

    Raises UnsafePath for whatever leaves the root, for a symlink on the way or at the end, and for a path into the
    repository's or buildopt's own data.
    """
    target = inside(root, path)
    if not _PRIVATE.isdisjoint(Path(path).parts):
        raise UnsafePath(f"path {path!r} is not a file of the workspace")
    return target


def read_texts(host: Host, root: Path, paths: Iterable[str], *, loose: Collection[str] = ()) -> dict[str, bytes]:
    """Return the current content of those of `paths` (relative to `root`) that exist.

    What is `loose` is only looked at: a symlink there, or what cannot be read, counts as not there.
    Raises UnsafePath as `target_of` does, MachineRefused when a file cannot be read.
    """
    texts: dict[str, bytes] = {}
    for path in paths:
        try:
            content = host.files.read(target_of(root, path))
        except (UnsafePath, MachineRefused):
            if path not in loose:
                raise
            continue
        if content is not None:
            texts[path] = content
    return texts


def make_plan(host: Host, root: Path, generated: Generated, texts: Mapping[str, bytes] | None = None) -> Plan:
    """Return the edits, sorted by path, after which every generated file is as it should be.

    `texts` are the contents that `generated` was made from: taken as what stands there, so that an edit which a person
    makes between reading and applying is refused by `apply`, not lost. Other files are read now.
    Raises UnsafePath and MachineRefused as `read_texts` does.
    """
    known = {} if texts is None else texts
    before = {**read_texts(host, root, generated.files), **{p: known[p] for p in generated.files if p in known}}
    edits = (Edit(path, before.get(path), after) for path, after in sorted(generated.files.items()))
    return Plan(tuple(edit for edit in edits if edit.before != edit.after), generated.notes, generated.gated)
