"""The scratch folder and the copy of the work tree in it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildopt.bench.revision import export_revision, find_revision, switch
from buildopt.bench.scratch import open_scratch
from buildopt.bench.tree import Tree, copy_tree, duplicate, files_of, parts
from buildopt.cargo.model import Package, Target, Workspace
from buildopt.errors import ArgumentError, MachineRefused
from buildopt.host import Host
from buildopt.host.copies import copy_entry, remove_tree, tree_bytes
from buildopt.host.process import end_processes_in

GIT = (
    "git",
    "-c",
    "user.email=a@b",
    "-c",
    "user.name=a",
    "-c",
    "commit.gpgsign=false",
    "-c",
    "init.defaultBranch=main",
)
Write = Callable[[Path, Mapping[str, str]], Path]


def git(root: Path, *arguments: str) -> str:
    return subprocess.run((*GIT, *arguments), cwd=root, check=True, capture_output=True, text=True).stdout


def workspace(root: Path, *folders: Path) -> Workspace:
    packages = tuple(
        Package(str(folder), folder.name, "0.1.0", folder / "Cargo.toml", folder.is_relative_to(root), {}, (), ())
        for folder in folders
    )
    return Workspace(root, root / "target", packages, {}, 0, True)


def below(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if ".git" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found if not path.is_dir() or path.is_symlink()}


@pytest.fixture
def here(tmp_path: Path) -> Host:
    return Host({**os.environ, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")})


@pytest.fixture
def root(tmp_path: Path, tree: Write, need: Callable[[str], Path]) -> Path:
    """A repository with two commits, something edited, something new, something ignored, and a package beside it."""
    need("git")
    tree(tmp_path / "beside", {"Cargo.toml": "[package]\n", "src/lib.rs": "", "target/big": "x"})
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": "[workspace]\n", ".gitignore": "/target\nCargo.lock\n*.log\n/local\n", "a/Cargo.toml": "[package]\n",
            "a/src/lib.rs": "one", "gone.rs": "", "old.rs": "old", ".cargo/buildopt.toml": "[profile.dev]\ndebug = 0\n",
            ".cargo/config.toml": 'include = ["buildopt.toml"]\n# >>> buildopt >>>\n[build]\njobs = 1\n# <<< buildopt <<<\n',
        },
    )  # fmt: skip
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    git(root, "rm", "-q", "old.rs")
    (root / "a/src/lib.rs").write_text("two")
    git(root, "commit", "-qam", "two")
    tree(
        root,
        {
            "a/src/new.rs": "",
            "Cargo.lock": "lock",
            "a.log": "",
            "target/debug/x": "",
            "local/Cargo.toml": "[package]\n",
        },
    )
    (root / "gone.rs").unlink()
    (root / "a/src/lib.rs").write_text("edited")
    (root / "a/link").symlink_to("src/lib.rs")
    (root / "out").symlink_to("/etc")
    return root


def test_the_copy_has_what_git_knows_as_it_is_now_and_what_cargo_needs_beside(here: Host, root: Path) -> None:
    beside = root.parent / "beside"
    copied = copy_tree(here, workspace(root, root / "a", root / "local", beside), root.parent / "top")
    assert below(copied.root) == {
        "Cargo.toml", ".gitignore", "a/Cargo.toml", "a/src/lib.rs", "a/src/new.rs", "a/link", "out", "Cargo.lock",
        ".cargo/buildopt.toml", ".cargo/config.toml", "local/Cargo.toml",
    }  # fmt: skip
    assert below(copied.path(beside)) == {"Cargo.toml", "src/lib.rs"}
    assert (copied.root / "a/src/lib.rs").read_text() == "edited"
    assert os.readlink(copied.root / "out") == "/etc"
    assert os.readlink(copied.root / "a/link") == "src/lib.rs"


def test_sources_that_git_ignores_and_files_that_builds_read_beside_are_copied(
    here: Host, root: Path, tree: Write
) -> None:
    """A workspace in a folder of its repository, which has been built once."""
    inner = tree(
        root / "inner",
        {
            "Cargo.toml": "[workspace]\n", "a/Cargo.toml": "[package]\n", "a/src/lib.rs": "", "a/src/made.rs": "", "a/made.txt": "",
            ".gitignore": "made.*\ntarget\n", "../texts/read.txt": "", "../texts/other.txt": "",
            "target/debug/deps/a-0123456789abcdef.d": f"x.d: a\n\na/src/lib.rs:\n{root}/texts/read.txt:\n/etc/passwd:\n",
        },
    )  # fmt: skip
    found = workspace(inner, inner / "a")
    source = Target("a", ("lib",), str(inner / "a/src/lib.rs"), True, True)
    found = found._replace(packages=(found.packages[0]._replace(targets=(source,)),))
    copied = copy_tree(here, found, root.parent / "top")
    assert {"a/src/made.rs", "a/src/lib.rs"} <= below(copied.root)
    assert "a/made.txt" not in below(copied.root)
    assert below(copied.path(root / "texts")) == {"read.txt"}
    assert not (root.parent / "top/etc").exists()


def test_cargo_finds_there_nothing_that_buildopt_generated(here: Host, root: Path) -> None:
    copied = copy_tree(here, workspace(root, root / "a"), root.parent / "top")
    assert (copied.root / ".cargo/buildopt.toml").read_text() == ""
    assert (copied.root / ".cargo/config.toml").read_text() == 'include = ["buildopt.toml"]\n'
    assert "debug" in (root / ".cargo/buildopt.toml").read_text()


def test_build_scripts_find_the_history_and_git_calls_the_copy_what_it_calls_the_original(
    here: Host, root: Path
) -> None:
    before = git(root, "status", "--porcelain=v2", "--branch")
    copied = copy_tree(here, workspace(root, root / "a"), root.parent / "top")
    assert git(copied.root, "rev-parse", "HEAD") == git(root, "rev-parse", "HEAD")
    changed = {line for line in git(copied.root, "status", "--porcelain").splitlines() if ".cargo" not in line}
    assert changed == set(git(root, "status", "--porcelain").splitlines())
    assert git(root, "status", "--porcelain=v2", "--branch") == before


def test_configuration_in_folders_above_goes_along(here: Host, root: Path) -> None:
    (root.parent / ".cargo").mkdir()
    (root.parent / ".cargo/config.toml").write_text("[build]\njobs = 2\n")
    (root.parent / "elsewhere").mkdir()
    copied = copy_tree(here, workspace(root, root / "a"), root.parent / "elsewhere" / "top")
    # Cargo finds it above the copy, too, so that it must not be there twice.
    assert not (copied.root.parent / ".cargo").exists()
    other = copy_tree(here, workspace(root, root / "a"), Path(tempfile.mkdtemp()))
    try:
        assert (other.root.parent / ".cargo/config.toml").read_text() == "[build]\njobs = 2\n"
    finally:
        remove_tree(other.top)


def test_without_git_build_directories_stay_behind(here: Host, tmp_path: Path, tree: Write) -> None:
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": "[workspace]\n", "src/target/mod.rs": "", "target/x": "", "a/node_modules/x": "", "a/.buildopt/x": "",
            "cache/CACHEDIR.TAG": "", "cache/x": "", "a/Cargo.toml": "",
        },
    )  # fmt: skip
    copied = copy_tree(here, workspace(root, root / "a"), tmp_path / "top")
    assert below(copied.root) == {"Cargo.toml", "src/target/mod.rs", "a/Cargo.toml"}


def test_nobody_wants_the_home_folder_copied(here: Host, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(MachineRefused, match="would have to be copied"):
        list(files_of(here, tmp_path))


def test_a_package_in_another_part_is_no_part(tmp_path: Path) -> None:
    root, beside = tmp_path / "ws", tmp_path / "beside"
    assert set(parts(workspace(root, root / "a", beside / "x", beside))) == {root, beside}
    assert parts(workspace(root, tmp_path)) == (tmp_path,)


def test_a_revision_is_written_out_without_touching_index_or_work_tree(here: Host, root: Path) -> None:
    found = workspace(root, root / "a")
    before = git(root, "status", "--porcelain=v2")
    copied = export_revision(here, found, find_revision(here, root, "HEAD^"), root.parent / "top")
    assert (copied.root / "a/src/lib.rs").read_text() == "one"
    assert "old.rs" in below(copied.root)
    assert "a/src/new.rs" not in below(copied.root)
    assert git(copied.root, "rev-parse", "HEAD") == git(root, "rev-parse", "HEAD^")
    assert git(root, "status", "--porcelain=v2") == before


def test_a_switch_is_what_differs_and_leaves_new_files_alone(here: Host, root: Path) -> None:
    found = workspace(root, root / "a")
    one = copy_tree(here, found, root.parent / "one")
    other = export_revision(here, found, find_revision(here, root, "HEAD^"), root.parent / "other")
    changes = {Path(change.path).name: (change.here, change.there) for change in switch(here, found, one, other)}
    assert set(changes) == {"lib.rs", "old.rs", "gone.rs"}
    assert changes["old.rs"][0] is None
    assert changes["lib.rs"][0] is not None
    assert changes["lib.rs"][0][0] == b"edited"


@pytest.mark.parametrize("revision", ["nope", "--all", "HEAD~99", "main..HEAD"])
def test_what_git_does_not_know_is_said(here: Host, root: Path, revision: str) -> None:
    with pytest.raises(ArgumentError, match="git knows no revision"):
        find_revision(here, root, revision)


def test_a_copy_of_a_copy_is_the_same_at_another_place(here: Host, root: Path) -> None:
    one = copy_tree(here, workspace(root, root / "a"), root.parent / "one")
    two = duplicate(one, root.parent / "two")
    assert below(one.top) == below(two.top)
    assert two.root == two.path(root)


def test_the_scratch_folder_is_gone_afterwards_whatever_happens(here: Host, tmp_path: Path) -> None:
    seen: list[Path] = []

    def use() -> None:
        with open_scratch(here, tmp_path / "ws") as (folder, left):
            assert left == 0
            seen.append(folder)
            (folder / "x").mkdir()
            (folder / "x").chmod(0o500)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        use()
    assert not seen[0].exists()


def test_a_second_one_says_who_is_there(here: Host, tmp_path: Path) -> None:
    with open_scratch(here, tmp_path / "ws"):
        with pytest.raises(MachineRefused, match=f"process {os.getpid()} measures this workspace"):
            open_scratch(here, tmp_path / "ws").__enter__()
        with open_scratch(here, tmp_path / "another"):
            pass


def test_what_a_killed_one_left_is_removed_and_what_it_left_running_is_ended(here: Host, tmp_path: Path) -> None:
    with open_scratch(here, tmp_path / "ws") as (folder, _):
        left = folder.with_name("use-1-1")
    left.mkdir(parents=True)
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=left, start_new_session=True)
    with open_scratch(here, tmp_path / "ws") as (_, count):
        assert count == 1
        assert not left.exists()
    assert orphan.wait(10) == -9


def test_a_place_that_changes_what_cargo_reads_is_refused(here: Host, tmp_path: Path) -> None:
    with pytest.raises(MachineRefused, match="lies in the workspace"):
        open_scratch(here, tmp_path).__enter__()
    (tmp_path / "cache" / ".cargo").mkdir(parents=True)
    (tmp_path / "cache" / ".cargo" / "config.toml").write_text("")
    with pytest.raises(MachineRefused) as found:
        open_scratch(here, tmp_path / "ws").__enter__()
    assert "XDG_CACHE_HOME" in str(found.value.hint)


def test_a_full_disk_while_copying_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(MachineRefused) as found:
        copy_entry(tmp_path / "a", tmp_path / "b")
    assert found.value.hint == "free some disk space"


def test_bytes_of_a_tree_count_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a").write_bytes(b"12345")
    os.link(tmp_path / "x/a", tmp_path / "b")
    (tmp_path / "c").symlink_to("/etc")
    assert tree_bytes(tmp_path) == 5 + len("/etc")


def test_only_processes_that_work_there_are_ended(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-not"
    inside.mkdir()
    outside.mkdir()
    sleepers = [
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=at, start_new_session=True)
        for at in (inside, outside)
    ]
    try:
        time.sleep(0.05)
        end_processes_in(inside)
        assert sleepers[0].wait(10) == -9
        assert sleepers[1].poll() is None
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def test_the_copy_of_a_path_is_below_its_top() -> None:
    assert Tree(Path("/top"), Path("/top/ws")).path(Path("/ws/a")) == Path("/top/ws/a")
