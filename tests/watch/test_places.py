from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.model import Package, Target, Workspace
from buildopt.host import Host
from buildopt.testing import ScriptedHost, finished
from buildopt.watch.ignored import Ignored
from buildopt.watch.places import Places, Wanted, is_temporary, places, within

ROOT = Path("/w/ws")
PROFILE = ROOT / "buildopt.toml"


def package(directory: str, *targets: tuple[str, str]) -> Package:
    path = ROOT / directory
    made = tuple(Target("t", (kind,), os.path.normpath(path / source), True, True) for kind, source in targets)
    manifest = Path(os.path.normpath(path)) / "Cargo.toml"
    return Package(f"path+{directory}", "p", "0.1.0", manifest, not directory.startswith(".."), {}, (), made)


def workspace(*packages: Package) -> Workspace:
    return Workspace(ROOT, ROOT / "target", packages, {}, 0, True)


def placed(*packages: Package, extra: tuple[Path, ...] = (), profile: Path = PROFILE) -> Places:
    return places(workspace(*packages), profile, extra)


def relative(paths: tuple[Path, ...]) -> set[str]:
    return {os.path.relpath(path, ROOT) for path in paths}


LIBRARY = ("lib", "src/lib.rs")


def test_a_package_is_watched_where_its_targets_are_and_where_they_may_come() -> None:
    found = placed(package("core", LIBRARY, ("bin", "tools/fix.rs"), ("test", "tests/ui/main.rs")))
    assert relative(found.trees) == {f"core/{name}" for name in ("src", "tests", "benches", "examples", "tools")}


def test_the_files_that_steer_a_build_are_watched_whether_they_exist_or_not() -> None:
    found = relative(placed(package("core", LIBRARY, ("custom-build", "build.rs")), extra=(Path("data/x.txt"),)).files)
    assert found >= {
        "Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml", ".cargo/config",
        ".cargo/buildopt.toml", "buildopt.toml", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml",
        ".config/nextest.toml", "core/Cargo.toml", "core/build.rs", "core/clippy.toml", "data/x.txt",
    }  # fmt: skip


def test_a_profile_elsewhere_is_watched_there() -> None:
    assert Path("/etc/team.toml") in placed(profile=Path("/etc/team.toml")).files


def test_a_root_package_is_watched_in_its_directories_and_not_as_a_whole() -> None:
    found = placed(package(".", LIBRARY, ("custom-build", "build.rs")), package("member", LIBRARY))
    assert relative(found.trees) >= {"src", "tests", "member/src"}
    assert ROOT not in found.trees
    assert found.flat == ()


def test_what_lies_beside_a_target_at_the_root_counts_and_the_root_is_still_no_tree() -> None:
    found = placed(package(".", ("lib", "lib.rs")))
    assert ROOT not in found.trees
    assert relative(found.files) >= {"lib.rs"}
    assert found.flat == (ROOT,)
    assert Wanted(str(ROOT), found).covers(str(ROOT / "module.rs"))
    assert not Wanted(str(ROOT), found).covers(str(ROOT / "docs" / "page.md"))


def test_a_package_with_a_target_in_its_own_directory_is_watched_as_a_whole() -> None:
    """Its modules may be anywhere below: `lib.rs` says `mod shapes;` and means `shapes/mod.rs`."""
    found = placed(package("flat", ("lib", "lib.rs")))
    assert relative(found.trees) == {"flat"}


def test_a_build_script_alone_makes_no_tree_of_its_package() -> None:
    found = placed(package("core", LIBRARY, ("custom-build", "make.rs")))
    assert "core" not in relative(found.trees)
    assert "core/make.rs" in relative(found.files)


def test_path_dependencies_outside_of_the_root_are_watched_with_the_manifests_above_them() -> None:
    found = placed(package("../other/crates/dep", LIBRARY))
    assert relative(found.trees) >= {"../other/crates/dep/src"}
    assert relative(found.files) >= {
        "../other/crates/dep/Cargo.toml",
        "../other/crates/Cargo.toml",
        "../other/Cargo.toml",
    }
    assert "../Cargo.toml" not in relative(found.files), "what holds the root is nobody's manifest"


def test_a_package_that_holds_the_root_does_not_make_a_tree_of_it() -> None:
    """As the package that a fuzzing workspace inside it depends on."""
    found = placed(package("..", LIBRARY, ("bin", "main.rs")), package(".", ("bin", "fuzz_targets/a.rs")))
    assert not any(within(str(ROOT), str(tree)) for tree in found.trees)
    assert relative(found.trees) >= {"../src", "fuzz_targets"}
    assert found.flat == (ROOT.parent,)


def test_declared_files_in_the_target_directory_or_a_vcs_folder_are_nobodys_edits() -> None:
    extra = (ROOT / "target/debug/build/x/out/gen.rs", ROOT / ".git/HEAD", Path(".buildopt/kept"), Path("data"))
    assert (
        relative(placed(extra=extra).files) & {"target/debug/build/x/out/gen.rs", ".git/HEAD", ".buildopt/kept"}
        == set()
    )
    assert "data" in relative(placed(extra=extra).files)


def test_where_the_root_lies_does_not_matter_for_what_never_counts() -> None:
    root = Path("/w/.buildopt/scratch")
    found = places(Workspace(root, root / "target", (), {}, 0, False), root / "buildopt.toml")
    assert root / "buildopt.toml" in found.files


