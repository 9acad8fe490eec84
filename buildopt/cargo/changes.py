"""What has changed since the work left its base branch, as git says.

Counted are commits since the merge base with the base branch, the index, the work tree, and new files that git does not ignore.
On the base branch itself that leaves what is not pushed yet and not committed yet; in CI, after a push to it, that is nothing:
there everything has to count, which `ci_base.py` sees to, or a base has to be given.
Not seen are files that git ignores or was told to overlook (`assume-unchanged`, `skip-worktree`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Finished, Host

__all__ = ["GIT_ENVIRONMENT", "Changes", "changes"]

_DEFAULT_BASES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_REFS = {
    "refs/remotes/origin/HEAD": "origin/HEAD",
    "refs/remotes/origin/main": "origin/main",
    "refs/remotes/origin/master": "origin/master",
    "refs/heads/main": "main",
    "refs/heads/master": "master",
}
_TIMEOUT_SECONDS = 60.0
# A git hook points these at the repository that it runs for, relative to a directory that is not ours.
GIT_ENVIRONMENT: Mapping[str, str | None] = {
    **dict.fromkeys(
        ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS",
         "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
    ),
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip


class Changes(NamedTuple):
    """The files that have changed."""

    paths: tuple[str, ...]
    """Relative to the workspace root, with `/`, sorted; a file of the repository outside of the root begins with `../`.

    A submodule, and a repository inside the repository, is one path: that of its directory.
    """
    base: str
    """What they were compared with, as `origin/main`; empty when there was nothing to compare with."""
    note: str | None
    """What a person should know: why the answer is not complete, or that only the work tree counts."""
    complete: bool
    """False: anything may have changed."""
    head: str | None = None
    """The commit that is checked out; None when it is not known."""
    dirty: bool | None = None
    """Whether anything differs from that commit; None where what was asked does not tell."""


class _Repository(NamedTuple):
    host: Host
    root: Path
    prefix: str
    """The root inside the repository: empty, or with a `/` at the end."""
    shallow: bool
    index_file: Path
    head: str

    def run(self, arguments: Sequence[str], *, index: Path | None = None) -> Finished:
        return _git(self.host, self.root, arguments, index)


def changes(host: Host, root: Path, base: str | None = None) -> Changes:
    """Return the files that differ from the merge base of HEAD with `base`, with four processes of git.

    Without `base` it is the default branch of `origin`, else `origin/main`, `origin/master`, `main`, `master`. A `base` that is
    the branch at hand means its upstream, where it has one. Never raises: without an answer, `complete` is False and `note` says why.
    """
    try:
        repository = _open(host, root)
        if isinstance(repository, str):
            return Changes((), "", repository, False)
        found = _default_base(repository) if base is None else _given_base(repository, base)
        if isinstance(found, str):
            return Changes((), base or "", found, False)
        return _compare(repository, *found)
    except ToolMissing:
        return Changes((), "", "git is not installed, so nobody can say what has changed", False)
    except MachineRefused as error:
        return Changes((), "", f"git could not be asked what has changed: {error.message}", False)


def _open(host: Host, root: Path) -> _Repository | str:
    result = _git(
        host,
        root,
        [
            "rev-parse",
            "--is-inside-work-tree",
            "--show-prefix",
            "--is-shallow-repository",
            "--git-path",
            "index",
            "HEAD",
        ],
    )
    lines = _text(result.stdout).split("\n")
    if lines[0] != "true":
        # Without a repository, or in one that belongs to somebody else, git prints nothing but the reason.
        reason = _first_line(result)
        if "not a git repository" in reason:
            return f"{root} is not in a git repository"
        return "the workspace is in git's own directory" if lines[0] == "false" else f"git says: {reason}"
    if result.returncode != 0:
        return "the repository has no commit yet"
    return _Repository(host, root, lines[1], lines[2] == "true", root / lines[3], lines[4])


def _default_base(repository: _Repository) -> tuple[str, str] | str:
    """Return name and commit of the default branch, or what is missing."""
    listed = repository.run(["for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)", *_REFS])
    rows = [line.split("\0") for line in _text(listed.stdout).splitlines()]
    found = {
        _REFS[row[0]]: (row[2].removeprefix("refs/remotes/") or _REFS[row[0]], row[1])
        for row in rows
        if row[0] in _REFS
    }
    for name in _DEFAULT_BASES:
        if name in found:
            return found[name]
    names = ", ".join(_DEFAULT_BASES[1:])
    return f"no base branch to compare with: none of {names} is there{_shallow_hint(repository)}; affected.base names another"


def _given_base(repository: _Repository, base: str) -> tuple[str, str] | str:
    """Return name and commit of a base that a person named, or why it cannot be used.

    The name is untrusted: git takes it as one revision, never as an option.
    """
    if "\0" in base or not base.strip():
        return f"{base!r} is not the name of a branch or revision"
    names = (f"refs/heads/{base}", base, f"refs/remotes/origin/{base}")
    branch = _text(repository.run(["symbolic-ref", "--quiet", "HEAD"]).stdout).strip()
    if branch == names[0]:
        upstream = _text(repository.run(["for-each-ref", "--format=%(upstream)", branch]).stdout).strip()
        commit = _commit(repository, upstream) if upstream else None
        if commit is not None:
            return upstream.removeprefix("refs/remotes/").removeprefix("refs/heads/"), commit
    for name in names[1:]:
        commit = _commit(repository, name)
        if commit is not None:
            return name.removeprefix("refs/remotes/"), commit
    return f"{base!r} is not a branch or revision of this repository{_shallow_hint(repository)}"


def _commit(repository: _Repository, revision: str) -> str | None:
    result = repository.run(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"])
    return _text(result.stdout).strip() if result.returncode == 0 else None


def _compare(repository: _Repository, name: str, commit: str) -> Changes:
    # git writes the times of files that were only touched back into the index, also without optional locks: into a copy, then.
    with repository.host.files.scratch(repository.host.files.read(repository.index_file) or b"") as index:
        return _compare_with(repository, name, commit, index)


def _compare_with(repository: _Repository, name: str, commit: str, index: Path) -> Changes:
    arguments = ["--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff", "--ignore-submodules=none"]
    tracked = repository.run(["diff", "--merge-base", *arguments, commit, "--"], index=index)
    if tracked.returncode != 0:
        # Two branches that were merged into each other have several merge bases, of which this diff takes none.
        ancestor = _text(repository.run(["merge-base", commit, repository.head]).stdout).strip()
        if not ancestor:
            return Changes((), name, f"HEAD and {name} have no common history{_shallow_hint(repository)}", False)
        tracked = repository.run(["diff", *arguments, ancestor, "--"], index=index)
    untracked = repository.run(["ls-files", "-z", "--others", "--exclude-standard", "--full-name", "--", ":/"])
    for result in (tracked, untracked):
        if result.returncode != 0:
            return Changes((), name, f"git says: {_first_line(result)}", False)
    names = {path for output in (tracked.stdout, untracked.stdout) for path in _text(output).split("\0") if path}
    note = f"HEAD is at {name}, so only what is not committed counts" if commit == repository.head else None
    # Against another commit, only new files are surely not committed; to ask for the rest would be one more process.
    dirty = bool(names) if commit == repository.head else bool(untracked.stdout) or None
    paths = tuple(sorted(_relative(path, repository.prefix) for path in names))
    return Changes(paths, name, note, True, repository.head, dirty)


def _relative(path: str, prefix: str) -> str:
    """Return a path of the repository relative to the workspace root."""
    path = path.rstrip("/")
    if not prefix:
        return path
    return path[len(prefix) :] if path.startswith(prefix) else posixpath.relpath(path, prefix)


def _git(host: Host, root: Path, arguments: Sequence[str], index: Path | None = None) -> Finished:
    environment = GIT_ENVIRONMENT if index is None else {**GIT_ENVIRONMENT, "GIT_INDEX_FILE": str(index)}
    command = Command(("git", "--no-optional-locks", *arguments), root, environment, _TIMEOUT_SECONDS)
    result = host.run(command)
    if result.timed_out:
        raise MachineRefused(f"it did not answer within {_TIMEOUT_SECONDS:.0f} seconds")
    return result


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _first_line(result: Finished) -> str:
    lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[0].removeprefix("fatal: ") if lines else f"exit code {result.returncode}"


def _shallow_hint(repository: _Repository) -> str:
    return " (this clone is shallow: fetch more of the history)" if repository.shallow else ""
