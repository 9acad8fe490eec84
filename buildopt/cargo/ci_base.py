"""What a CI job's change is counted from, as GitHub or GitLab says and git confirms.

Whatever cannot be confirmed (a shallow clone, a commit that a force-push removed, an event that is no change) has no base, and
then everything counts as changed. On the branch that changes are merged into it always does: that branch is never green because
the last push touched little, and the caches that are written there are complete.
A name of a branch is untrusted: git gets it as one argument, never a shell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Host

__all__ = ["CiBase", "ci_base"]

_TIMEOUT_SECONDS = 60.0
_LARGEST_EVENT = 32 << 20  # bytes; GitHub sends no event above 25 MiB
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ON = frozenset(("true", "1"))


class CiBase(NamedTuple):
    """What the change of a CI job is compared with."""

    commit: str | None
    """Id of a commit; None when everything counts as changed."""
    why: str
    """What it is, as `the pull request's base`; without a commit, why there is none. One line, for people."""


def ci_base(host: Host, root: Path, branch: str | None = None) -> CiBase | None:
    """Return what the change of this CI job is counted from, or None where CI does not say: what the profile says holds then.

    `branch` is the one that changes are merged into, beside the host's default branch. Nothing is counted push by push, for
    an earlier push may have broken what the last one does not touch: what is pushed to another branch is compared as a whole
    with what the profile says. Never raises.
    """
    environ = host.environ
    if environ.get("GITHUB_ACTIONS") in _ON:
        found = _github
    elif environ.get("GITLAB_CI") in _ON:
        found = _gitlab
    else:
        return None
    try:
        git = _Git(host, root)
        if git.commit("HEAD") is None:
            return CiBase(None, "git knows no commit here")
        return found(git, environ, branch)
    except (MachineRefused, ToolMissing) as error:
        return CiBase(None, f"what this job's change is cannot be told: {error.message}")


class _Git(NamedTuple):
    host: Host
    root: Path

    def commit(self, revision: str) -> str | None:
        """Return the id of the commit that `revision` names, or None when this clone has none."""
        if "\0" in revision:
            return None
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        found = self._ask(*words)
        return found if found and _COMMIT.fullmatch(found) else None

    def ancestor(self, commit: str) -> bool:
        """Return whether HEAD grew out of `commit`, as far as this clone knows."""
        return self._ask("merge-base", "--is-ancestor", commit, "HEAD") is not None

    def _ask(self, *words: str) -> str | None:
        command = Command(("git", "--no-optional-locks", *words), self.root, GIT_ENVIRONMENT, _TIMEOUT_SECONDS)
        result = self.host.run(command)
        if result.timed_out:
            raise MachineRefused(f"git did not answer within {_TIMEOUT_SECONDS:.0f} seconds")
        return result.stdout.decode("utf-8", "replace").strip() if result.returncode == 0 else None


def _github(git: _Git, environ: Mapping[str, str], branch: str | None) -> CiBase | None:
    match environ.get("GITHUB_EVENT_NAME"):
        case "pull_request":
            return _pull_request(git, environ)
        case "push":
            if environ.get("GITHUB_REF_TYPE") == "tag":
                return CiBase(None, "a tag was pushed")
            repository = _event(git.host, environ).get("repository")
            default = repository.get("default_branch") if isinstance(repository, dict) else None
            return _push(environ.get("GITHUB_REF", "").removeprefix("refs/heads/"), branch, default)
        case "merge_group":
            group = _event(git.host, environ).get("merge_group")
            base = group.get("base_sha") if isinstance(group, dict) else None
            return _earlier(git, base, "the merge queue's base")
        case _:
            return CiBase(None, "the event that started this workflow is no change")


def _pull_request(git: _Git, environ: Mapping[str, str]) -> CiBase:
    """Return the base of a pull request: the first parent of GitHub's merge commit, else the branch it goes into.

    The parent is what the merge commit was made with, whatever is pushed to the branch meanwhile.
    """
    head, merged = git.commit("HEAD"), environ.get("GITHUB_SHA", "")
    if head is not None and head == merged and git.commit("HEAD^2") is not None:
        parent = git.commit("HEAD^1")
        if parent is not None:
            return CiBase(parent, "the pull request's base")
    branch = environ.get("GITHUB_BASE_REF", "")
    base = git.commit(f"refs/remotes/origin/{branch}") if branch else None
    if base is None:
        return CiBase(
            None, "the branch that the pull request goes into is not in this clone (fetch-depth: 0 brings it)"
        )
    return CiBase(base, "the pull request's base")


def _gitlab(git: _Git, environ: Mapping[str, str], branch: str | None) -> CiBase | None:
    if base := environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        return _earlier(git, base, "the merge request's base")
    if environ.get("CI_PIPELINE_SOURCE") != "push" or environ.get("CI_COMMIT_TAG"):
        return CiBase(None, "what started this pipeline is no change")
    return _push(environ.get("CI_COMMIT_BRANCH", ""), branch, environ.get("CI_DEFAULT_BRANCH"))


def _push(pushed: str, *merged_into: object) -> CiBase | None:
    """Return None only where a push surely went to another branch than those that changes are merged into."""
    known = [name for name in merged_into if name and isinstance(name, str)]
    if not pushed or not known:
        return CiBase(None, "whether changes are merged into the branch that was pushed is not known")
    return CiBase(None, "this is the branch that changes are merged into") if pushed in known else None


def _earlier(git: _Git, commit: Any, name: str) -> CiBase:
    """Return `commit` if HEAD grew out of it."""
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        return CiBase(None, f"this job was not told {name}")
    if git.commit(commit) is None:
        return CiBase(None, f"{name} is not in this clone (it is shallow, or the commit was replaced by a force-push)")
    if not git.ancestor(commit):
        return CiBase(None, f"HEAD did not grow out of {name}: the history was rewritten, or this clone is shallow")
    return CiBase(commit, name)


def _event(host: Host, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what GitHub says of the event; empty when the file is not there, too large or damaged."""
    path = environ.get("GITHUB_EVENT_PATH")
    stamp = host.files.stamp(path) if path else None
    if not path or stamp is None or stamp[0] > _LARGEST_EVENT:
        return {}
    try:
        found = json.loads(host.files.read(path) or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
