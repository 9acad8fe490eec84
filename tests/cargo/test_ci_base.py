"""The base of a CI job, in real repositories as the hosts of CI hand them over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildopt.cargo import changes
from buildopt.cargo.ci_base import CiBase, ci_base
from buildopt.host import Host
from buildopt.testing import ScriptedHost, finished

Git = Callable[..., str]
ZERO = "0" * 40


@pytest.fixture
def server(git, tmp_path) -> Path:
    """Return a repository with `main` (one, two) and `topic` (mine.txt), which left `main` after its first commit."""
    root = tmp_path / "server"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    add(git, root, "one.txt")
    git(root, "switch", "-q", "-c", "topic")
    add(git, root, "mine.txt")
    git(root, "switch", "-q", "main")
    add(git, root, "theirs.txt")
    return root


def add(git: Git, root: Path, name: str) -> str:
    (root / name).write_text(name)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", name)
    return git(root, "rev-parse", "HEAD")


def merge_ref(git: Git, server: Path, topic: str = "topic") -> str:
    """Let the server make what GitHub makes for a pull request: a merge commit that no branch holds."""
    git(server, "switch", "-q", "--detach", "main")
    git(server, "merge", "-q", "--no-ff", "-m", "merge", topic)
    commit = git(server, "rev-parse", "HEAD")
    git(server, "update-ref", "refs/pull/1/merge", commit)
    git(server, "switch", "-q", "main")
    return commit


def checkout(git: Git, server: Path, commit: str, *, depth: int | None = None) -> Path:
    """Fetch and check out as actions/checkout does: depth 0 brings all branches, another only the commit."""
    work = server.parent / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "trunk")
    git(work, "remote", "add", "origin", f"file://{server}")
    git(server, "config", "uploadpack.allowAnySHA1InWant", "true")
    if depth is None:
        git(
            work, "fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*", f"+{commit}:refs/remotes/pull/1/merge"
        )
    else:
        git(work, "fetch", "-q", f"--depth={depth}", "origin", f"+{commit}:refs/remotes/pull/1/merge")
    git(work, "checkout", "-q", "--detach", commit)
    return work


def github(event: str, payload: Any = None, *, folder: Path, **environ: str) -> Host:
    path = folder / "event.json"
    path.write_text(payload if isinstance(payload, str) else json.dumps(payload or {}))
    told = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(path), "CI": "true"}
    return Host({**Host().environ, **told, **environ})


def queue(base: str, *, folder: Path) -> Host:
    return github("merge_group", {"merge_group": {"base_sha": base}}, folder=folder)


def gitlab(**environ: str) -> Host:
    return Host({**Host().environ, "GITLAB_CI": "true", "CI": "true", **environ})


def paths(root: Path, base: CiBase | None) -> tuple[str, ...]:
    assert base is not None
    assert base.commit is not None, base.why
    found = changes(Host(), root, base.commit)
    assert found.complete, found.note
    return found.paths


def no_base(base: CiBase | None) -> str:
    assert base is not None
    assert base.commit is None
    return base.why


def test_outside_of_ci_nobody_tells_a_base(tmp_path):
    assert ci_base(Host({"CI": "true"}), tmp_path) is None


def test_of_a_pull_request_only_its_own_files_count(git, server, tmp_path):
    commit = merge_ref(git, server)
    work = checkout(git, server, commit)
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_what_is_merged_while_the_pull_request_is_tested_changes_nothing(git, server, tmp_path):
    commit = merge_ref(git, server)
    git(server, "merge", "-q", "--no-ff", "-m", "merged by a person", "topic")
    add(git, server, "later.txt")
    work = checkout(git, server, commit)
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_a_clone_of_depth_two_is_enough_for_a_pull_request(git, server, tmp_path):
    commit = merge_ref(git, server)
    work = checkout(git, server, commit, depth=2)
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_in_a_shallow_clone_everything_of_a_pull_request_counts(git, server, tmp_path):
    commit = merge_ref(git, server)
    work = checkout(git, server, commit, depth=1)
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert "fetch-depth" in no_base(ci_base(host, work))


def test_a_workflow_that_checks_out_the_head_of_the_pull_request_counts_from_the_branch(git, server, tmp_path):
    commit = merge_ref(git, server)
    work = checkout(git, server, git(server, "rev-parse", "topic"))
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_a_merge_commit_of_the_topic_itself_is_not_taken_for_the_one_of_github(git, server, tmp_path):
    git(server, "switch", "-q", "topic")
    git(server, "merge", "-q", "--no-ff", "-m", "catch up", "main")
    work = checkout(git, server, git(server, "rev-parse", "topic"))
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=merge_ref(git, server))
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_a_pull_request_of_a_fork_is_compared_with_the_branch_it_goes_into(git, server, tmp_path):
    fork = tmp_path / "fork"
    git(tmp_path, "clone", "-q", str(server), str(fork))
    git(fork, "switch", "-q", "-c", "main-of-fork")
    add(git, fork, "from-the-fork.txt")
    git(server, "fetch", "-q", str(fork), "main-of-fork")
    commit = merge_ref(git, server, "FETCH_HEAD")
    work = checkout(git, server, commit)
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_SHA=commit)
    assert paths(work, ci_base(host, work)) == ("from-the-fork.txt",)


@pytest.mark.parametrize("name", ["$(touch pwned)", "a;touch pwned", "--upload-pack=touch pwned", "'\"`touch pwned`"])
def test_a_branch_name_is_an_argument_and_nothing_else(git, server, tmp_path, name):
    branch = f"release/{name}".replace(" ", "\N{NO-BREAK SPACE}")
    git(server, "branch", branch, "main")
    work = checkout(git, server, git(server, "rev-parse", "topic"))
    host = github("pull_request", folder=tmp_path, GITHUB_BASE_REF=branch, GITHUB_SHA=ZERO)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)
    assert not (work / "pwned").exists()


@pytest.mark.parametrize("name", ["", "main\n::error::x", "gone", "-c", "a..b", "@{-1}", "main\0x", "\udcff"])
def test_a_branch_that_is_not_there_or_can_not_be_means_everything(git, server, tmp_path, name):
    work = checkout(git, server, git(server, "rev-parse", "topic"))
    host = github("pull_request", folder=tmp_path, GITHUB_SHA=ZERO)
    host.environ = {**host.environ, "GITHUB_BASE_REF": name}
    why = no_base(ci_base(host, work))
    assert "\n" not in why
    assert "::" not in why


@pytest.mark.parametrize(
    ("pushed", "branch", "default", "whole"),
    [
        ("main", "main", None, "merged into"),
        ("main", None, "main", "merged into"),
        ("next", "next", "main", "merged into"),
        ("main", "next", "main", "merged into"),
        ("topic", "main", None, None),
        ("topic", None, "main", None),
        ("topic", "next", "main", None),
        ("main/topic", "main", "main", None),
        ("topic", None, None, "not known"),
        ("topic", None, "", "not known"),
        ("topic", "", None, "not known"),
        ("", "main", "main", "not known"),
    ],
)
def test_a_push_counts_as_a_whole_where_changes_are_merged_and_elsewhere_as_the_profile_says(
    git, server, tmp_path, pushed, branch, default, whole
):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    ref = f"refs/heads/{pushed}" if pushed else ""
    named = {} if default is None else {"CI_DEFAULT_BRANCH": default}
    for before in (git(server, "rev-parse", "main~1"), ZERO):
        payload = {"before": before, "repository": {"default_branch": default}}
        for host in (
            github("push", payload, folder=tmp_path, GITHUB_REF=ref, GITHUB_REF_TYPE="branch"),
            gitlab(CI_PIPELINE_SOURCE="push", CI_COMMIT_BRANCH=pushed, CI_COMMIT_BEFORE_SHA=before, **named),
        ):
            found = ci_base(host, work, branch)
            assert (found is None) is (whole is None)
            assert whole is None or whole in no_base(found)


def test_a_pushed_tag_counts_everything(git, server, tmp_path):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    payload = {"repository": {"default_branch": "main"}}
    host = github("push", payload, folder=tmp_path, GITHUB_REF_TYPE="tag", GITHUB_REF="refs/tags/v1")
    assert "tag" in no_base(ci_base(host, work, "main"))


def test_a_force_push_over_a_base_that_is_gone_counts_everything(git, server, tmp_path):
    base = add(git, server, "regretted.txt")
    git(server, "reset", "-q", "--hard", "HEAD~1")
    git(server, "reflog", "expire", "--expire=now", "--all")
    git(server, "gc", "-q", "--prune=now")
    work = checkout(git, server, add(git, server, "instead.txt"))
    for host in (queue(base, folder=tmp_path), gitlab(CI_MERGE_REQUEST_DIFF_BASE_SHA=base)):
        assert "force-push" in no_base(ci_base(host, work))


def test_a_force_push_over_a_base_that_is_still_there_counts_everything(git, server, tmp_path):
    base = add(git, server, "regretted.txt")
    git(server, "branch", "kept", base)
    git(server, "reset", "-q", "--hard", "HEAD~1")
    work = checkout(git, server, add(git, server, "instead.txt"))
    for host in (queue(base, folder=tmp_path), gitlab(CI_MERGE_REQUEST_DIFF_BASE_SHA=base)):
        assert "rewritten" in no_base(ci_base(host, work))


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shallow_clone_counts_everything_where_the_way_to_the_base_is_cut(git, server, tmp_path, depth):
    base = git(server, "rev-parse", "main")
    for number in range(3):
        last = add(git, server, f"{number}.txt")
    work = checkout(git, server, last, depth=depth)
    for host in (queue(base, folder=tmp_path), gitlab(CI_MERGE_REQUEST_DIFF_BASE_SHA=base)):
        no_base(ci_base(host, work))


def test_a_merge_queue_counts_from_its_base(git, server, tmp_path):
    base = git(server, "rev-parse", "main")
    work = checkout(git, server, merge_ref(git, server))
    assert paths(work, ci_base(queue(base, folder=tmp_path), work, "main")) == ("mine.txt",)


def test_a_merge_queue_counts_all_commits_since_its_base(git, server, tmp_path):
    base = git(server, "rev-parse", "main")
    add(git, server, "queued-one.txt")
    work = checkout(git, server, add(git, server, "queued-two.txt"))
    assert paths(work, ci_base(queue(base, folder=tmp_path), work)) == ("queued-one.txt", "queued-two.txt")


@pytest.mark.parametrize("event", ["schedule", "workflow_dispatch", "pull_request_target", "release", ""])
def test_an_event_that_is_no_change_counts_everything(git, server, tmp_path, event):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    no_base(
        ci_base(github(event, folder=tmp_path, GITHUB_BASE_REF="main", GITHUB_REF="refs/heads/topic"), work, "main")
    )


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "null", "\0", '{"KEY": null}', '{"KEY": 7}', '{"KEY": "main"}', '{"KEY": ["main"]}', '{"KEY": {}}',
     "[" * 100_000, '{"KEY": {"OF": null}}', '{"KEY": {"OF": 7}}', '{"KEY": {"OF": ["main"]}}', '{"KEY": {"OF": {"OF": 1}}}'],
)  # fmt: skip
def test_a_damaged_event_counts_everything(git, server, tmp_path, payload):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    for event, key, of in (("push", "repository", "default_branch"), ("merge_group", "merge_group", "base_sha")):
        told = payload.replace("KEY", key).replace("OF", of)
        no_base(ci_base(github(event, told, folder=tmp_path, GITHUB_REF="refs/heads/topic"), work))


@pytest.mark.parametrize("base", ["", "main", "--all", "HEAD", ZERO, "a" * 41, "$(id)"])
def test_a_base_that_is_no_commit_here_counts_everything(git, server, tmp_path, base):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    no_base(ci_base(queue(base, folder=tmp_path), work))


def test_an_event_that_is_not_there_or_too_large_counts_everything(git, server, tmp_path):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    host = queue(git(server, "rev-parse", "main~1"), folder=tmp_path)
    assert paths(work, ci_base(host, work)) == ("theirs.txt",)
    with (tmp_path / "event.json").open("r+b") as file:
        file.truncate(1 << 30)
    no_base(ci_base(host, work))
    (tmp_path / "event.json").unlink()
    no_base(ci_base(host, work))


def test_a_merge_request_counts_from_its_diff_base(git, server):
    base = git(server, "merge-base", "main", "topic")
    work = checkout(git, server, git(server, "rev-parse", "topic"))
    host = gitlab(CI_PIPELINE_SOURCE="merge_request_event", CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert paths(work, ci_base(host, work)) == ("mine.txt",)


def test_of_a_merged_result_nothing_is_overlooked(git, server):
    base = git(server, "merge-base", "main", "topic")
    work = checkout(git, server, merge_ref(git, server))
    host = gitlab(CI_PIPELINE_SOURCE="merge_request_event", CI_MERGE_REQUEST_DIFF_BASE_SHA=base)
    assert set(paths(work, ci_base(host, work))) >= {"mine.txt"}


@pytest.mark.parametrize(
    "told",
    [
        {"CI_PIPELINE_SOURCE": "push"},
        {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BRANCH": "topic", "CI_DEFAULT_BRANCH": "main"},
        {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1", "CI_DEFAULT_BRANCH": "main"},
        {"CI_MERGE_REQUEST_DIFF_BASE_SHA": ZERO},
        {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "0123456789" * 4},
        {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "$(id)"},
        {},
    ],
)
def test_a_pipeline_that_no_change_started_counts_everything(git, server, told):
    work = checkout(git, server, git(server, "rev-parse", "main"))
    no_base(ci_base(gitlab(**told), work))


def test_outside_of_a_repository_everything_counts(git, tmp_path):
    assert git
    assert "no commit" in no_base(
        ci_base(github("push", folder=tmp_path, GITHUB_REF="refs/heads/topic"), tmp_path, "main")
    )


def test_without_git_everything_counts(tmp_path):
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/topic"}
    host = ScriptedHost({"git": finished(returncode=127)}, environ=environ)
    assert "no commit" in no_base(ci_base(host, tmp_path, "main"))
    assert "cannot be told" in no_base(ci_base(Host({**environ, "PATH": str(tmp_path)}), tmp_path, "main"))


def test_a_git_that_hangs_means_everything(tmp_path):
    environ = {"GITLAB_CI": "true", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "a" * 40}
    hanging = ScriptedHost({"git": finished()._replace(timed_out=True)}, environ=environ)
    assert "did not answer" in no_base(ci_base(hanging, tmp_path))