def test_the_target_directory_and_vcs_folders_are_never_watched() -> None:
    never = placed().never
    assert never[0] == ROOT / "target"
    assert {str(path) for path in never[1:]} >= {".buildopt", ".git", ".hg", ".jj", ".svn", "node_modules"}


def test_a_workspace_may_lie_at_the_root_of_the_file_system() -> None:
    """As in a container."""
    manifest = Package(
        "path+/", "p", "0.1.0", Path("/Cargo.toml"), True, {}, (), (Target("p", ("lib",), "/src/lib.rs", True, True),)
    )
    found = places(Workspace(Path("/"), Path("/target"), (manifest,), {}, 0, True), Path("/buildopt.toml"))
    assert set(map(str, found.trees)) == {"/src", "/tests", "/benches", "/examples"}
    assert {"/Cargo.toml", "/buildopt.toml", "/.cargo/config.toml"} <= set(map(str, found.files))
    assert Wanted("/", found).covers("/Cargo.toml")


def test_a_declared_directory_above_the_root_does_not_make_a_tree_of_it() -> None:
    found = placed(package(".", LIBRARY), extra=(ROOT,))
    assert found.flat == (ROOT,)
    assert ROOT not in found.files


NAMES = st.sampled_from(["src", "tests", "core", "..", "x.rs", "lib.rs", "target", ".git", "a"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(PATHS, st.lists(PATHS, max_size=3)), max_size=4), st.lists(PATHS, max_size=4))
def test_whatever_a_workspace_is_made_of_its_root_is_no_tree_and_no_tree_lies_in_another(
    packages: list[tuple[str, list[str]]], extra: list[str]
) -> None:
    made = (package(directory, *(("bin", source) for source in sources)) for directory, sources in packages)
    found = placed(*made, extra=tuple(map(Path, extra)))
    assert not any(within(str(ROOT), str(tree)) for tree in found.trees)
    assert not any(one != two and within(str(one), str(two)) for one in found.trees for two in found.trees)
    wanted = Wanted(str(ROOT), found)
    for directory, _ in packages:
        assert wanted.covers(os.path.normpath(ROOT / directory / "src/lib.rs"))
        assert wanted.covers(os.path.normpath(ROOT / directory / "Cargo.toml"))


@pytest.mark.parametrize(
    "name",
    [
        ".lib.rs.swp", ".lib.rs.swo", ".lib.rs.swx", "4913", "lib.rs~", ".#lib.rs", "#lib.rs#", "lib.rs___jb_tmp___",
        "lib.rs___jb_old___", ".goutputstream-X1Y2Z3", ".lib.rs.kate-swp", "lib.rs.aBcDeF", "lib.rsx7Fk2P.bck",
        "lib.rs.vsctmp", ".tmpA1b2C3", ".lib.rs.1234.tmp", ".sublx1.tmp", "sedAbC123", ".nfs00000000a1", ".DS_Store",
        ".~lock.data.csv#",
    ],
)  # fmt: skip
def test_what_an_editor_writes_beside_a_file_is_temporary(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize(
    "name",
    [
        "lib.rs", "Cargo.toml", "4914", "lib.rs.golden", "macros.expanded.rs", "basic.stderr", "data.tmp", "x.swift", ".gitkeep",
        "#1.txt", "sediment", "case.rs.stdout", "notes.bak", ".hidden.rs",
    ],
)  # fmt: skip
def test_what_a_test_may_read_is_not(name: str) -> None:
    assert not is_temporary(name)


def test_git_that_is_missing_or_does_not_answer_ignores_nothing(tmp_path: Path) -> None:
    wanted = Wanted(str(tmp_path), Places((tmp_path / "src",), (), ()))
    ignored = Ignored(Host({"PATH": ""}), str(tmp_path), wanted)
    ignored.learn()
    assert ignored.ask([str(tmp_path / "x")]) is False
    outside = ScriptedHost({"git": finished(stderr="fatal: not a git repository", returncode=128)})
    ignored = Ignored(outside, str(tmp_path), wanted)
    ignored.learn()
    assert ignored.ask([str(tmp_path / "x")]) is False
    assert len(outside.commands) == 1, "who is not in a repository is not asked again"


def test_git_is_asked_once_for_a_name(tmp_path: Path) -> None:
    host = ScriptedHost({"git": finished("gen/\0")})
    ignored = Ignored(host, str(tmp_path), Wanted(str(tmp_path), Places((tmp_path / "src",), (), ())))
    assert ignored.ask([f"{tmp_path}/gen", f"{tmp_path}/a.rs"]) is True
    assert ignored.paths == {f"{tmp_path}/gen"}
    assert ignored.ask([f"{tmp_path}/a.rs"]) is False
    assert len(host.commands) == 1
    assert host.commands[0].env["GIT_DIR"] is None


def test_a_workspace_that_is_ignored_as_a_whole_is_watched_all_the_same(tmp_path: Path) -> None:
    host = ScriptedHost({"git": finished("./\0")})
    ignored = Ignored(host, str(tmp_path), Wanted(str(tmp_path), Places((tmp_path / "src",), (), ())))
    ignored.learn()
    assert ignored.paths == set()
