from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from buildopt.cargo.changes import Changes, changes
from buildopt.errors import MachineRefused
from buildopt.host import Command, Finished, Host
from buildopt.testing import ScriptedHost, finished

Git = Callable[..., str]


class CountingHost(Host):
    """The real host, which counts the processes it starts."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        super().__init__(environ)
        self.commands: list[Command] = []

    def run(self, command: Command, **options) -> Finished:
        self.commands.append(command)
        return super().run(command, **options)


@pytest.fixture
def repository(git, tmp_path) -> Path:
    """Return a repository with one commit on `main`: a.txt, b.txt, sub/c.txt, and a .gitignore."""
    root = tmp_path / "repo"
    (root / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "sub/c.txt"):
        (root / name).write_text(f"{name}\n")
    (root / ".gitignore").write_text("target/\n")
    git(root, "init", "-q", "-b", "main")
    commit(git, root)
    return root


def commit(git: Git, root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "x")
    return git(root, "rev-parse", "HEAD")


def ask(root: Path, base: str | None = None) -> Changes:
    return changes(Host(), root, base)._replace(head=None, dirty=None)


def test_the_commit_and_whether_the_tree_differs_from_it(git, repository):
    first = git(repository, "rev-parse", "HEAD")

    def state() -> tuple[str | None, bool | None]:
        return changes(Host(), repository)[4:]

    assert state() == (first, False)
    (repository / "a.txt").write_text("other")
    assert state() == (first, True)
    git(repository, "switch", "-q", "-c", "topic")
    second = commit(git, repository)
    assert state() == (second, None), "that a.txt differs from main does not say that it differs from HEAD"
    (repository / "new.txt").write_text("x")
    assert state() == (second, True)


def test_commits_index_work_tree_and_new_files_count(git, repository):
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "committed.txt").write_text("x")
    commit(git, repository)
    (repository / "staged.txt").write_text("x")
    git(repository, "add", "staged.txt")
    (repository / "a.txt").write_text("other")
    (repository / "b.txt").unlink()
    (repository / "sub/new").mkdir()
    (repository / "sub/new/file name\nwith ü.txt").write_text("x")
    (repository / "target").mkdir()
    (repository / "target/ignored.o").write_text("x")
    assert ask(repository) == Changes(
        ("a.txt", "b.txt", "committed.txt", "staged.txt", "sub/new/file name\nwith ü.txt"), "main", None, True
    )


def test_what_others_did_on_the_base_since_does_not_count(git, repository):
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "mine.txt").write_text("x")
    commit(git, repository)
    git(repository, "switch", "-q", "main")
    (repository / "theirs.txt").write_text("x")
    commit(git, repository)
    git(repository, "switch", "-q", "topic")
    assert ask(repository).paths == ("mine.txt",)


def test_a_rename_counts_on_both_sides(git, repository):
    git(repository, "config", "diff.renames", "copies")
    git(repository, "mv", "a.txt", "sub/a.txt")
    assert ask(repository).paths == ("a.txt", "sub/a.txt")


def test_a_change_that_was_undone_is_none(git, repository):
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "a.txt").write_text("other")
    commit(git, repository)
    (repository / "a.txt").write_text("a.txt\n")
    assert ask(repository).paths == ()


def test_bytes_that_are_no_text_survive(git, repository):
    (Path(str(repository)) / "sub").joinpath(b"\xff.txt".decode("utf-8", "surrogateescape")).write_text("x")
    assert ask(repository).paths == ("sub/\udcff.txt",)


def test_a_workspace_below_the_repository_sees_what_is_around_it(git, repository):
    (repository / "sub/c.txt").write_text("other")
    (repository / "a.txt").write_text("other")
    (repository / "sub/new.txt").write_text("x")
    (repository / "subway").mkdir()
    (repository / "subway/new.txt").write_text("x")
    git(repository, "config", "diff.relative", "true")
    assert ask(repository / "sub").paths == ("../a.txt", "../subway/new.txt", "c.txt", "new.txt")


def test_on_the_base_itself_only_the_work_tree_counts_and_it_says_so(git, repository):
    (repository / "a.txt").write_text("other")
    for base in (None, "main"):
        answer = ask(repository, base)
        assert answer.paths == ("a.txt",)
        assert answer.note == "HEAD is at main, so only what is not committed counts"


def test_commits_that_are_not_pushed_count(git, repository, tmp_path):
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    (clone / "mine.txt").write_text("x")
    commit(git, clone)
    assert ask(clone) == Changes(("mine.txt",), "origin/main", None, True)
    assert ask(clone, "main") == Changes(("mine.txt",), "origin/main", None, True)
    assert ask(clone, "origin/main").paths == ("mine.txt",)
    assert ask(clone, "HEAD~1").paths == ("mine.txt",)
    assert ask(clone, "HEAD").paths == ()


def test_the_default_branch_of_origin_comes_before_other_names(git, repository, tmp_path):
    git(repository, "branch", "-m", "main", "trunk")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    git(clone, "branch", "main")
    (clone / "mine.txt").write_text("x")
    commit(git, clone)
    assert ask(clone) == Changes(("mine.txt",), "origin/trunk", None, True)
    git(clone, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    assert ask(clone).base == "main"


@pytest.mark.parametrize("name", ["main", "master"])
def test_a_checkout_of_ci_has_only_the_branch_of_origin(git, repository, tmp_path, name):
    git(repository, "branch", "-m", "main", name)
    clone = tmp_path / "clone"
    git(tmp_path, "init", "-q", "clone")
    git(clone, "fetch", "-q", str(repository), f"{name}:refs/remotes/origin/{name}")
    git(clone, "checkout", "-q", "--detach", f"origin/{name}")
    (clone / "mine.txt").write_text("x")
    commit(git, clone)
    assert ask(clone) == ask(clone, name) == Changes(("mine.txt",), f"origin/{name}", None, True)


def test_branches_that_were_merged_into_each_other_have_an_answer(git, repository):
    git(repository, "branch", "topic")
    (repository / "theirs.txt").write_text("x")
    theirs = commit(git, repository)
    git(repository, "switch", "-q", "topic")
    (repository / "mine.txt").write_text("x")
    mine = commit(git, repository)
    git(repository, "merge", "-q", "--no-edit", theirs)
    git(repository, "switch", "-q", "main")
    git(repository, "merge", "-q", "--no-edit", mine)
    (repository / "later.txt").write_text("x")
    commit(git, repository)
    git(repository, "switch", "-q", "topic")
    answer = ask(repository)
    assert answer.complete
    assert set(answer.paths) <= {"mine.txt", "theirs.txt"}


def test_a_submodule_counts_as_its_directory(git, repository, tmp_path):
    git(tmp_path, "clone", "-q", str(repository), "library")
    git(repository, "submodule", "add", "-q", str(tmp_path / "library"), "vendor/library")
    commit(git, repository)
    assert ask(repository).paths == ()
    (repository / "vendor/library/a.txt").write_text("other")
    git(repository, "config", "diff.ignoreSubmodules", "all")
    assert ask(repository).paths == ("vendor/library",)
    commit(git, repository / "vendor/library")
    assert ask(repository).paths == ("vendor/library",)


def test_a_repository_inside_that_git_does_not_track_counts_as_its_directory(git, repository):
    (repository / "sub/inner").mkdir()
    git(repository / "sub/inner", "init", "-q")
    (repository / "sub/inner/x.txt").write_text("x")
    commit(git, repository / "sub/inner")
    assert ask(repository).paths == ("sub/inner",)
    assert ask(repository / "sub").paths == ("inner",)


def test_a_worktree_is_a_repository(git, repository, tmp_path):
    git(repository, "worktree", "add", "-q", "-b", "topic", str(tmp_path / "tree"))
    (tmp_path / "tree/mine.txt").write_text("x")
    assert ask(tmp_path / "tree").paths == ("mine.txt",)


def test_files_in_conflict_count_once(git, repository):
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "a.txt").write_text("mine")
    commit(git, repository)
    git(repository, "switch", "-q", "main")
    (repository / "a.txt").write_text("theirs")
    commit(git, repository)
    git(repository, "switch", "-q", "topic")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "main")
    assert ask(repository).paths == ("a.txt",)


def test_inside_a_git_hook_the_workspace_is_still_found(git, repository):
    (repository / "sub/c.txt").write_text("other")
    hook = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": "", "GIT_LITERAL_PATHSPECS": "1"}
    assert changes(Host({**Host().environ, **hook}), repository / "sub").paths == ("c.txt",)


# ---- no answer: complete is False, and the note says why


def incomplete(root: Path, base: str | None = None) -> str:
    answer = ask(root, base)
    assert not answer.complete
    assert answer.paths == ()
    assert answer.note is not None
    assert "\n" not in answer.note
    return answer.note


def test_not_a_repository(git, tmp_path):
    (tmp_path / "plain").mkdir()
    assert incomplete(tmp_path / "plain").endswith("is not in a git repository")


def test_no_commit_yet(git, tmp_path):
    git(tmp_path, "init", "-q", "new")
    assert incomplete(tmp_path / "new") == "the repository has no commit yet"


def test_no_base_branch(git, repository):
    git(repository, "branch", "-m", "main", "trunk")
    assert incomplete(repository).startswith("no base branch to compare with: none of origin/main, ")


def test_no_common_history(git, repository):
    git(repository, "switch", "-q", "--orphan", "other")
    commit(git, repository)
    assert incomplete(repository) == "HEAD and main have no common history"


def test_a_shallow_clone_is_named_as_the_cause(git, repository, tmp_path):
    git(repository, "switch", "-q", "-c", "topic")
    for name in ("x", "y"):
        (repository / name).write_text(name)
        commit(git, repository)
    git(repository, "switch", "-q", "main")
    git(tmp_path, "clone", "-q", "--depth", "1", "-b", "topic", f"file://{repository}", "shallow")
    shallow = tmp_path / "shallow"
    assert incomplete(shallow).endswith(
        "(this clone is shallow: fetch more of the history); affected.base names another"
    )
    git(shallow, "fetch", "-q", "--depth", "1", "origin", "main:refs/remotes/origin/main")
    assert (
        incomplete(shallow)
        == "HEAD and origin/main have no common history (this clone is shallow: fetch more of the history)"
    )
    git(shallow, "fetch", "-q", "--unshallow", "origin")
    assert ask(shallow) == Changes(("x", "y"), "origin/main", None, True)


@pytest.mark.parametrize(
    "base",
    [
        "--output=pwned",
        "-h",
        "--",
        "",
        " ",
        "no such",
        "main\0x",
        "main..HEAD",
        "HEAD^{tree}",
        ":a.txt",
        "@{u}",
        "$(touch pwned)",
        "main\n--output=pwned",
    ],
)
def test_a_base_that_is_no_revision_is_refused_and_does_nothing(git, repository, base):
    git(repository, "switch", "-q", "-c", "topic")
    note = incomplete(repository, base)
    assert "revision" in note
    assert not list(repository.rglob("pwned*"))


def test_a_branch_whose_name_looks_like_an_option_is_a_branch(git, repository):
    git(repository, "update-ref", "refs/heads/--output=pwned", "HEAD")
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "mine.txt").write_text("x")
    answer = ask(repository, "refs/heads/--output=pwned")
    assert answer.paths == ("mine.txt",)
    assert not list(repository.rglob("pwned"))


def test_a_repository_without_a_work_tree(git, repository, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare")
    assert incomplete(tmp_path / "bare") == "the workspace is in git's own directory"


def test_a_damaged_repository(git, repository):
    shutil.rmtree(repository / ".git/objects")
    (repository / ".git/objects").mkdir()
    incomplete(repository)


def test_no_git(tmp_path):
    host = Host({"PATH": str(tmp_path)})
    assert changes(host, tmp_path, None).note == "git is not installed, so nobody can say what has changed"


def test_a_git_that_does_not_answer(tmp_path):
    host = ScriptedHost({"git": finished()._replace(timed_out=True, returncode=-9)})
    assert not changes(host, tmp_path, None).complete

    def refuse(_: Command) -> Finished:
        raise MachineRefused("cannot start git: Too many open files")

    answer = changes(ScriptedHost({"git": refuse}), tmp_path, None)
    assert answer.note == "git could not be asked what has changed: cannot start git: Too many open files"


def test_four_processes_are_enough_and_the_index_is_left_alone(git, repository):
    git(repository, "switch", "-q", "-c", "topic")
    (repository / "b.txt").write_text("staged")
    git(repository, "add", "b.txt")
    index = repository / ".git/index"
    before = index.read_bytes(), index.stat().st_mtime_ns
    os.utime(repository / "a.txt", (1, 1))
    host = CountingHost()
    assert changes(host, repository).paths == ("b.txt",)
    assert len(host.commands) == 4
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before
    assert sorted(path.name for path in (repository / ".git").glob("index*")) == ["index"]


def test_an_index_in_two_parts_is_read_whole(git, repository):
    git(repository, "update-index", "--split-index")
    (repository / "b.txt").write_text("staged")
    git(repository, "add", "b.txt")
    (repository / "sub/c.txt").write_text("other")
    assert ask(repository).paths == ("b.txt", "sub/c.txt")


def test_without_room_for_a_copy_of_the_index_there_is_no_answer(git, repository, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert incomplete(repository).startswith("git could not be asked what has changed: cannot write ")
