from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildopt.errors import MachineRefused
from buildopt.host import Command, Files, Finished, Host
from buildopt.host.files import digest
from buildopt.watch.places import Places
from buildopt.watch.tree import Edit, Tree

NEVER = (Path(".git"), Path("node_modules"), Path(".buildopt"))


class CountingFiles(Files):
    """The real files, which remember what was read and refuse what a test says."""

    def __init__(self) -> None:
        self.read_paths: list[str] = []
        self.refused: set[str] = set()

    def read(self, path: Path | str) -> bytes | None:
        self.read_paths.append(str(path))
        if str(path) in self.refused:
            raise MachineRefused(f"cannot read {path}")
        return super().read(path)


class CountingHost(Host):
    """The real host, which counts the processes it starts."""

    def __init__(self, files: Files | None = None) -> None:
        super().__init__(files=files)
        self.commands: list[Command] = []

    def run(self, command: Command, **options) -> Finished:
        self.commands.append(command)
        return super().run(command, **options)


@pytest.fixture
def files() -> CountingFiles:
    return CountingFiles()


@pytest.fixture
def host(files: CountingFiles) -> CountingHost:
    return CountingHost(files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ws"
    write(root, {"Cargo.toml": "[workspace]\n", "src/lib.rs": "one", "src/shapes/mod.rs": "two", "target/x": "built"})
    return root


def write(root: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def usual(root: Path, *files: str) -> Places:
    named = ("Cargo.toml", "Cargo.lock", ".cargo/config.toml", *files)
    return Places(
        (root / "src", root / "tests"),
        tuple(Path(os.path.normpath(root / name)) for name in named),
        (root / "target", *NEVER),
    )


@pytest.fixture
def start(host: CountingHost, root: Path) -> Callable[..., Tree]:
    """Return a function that returns a tree which has read everything."""

    def scanned(places: Places | None = None, *, read: bool = True) -> Tree:
        tree = Tree(host, root, places or usual(root))
        tree.scan()
        while read and tree.unread:
            assert tree.read_ahead(60) == ()
        return tree

    return scanned


def of(text: str) -> str:
    return digest(text.encode())


def look(tree: Tree, *paths: Path) -> tuple[Edit, ...]:
    return tree.look(map(str, paths))


def test_an_edit_is_told_with_both_contents_and_only_once(start, root: Path) -> None:
    tree = start()
    write(root, {"src/lib.rs": "changed"})
    assert look(tree, root / "src/lib.rs") == (Edit("src/lib.rs", of("one"), of("changed")),)
    assert look(tree, root / "src/lib.rs") == ()
    assert tree.rescan() == ()


def test_a_comparison_of_everything_finds_what_nobody_told(start, root: Path) -> None:
    tree = start()
    write(root, {"src/new/deep/mod.rs": "new", "tests/a.rs": "test", "Cargo.lock": "lock"})
    (root / "src/lib.rs").unlink()
    assert set(tree.rescan()) == {
        Edit("src/new/deep/mod.rs", None, of("new")),
        Edit("tests/a.rs", None, of("test")),
        Edit("Cargo.lock", None, of("lock")),
        Edit("src/lib.rs", of("one"), None),
    }


def test_what_leaves_the_content_as_it_is_is_no_edit(start, root: Path) -> None:
    tree = start()
    path = root / "src/lib.rs"
    saves: list[Callable[[], object]] = [
        lambda: os.utime(path, ns=(1, 1)),
        lambda: path.write_text("one"),
        lambda: path.chmod(0o755),
        lambda: (path.with_name("other").write_text("one"), os.replace(path.with_name("other"), path)),
        lambda: (path.unlink(), path.write_text("one")),
    ]
    for save in saves:
        save()
        assert look(tree, path) == ()
        assert tree.rescan() == ()


def test_a_change_within_one_tick_of_the_clock_is_found(start, root: Path) -> None:
    """Same size, same times, same inode: the stamp says nothing, so what was just saved is read again."""
    tree = start()
    path = root / "src/lib.rs"
    write(root, {"src/lib.rs": "two"})
    assert look(tree, path)
    before = path.stat()
    for text in ("abc", "abd"):
        write(root, {"src/lib.rs": text})
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert tree.rescan() == (Edit("src/lib.rs", of({"abc": "two", "abd": "abc"}[text]), of(text)),)


def test_what_was_not_read_yet_counts_by_its_stamp(start, root: Path) -> None:
    tree = start(read=False)
    assert tree.unread
    (root / "src/lib.rs").chmod(0o600)
    assert look(tree, root / "src/lib.rs") == (), "a change of mode is no edit"
    write(root, {"src/shapes/mod.rs": "changed"})
    (edit,) = look(tree, root / "src/shapes/mod.rs")
    assert edit.before is not None
    assert edit.before.startswith("stamp:")
    assert edit.after == of("changed")


def test_reading_ahead_finds_what_has_changed_since_the_scan(start, root: Path) -> None:
    tree = start(read=False)
    write(root, {"src/lib.rs": "changed"})
    edits = tree.read_ahead(60)
    assert [edit.path for edit in edits] == ["src/lib.rs"]
    assert not tree.unread


def test_reading_ahead_stops_when_its_time_is_over_and_goes_on_where_it_was(start, root: Path) -> None:
    write(root, {f"src/f{number}.rs": str(number) for number in range(50)})
    tree = start(read=False)
    turns = 0
    while tree.unread:
        tree.read_ahead(0)
        turns += 1
    assert turns > 10
    write(root, {"src/f7.rs": "changed"})
    assert tree.rescan() == (Edit("src/f7.rs", of("7"), of("changed")),)


def test_reading_ahead_ends_although_files_cannot_be_read(start, files: CountingFiles, root: Path) -> None:
    files.refused = {str(root / "src/lib.rs"), str(root / "src/shapes/mod.rs")}
    tree = start(read=False)
    for _ in range(20):
        tree.read_ahead(0)
    assert not tree.unread
    assert tree.rescan() == ()


def test_only_what_has_another_stamp_is_read_again(start, files: CountingFiles, root: Path) -> None:
    for path in (root / "src/lib.rs", root / "src/shapes/mod.rs", root / "Cargo.toml"):
        os.utime(path, ns=(1, 1))
    tree = start()
    files.read_paths.clear()
    assert tree.rescan() == ()
    assert files.read_paths == []


def test_directories_that_appear_vanish_and_return_are_followed(start, root: Path) -> None:
    tree = start()
    write(root, {"src/a/b/c.rs": "c", "src/a/d.rs": "d"})
    assert set(look(tree, root / "src/a")) == {Edit("src/a/b/c.rs", None, of("c")), Edit("src/a/d.rs", None, of("d"))}
    assert str(root / "src/a/b") in tree.directories()
    shutil.rmtree(root / "src/a")
    assert {edit.path for edit in look(tree, root / "src/a", root / "src/a/b")} == {"src/a/b/c.rs", "src/a/d.rs"}
    assert str(root / "src/a") not in tree.directories()
    write(root, {"src/a/d.rs": "d2"})
    assert look(tree, root / "src/a") == (Edit("src/a/d.rs", None, of("d2")),)


def test_a_directory_that_is_renamed_is_removed_here_and_added_there(start, root: Path) -> None:
    tree = start()
    (root / "src/shapes").rename(root / "src/forms")
    assert set(look(tree, root / "src/shapes", root / "src/forms")) == {
        Edit("src/shapes/mod.rs", of("two"), None),
        Edit("src/forms/mod.rs", None, of("two")),
    }


def test_a_file_that_becomes_a_directory_and_back(start, root: Path) -> None:
    tree = start()
    path = root / "src/lib.rs"
    path.unlink()
    write(root, {"src/lib.rs/mod.rs": "inside"})
    assert set(look(tree, path)) | set(tree.rescan()) == {
        Edit("src/lib.rs", of("one"), None), Edit("src/lib.rs/mod.rs", None, of("inside")),
    }  # fmt: skip
    shutil.rmtree(path)
    path.write_text("one")
    assert set(look(tree, path)) | set(tree.rescan()) == {
        Edit("src/lib.rs", None, of("one")), Edit("src/lib.rs/mod.rs", of("inside"), None),
    }  # fmt: skip


def test_the_directories_show_also_what_is_not_there_yet(start, root: Path, tmp_path: Path) -> None:
    """A missing directory is seen through the one in which it will be made; what is above the root is not ours."""
    places = usual(root, "crates/deep/core/Cargo.toml", "../other/dep/Cargo.toml")
    assert start(places).directories() == [str(tmp_path), str(root), str(root / "src"), str(root / "src/shapes")]
    write(root, {"crates/deep/core/Cargo.toml": "", ".cargo/config.toml": "", "../other/dep/Cargo.toml": ""})
    directories = set(start(places).directories())
    assert directories >= {str(root / name) for name in ("crates", "crates/deep", "crates/deep/core", ".cargo")}
    assert str(tmp_path / "other/dep") in directories
    assert str(tmp_path) not in directories


def test_what_never_counts_is_not_entered(start, root: Path) -> None:
    tree = start()
    write(root, {"src/node_modules/x.js": "x", "src/.git/HEAD": "x", "target/debug/y": "y", "notes.txt": "z"})
    assert tree.rescan() == ()
    assert look(tree, root / "src/node_modules", root / "target", root / "notes.txt", root / "src/.git") == ()
    assert not any("target" in path or "node_modules" in path or ".git" in path for path in tree.directories())


def test_what_an_editor_writes_beside_a_file_is_no_edit(start, root: Path) -> None:
    tree = start()
    write(root, {f"src/{name}": "x" for name in (".lib.rs.swp", "4913", "lib.rs~", "#lib.rs#", "lib.rs___jb_tmp___")})
    os.symlink("someone@somewhere.1", root / "src/.#lib.rs")
    assert look(tree, *(root / "src").iterdir()) == ()
    assert tree.rescan() == ()
    assert tree.files == 3


def test_a_file_that_is_named_counts_whatever_it_is_called(start, root: Path) -> None:
    tree = start(usual(root, "src/backup~"))
    write(root, {"src/backup~": "x"})
    assert look(tree, root / "src/backup~") == (Edit("src/backup~", None, of("x")),)


def test_a_declared_directory_is_watched_with_all_that_is_in_it(start, root: Path) -> None:
    tree = start(usual(root, "proto"))
    write(root, {"proto/v1/a.proto": "a"})
    assert look(tree, root / "proto") == (Edit("proto/v1/a.proto", None, of("a")),)
    write(root, {"proto/v1/b.proto": "b"})
    assert look(tree, root / "proto/v1/b.proto") == (Edit("proto/v1/b.proto", None, of("b")),)


def test_of_a_flat_directory_only_its_own_files_count(start, root: Path) -> None:
    tree = start(usual(root)._replace(flat=(root,)))
    write(root, {"shapes.rs": "x", "docs/page.md": "y"})
    assert tree.rescan() == (Edit("shapes.rs", None, of("x")),)
    assert look(tree, root / "docs", root / "docs/page.md") == ()


def test_a_symlink_to_a_file_counts_by_what_is_in_the_file(start, root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.rs").write_text("shared")
    os.symlink(tmp_path / "shared.rs", root / "src/shared.rs")
    tree = start()
    (tmp_path / "shared.rs").write_text("changed")
    assert tree.rescan() == (Edit("src/shared.rs", of("shared"), of("changed")),)
    (tmp_path / "shared.rs").unlink()
    assert tree.rescan() == (Edit("src/shared.rs", of("changed"), None),)


def test_symlinks_to_directories_are_not_entered_so_no_loop_is(start, root: Path) -> None:
    os.symlink(root / "src", root / "src/again")
    os.symlink("loop", root / "src/loop")
    tree = start()
    assert tree.files == 3
    assert look(tree, root / "src/again", root / "src/loop") == ()


def test_what_is_no_regular_file_is_never_opened(start, root: Path) -> None:
    """A pipe would hold the thread until somebody writes into it."""
    os.mkfifo(root / "src/pipe")
    tree = start()
    assert look(tree, root / "src/pipe") == ()
    (root / "src/lib.rs").unlink()
    os.mkfifo(root / "src/lib.rs")
    assert look(tree, root / "src/lib.rs") == (Edit("src/lib.rs", of("one"), None),)


def test_a_file_that_cannot_be_read_counts_by_its_stamp(start, files: CountingFiles, root: Path) -> None:
    tree = start()
    path = root / "src/lib.rs"
    files.refused.add(str(path))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    path.chmod(0)
    assert look(tree, path) == (), "that it cannot be read any more says nothing about its content"
    path.chmod(0o644)
    path.write_text("other")
    (edit,) = look(tree, path)
    assert edit.before == of("one")
    assert edit.after is not None
    assert edit.after.startswith("stamp:")
    assert look(tree, path) == ()


def test_a_huge_file_counts_by_its_stamp_and_is_not_read(start, files: CountingFiles, root: Path) -> None:
    path = root / "src/data.bin"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    tree = start()
    assert str(path) not in files.read_paths
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(1, 1))
    (edit,) = look(tree, path)
    assert edit.after is not None
    assert edit.after.startswith("stamp:")


def test_names_that_are_not_text_are_left_alone(start, root: Path) -> None:
    tree = start()
    os.mkdir(os.fsencode(root / "src") + b"/\xff")
    with open(os.fsencode(root / "src") + b"/\xfe.rs", "w") as file:
        file.write("x")
    assert tree.rescan() == ()
    assert look(tree, *(root / "src").iterdir()) == ()


def test_a_directory_that_cannot_be_listed_keeps_what_was_known(start, root: Path, monkeypatch) -> None:
    """Injected, for a test that runs as root could list it."""
    tree = start()
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("shapes"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert tree.rescan() == ()
        assert tree.unreadable == {str(root / "src/shapes"): "Permission denied"}
        assert str(root / "src/shapes") not in tree.directories()
    write(root, {"src/shapes/mod.rs": "changed"})
    assert tree.rescan() == (Edit("src/shapes/mod.rs", of("two"), of("changed")),)
    assert tree.unreadable == {}


class Clock(CountingHost):
    """The real host with a clock that a test moves."""

    at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.mark.parametrize("everything", [False, True])
def test_a_known_file_that_is_missing_or_empty_may_just_be_being_saved(root: Path, everything: bool) -> None:
    host = Clock()
    tree = Tree(host, root, usual(root), missing_seconds=0.015, empty_seconds=0.25)
    tree.scan()
    tree.read_ahead(60)
    path = root / "src/lib.rs"

    def found() -> tuple[Edit, ...]:
        return tree.rescan() if everything else look(tree, path)

    def empty() -> None:
        path.write_text("")

    for doubt in (path.unlink, empty):
        doubt()
        assert found() == ()
        assert tree.doubtful() == {str(path)}
        path.write_text("one")
        assert found() == ()
        assert tree.doubtful() == set()
    path.write_text("")
    assert found() == ()
    host.at += 0.2
    assert found() == (), "a busy machine has not come to the writing yet"
    host.at += 0.1
    assert look(tree, *map(Path, tree.doubtful())) == (Edit("src/lib.rs", of("one"), of("")),)
    path.unlink()
    assert found() == ()
    host.at += 0.02
    assert found() == (Edit("src/lib.rs", of(""), None),)
    assert tree.doubtful() == set()
    path.write_text("")
    assert found() == ()
    path.write_text("new")
    assert found() == (Edit("src/lib.rs", None, of("new")),)
    assert tree.doubtful() == set()


def test_moving_tells_what_has_changed_and_not_what_comes_in(start, root: Path) -> None:
    write(root, {"data/a.txt": "a", "README.md": "r"})
    tree = start()
    write(root, {"src/lib.rs": "changed", "src/fresh/new.rs": "new"})
    more = usual(root, "README.md")
    edits = tree.move_to(more._replace(trees=(*more.trees, root / "data")))
    assert set(edits) == {Edit("src/lib.rs", of("one"), of("changed")), Edit("src/fresh/new.rs", None, of("new"))}
    assert tree.read_ahead(60) == ()
    write(root, {"data/a.txt": "b", "README.md": "s"})
    assert set(tree.rescan()) == {Edit("data/a.txt", of("a"), of("b")), Edit("README.md", of("r"), of("s"))}
    (root / "src/shapes/mod.rs").unlink()
    assert tree.move_to(Places((root / "tests",), (), NEVER)) == (), "what is not watched any more is not removed"
    assert tree.files == 0


# What git ignores.


@pytest.fixture
def repository(need, root: Path, monkeypatch, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs git in the workspace, which is a repository with `.gitignore`."""
    program = need("git")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "gc.auto=0")
        command = [program, *who, *arguments]
        return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout

    write(root, {".gitignore": "target/\n*.log\ngen/\n"})
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "one")
    return git


def test_ignored_files_are_no_edits_whether_they_were_there_or_come(repository, start, host, root: Path) -> None:
    write(root, {"src/old.log": "x", "src/gen/deep/x.rs": "x"})
    tree = start()
    assert tree.files == 3
    asked = len(host.commands)
    write(root, {"src/new.log": "x", "src/gen/deep/y.rs": "y", "src/old.log": "changed", "src/more/gen/z.rs": "z"})
    paths = [root / "src/new.log", root / "src/gen/deep/y.rs", root / "src/old.log", root / "src/more"]
    assert look(tree, *paths) == ()
    assert tree.rescan() == ()
    assert not any("gen" in path for path in tree.directories())
    assert len(host.commands) - asked <= 3
    write(root, {"src/more/new.log": "again"})
    assert look(tree, root / "src/new.log", root / "src/more/gen") == ()


def test_a_new_name_costs_one_question_and_an_edit_none(repository, start, host, root: Path) -> None:
    tree = start()
    asked = len(host.commands)
    for text in ("a", "b", "c"):
        write(root, {"src/lib.rs": text})
        assert look(tree, root / "src/lib.rs")
    assert len(host.commands) == asked
    for text in ("a", "b"):
        write(root, {"src/new.rs": text})
        assert look(tree, root / "src/new.rs")
        (root / "src/new.rs").unlink()
        assert look(tree, root / "src/new.rs")
    assert len(host.commands) == asked + 1


def test_many_new_names_are_one_question(repository, start, host, root: Path) -> None:
    tree = start()
    asked = len(host.commands)
    write(root, {f"src/many/f{number}.{end}": "x" for number in range(300) for end in ("rs", "log")})
    assert len(look(tree, root / "src/many")) == 300
    assert len(host.commands) == asked + 1


def test_a_named_file_counts_although_it_is_ignored(repository, start, root: Path) -> None:
    tree = start(usual(root, "src/settings.log"))
    write(root, {"src/settings.log": "x", "src/other.log": "y"})
    assert look(tree, root / "src/settings.log", root / "src/other.log") == (Edit("src/settings.log", None, of("x")),)


def test_a_tree_that_is_ignored_as_a_whole_was_named_and_counts(repository, start, root: Path) -> None:
    write(root, {"gen/proto/a.rs": "a"})
    tree = start(usual(root)._replace(trees=(root / "gen/proto",)))
    assert tree.files == 2
    write(root, {"gen/proto/b.rs": "b"})
    assert look(tree, root / "gen/proto/b.rs") == (Edit("gen/proto/b.rs", None, of("b")),)
    write(root, {"gen/proto/deep/c.rs": "c"})
    assert look(tree, root / "gen/proto/deep") == (Edit("gen/proto/deep/c.rs", None, of("c")),)


def test_tracked_files_count_although_a_pattern_matches_them(repository, start, root: Path) -> None:
    write(root, {"src/kept.log": "kept"})
    repository("add", "-f", "src/kept.log")
    tree = start()
    write(root, {"src/kept.log": "changed"})
    assert look(tree, root / "src/kept.log") == (Edit("src/kept.log", of("kept"), of("changed")),)


def test_another_gitignore_is_heeded_at_once(repository, start, root: Path) -> None:
    write(root, {"src/old.log": "x"})
    tree = start()
    write(root, {".gitignore": "target/\nshapes/\n"})
    edits = look(tree, root / ".gitignore")
    assert set(edits) == {Edit("src/old.log", None, of("x")), Edit("src/shapes/mod.rs", of("two"), None)} - {
        Edit("src/shapes/mod.rs", of("two"), None)
    }, "src/shapes/mod.rs is tracked"


def test_a_path_dependency_outside_has_its_own_ignored_files(repository, start, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, {".gitignore": "*.log\n", "src/lib.rs": "dep", "src/a.log": "x"})
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    tree = start(usual(root)._replace(trees=(other / "src", root / "src")))
    assert tree.files == 4
    write(other, {"src/b.log": "x", "src/lib.rs": "changed"})
    assert look(tree, other / "src/b.log", other / "src/lib.rs") == (
        Edit("../other/src/lib.rs", of("dep"), of("changed")),
    )


def test_nothing_is_written_into_the_repository(repository, start, root: Path) -> None:
    def state() -> Iterator[tuple[str, bytes]]:
        for path in sorted((root / ".git").rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes()

    os.utime(root / "src/lib.rs", ns=(1, 1))
    before = list(state())
    tree = start()
    write(root, {"src/new.rs": "x"})
    tree.rescan()
    assert list(state()) == before


# Whatever is done: the sum of the edits is the difference of the contents.

NAMES = st.sampled_from(["a.rs", "b.rs", "d", "d/a.rs", "d/b.rs", "d/e", "d/e/a.rs", "x"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["write", "save", "remove", "rename", "mkdir", "touch"]), NAMES, NAMES, st.sampled_from("123")),
    max_size=12,
)  # fmt: skip


def do(base: Path, operation: str, name: str, other: str, text: str) -> None:
    """Do something to the files under `base`, or nothing where that is not possible."""
    path = base / name
    try:
        if operation == "write":
            path.write_text(text)
        elif operation == "save":
            path.with_name("tmp-of-nobody").write_text(text)
            os.replace(path.with_name("tmp-of-nobody"), path)
        elif operation == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif operation == "rename":
            path.rename(base / other)
        elif operation == "mkdir":
            path.mkdir(parents=True)
        else:
            os.utime(path)
    except OSError:
        (base / "tmp-of-nobody").unlink(missing_ok=True)


def contents(root: Path) -> dict[str, str]:
    found = (path for path in (root / "src").rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): of(path.read_text()) for path in found}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=OPERATIONS, rounds=st.lists(st.tuples(OPERATIONS, st.lists(NAMES, max_size=3), st.booleans()), max_size=4)
)
def test_the_sum_of_the_edits_is_the_difference_of_the_contents(tmp_path_factory, before, rounds) -> None:
    root = tmp_path_factory.mktemp("model")
    (root / "src").mkdir()
    for operation in before:
        do(root / "src", *operation)
    tree = Tree(Host({"PATH": ""}), root, Places((root / "src",), (), NEVER))
    tree.scan()
    tree.read_ahead(60)
    told = contents(root)
    for operations, names, everything in rounds:
        for operation in operations:
            do(root / "src", *operation)
        edits = [*tree.look(str(root / "src" / name) for name in names), *(tree.rescan() if everything else ())]
        for edit in edits:
            assert edit.before == told.get(edit.path)
            assert edit.before != edit.after
            told = {path: content for path, content in told.items() if path != edit.path}
            if edit.after is not None:
                told[edit.path] = edit.after
    for edit in tree.rescan():
        told = {path: content for path, content in told.items() if path != edit.path}
        if edit.after is not None:
            told[edit.path] = edit.after
    assert told == contents(root)
    assert tree.files == len(told)
