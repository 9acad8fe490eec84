"""What a manifest holds, how fingerprints are read, and which inputs count: on made-up trees, without Cargo."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cache.freshness import Place, restore, save
from buildopt.cache.freshness.inventory import take_inventory
from buildopt.cache.freshness.manifest import Built, Known, Manifest, Outside, Unusable, read_manifest, write_manifest
from buildopt.cache.freshness.outside import UNKNOWN, look_at
from buildopt.cache.freshness.packages import Owners
from buildopt.cache.freshness.place import built_files
from buildopt.cache.freshness.units import find_units, hashes_in, package_of, traces_of
from buildopt.cache.freshness.untold import Read, may_read, reads_of
from buildopt.host import Host
from buildopt.host.trees import digests, status_of, walk

Tree = Callable[[Path, Mapping[str, str]], Path]
HASH = "0123456789abcdef"
LIB = f"debug/.fingerprint/one-{HASH}"


def dep_info(*paths: tuple[int, str]) -> bytes:
    pieces = [struct.pack("<BI", where, len(path)) + path.encode() + b"\0" for where, path in paths]
    return b"\x01\0\0\0\xff\x01" + struct.pack("<I", len(paths)) + b"".join(pieces) + struct.pack("<I", 0)


def fingerprint(build: Path, folder: str, name: str, local: list[object], **more: object) -> None:
    (build / folder).mkdir(parents=True, exist_ok=True)
    (build / folder / name).write_text("f" * 16)
    (build / folder / f"{name}.json").write_text(json.dumps({"local": local, "rustflags": [], **more}))


def check_dep_info(name: str) -> dict[str, object]:
    return {"CheckDepInfo": {"dep_info": f"{LIB}/dep-{name}", "checksum": False}}


@pytest.fixture
def place(tmp_path: Path, tree: Tree) -> Place:
    """Return a package `one` with a unit that has read its library, and nothing else."""
    root = tree(tmp_path / "ws", {"Cargo.toml": "[package]", "src/lib.rs": "one", "data/a.bin": "a", "README.md": "r"})
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(10**18, 10**18))
    build = root / "target"
    fingerprint(build, LIB, "lib-one", [check_dep_info("lib-one")])
    (build / LIB / "dep-lib-one").write_bytes(dep_info((0, "src/lib.rs")))
    (build / "debug/deps").mkdir()
    (build / f"debug/deps/libone-{HASH}.rlib").write_text("library")
    return Place(str(root), (str(root),), build, (str(build),), (), {"one": (str(root),)}, {"compiler": "1"}, "c", "p")


def stamp_of(place: Place) -> Path:
    return place.build / LIB / "lib-one"


def test_what_is_unchanged_gets_its_time_back_and_what_is_not_is_touched(host: Host, place: Place) -> None:
    assert save(host, place) == (4, 0, 1, 0)
    root = Path(place.root)
    (root / "src/lib.rs").write_text("two")
    for path in root.rglob("*"):
        if "target" not in path.parts:
            os.utime(path, ns=(5, 5))
    done = restore(host, place)
    assert (done.why, done.unchanged, done.changed, done.new, done.removed) == (None, 3, 1, 0, 0)
    assert (root / "data/a.bin").stat().st_mtime_ns == 10**18
    assert (root / "data").stat().st_mtime_ns == 10**18
    assert (root / "src/lib.rs").stat().st_mtime_ns > 10**18
    assert stamp_of(place).exists()
    assert restore(host, place).why == "it has no manifest (buildopt cache save writes one)"
    assert not stamp_of(place).exists()


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({"README.md": "other"}, True),
        ({"tests/it.rs": "new"}, True),
        ({".github/workflows/ci.yml": "new"}, True),
        ({"data/b.bin": "new"}, False),
        ({"data/a.bin": "other"}, False),
        ({"src/more.rs": "new"}, False),
    ],
)
def test_a_file_that_nobody_says_he_reads_may_be_read_by_a_macro(
    host: Host, place: Place, tree: Tree, change, fresh: bool
) -> None:
    save(host, place)
    tree(Path(place.root), change)
    assert restore(host, place).why is None
    assert stamp_of(place).exists() is fresh


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"identity": {"compiler": "2"}}, "it was saved with another compiler"),
        ({"identity": {"compiler": "1", "workspace root": "/x"}}, "it was saved with another workspace root"),
        ({"processor": "q"}, None),
    ],
)
def test_a_cache_from_elsewhere_is_not_used(
    host: Host, place: Place, other: dict[str, object], why: str | None
) -> None:
    save(host, place)
    before = (Path(place.root) / "src/lib.rs").stat().st_mtime_ns
    assert restore(host, place._replace(**other)).why == why
    assert stamp_of(place).exists() is (why is None)
    assert ((Path(place.root) / "src/lib.rs").stat().st_mtime_ns == before) is (why is None)


def test_code_for_the_processor_at_hand_is_for_no_other(host: Host, place: Place) -> None:
    for now, usable in (("p", True), ("q", False), ("", False)):
        fingerprint(place.build, LIB, "lib-one", [check_dep_info("lib-one")], rustflags=["-Ctarget-cpu=native"])
        (place.build / LIB / "dep-lib-one").write_bytes(dep_info((0, "src/lib.rs")))
        save(host, place)
        assert (restore(host, place._replace(processor=now)).why is None) is usable


def test_a_build_script_that_declares_nothing_runs_again_for_another_commit(host: Host, place: Place) -> None:
    folder, name = f"debug/.fingerprint/one-{HASH.replace('0', '9')}", "run-build-script-build-script-build"
    for commit, fresh in (("c", True), ("d", False)):
        fingerprint(place.build, folder, name, [{"Precalculated": "1.5s (src/lib.rs)"}])
        save(host, place)
        assert restore(host, place._replace(commit=commit)).why is None
        assert (place.build / folder / name).exists() is fresh
        assert stamp_of(place).exists()


def test_a_build_script_that_declares_nothing_may_have_read_any_file_of_its_package(host: Host, place: Place) -> None:
    folder, name = f"debug/.fingerprint/one-{HASH.replace('0', '9')}", "run-build-script-build-script-build"
    fingerprint(place.build, folder, name, [{"Precalculated": "1.5s (src/lib.rs)"}])
    save(host, place)
    (Path(place.root) / "README.md").unlink()
    assert restore(host, place).removed == 1
    assert not (place.build / folder / name).exists()
    assert stamp_of(place).exists()


def test_a_clock_that_is_ahead_is_noticed(host: Host, place: Place) -> None:
    future = 2**62
    os.utime(Path(place.root) / "src/lib.rs", ns=(future, future))
    assert save(host, place).unsure == 1
    os.utime(place.build / f"debug/deps/libone-{HASH}.rlib", ns=(future, future))
    save(host, place)
    assert restore(host, place).why == "it was saved by a clock that is ahead of the one here"
    assert not stamp_of(place).exists()
    assert (Path(place.root) / "src/lib.rs").stat().st_mtime_ns < future


@pytest.mark.parametrize("where", [f"debug/deps/libone-{HASH}.rlib", f"{LIB}/dep-lib-one", f"{LIB}/lib-one.json"])
@pytest.mark.parametrize("how", ["missing", "other size", "same size"])
def test_a_unit_of_which_something_is_missing_or_other_is_built_again(
    host: Host, place: Place, where: str, how: str
) -> None:
    save(host, place)
    path = place.build / where
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(content[::-1] if how == "same size" else content + b"x")
    assert restore(host, place).why is None
    assert not stamp_of(place).exists()


def test_a_unit_that_the_manifest_does_not_know_is_built_again(host: Host, place: Place) -> None:
    save(host, place)
    fingerprint(place.build, LIB.replace("0", "9"), "lib-one", [])
    assert restore(host, place).invalidated_units == 1
    assert stamp_of(place).exists()


@pytest.mark.parametrize("content", [b"", b"x", dep_info((0, "src/lib.rs"))[:-6], b"\x01\0\0\0\xff\x02" + b"\0" * 8])
def test_a_fingerprint_that_cannot_be_understood_is_not_trusted(host: Host, place: Place, content: bytes) -> None:
    (place.build / LIB / "dep-lib-one").write_bytes(content)
    assert save(host, place).doubtful_units == 1
    assert restore(host, place).why is None
    assert not stamp_of(place).exists()


def test_units_are_found_in_both_layouts_of_cargo(host: Host, tmp_path: Path) -> None:
    new = f"debug/build/my-lib/{HASH}/fingerprint"
    fingerprint(
        tmp_path, new, "lib-my_lib", [{"CheckDepInfo": {"dep_info": f"{new}/dep-lib-my_lib", "checksum": False}}]
    )
    (tmp_path / new / "dep-lib-my_lib").write_bytes(dep_info((0, "src/lib.rs"), (1, "debug/out/g.rs"), (1, "/abs/x")))
    run = f"debug/.fingerprint/my-lib-{HASH}"
    fingerprint(
        tmp_path,
        run,
        "run-build-script-build-script-build",
        [{"RerunIfChanged": {"output": "o", "paths": ["a", "/b"]}}],
    )
    fingerprint(tmp_path, run, "doc-lib-my_lib", [{"Precalculated": "1.5s (src/lib.rs)"}])
    fingerprint(
        tmp_path, run, "lib-published", [{"Precalculated": "1.2.3"}, {"RerunIfEnvChanged": {"var": "A", "val": None}}]
    )
    found = {os.path.basename(unit.stamp): unit for unit in find_units(host, str(tmp_path), built_files(tmp_path))}
    assert {unit.package for unit in found.values()} == {"my-lib"}
    assert found["lib-my_lib"].reads == ("src/lib.rs", f"{tmp_path}/debug/out/g.rs", "/abs/x")
    assert found["run-build-script-build-script-build"].reads == ("a", "/b")
    assert {name for name, unit in found.items() if unit.whole} == {"doc-lib-my_lib"}
    assert {name for name, unit in found.items() if unit.local} == {"doc-lib-my_lib", "lib-my_lib"}
    assert not any(unit.opaque for unit in found.values())


def test_what_is_compared_goes_before_the_stamps() -> None:
    run = f"debug/.fingerprint/one-{HASH}/run-build-script-build-script-build"
    files = [
        f"{LIB}/dep-lib-one",
        f"{LIB}/lib-one",
        run,
        f"debug/build/one-{HASH}/output",
        "debug/build/two-fedcba9876543210/output",
    ]
    assert traces_of([run, f"{LIB}/lib-one"], files) == [
        f"{LIB}/dep-lib-one",
        f"debug/build/one-{HASH}/output",
        f"{LIB}/lib-one",
        run,
    ]


def test_paths_tell_package_and_unit() -> None:
    assert package_of(f"debug/.fingerprint/my-lib-2-{HASH}/lib-x") == "my-lib-2"
    assert package_of(f"debug/build/my-lib/{HASH}/fingerprint/lib-x") == "my-lib"
    assert package_of("debug/deps/libx.so") == ""
    assert hashes_in(f"debug/deps/libx-{HASH}.rlib") == hashes_in(f"debug/build/x/{HASH}/out/y") == {HASH}
    assert hashes_in(f"debug/deps/libx-{HASH}0.rlib") == set()


def test_tool_directories_are_no_inputs_and_do_not_change_the_directory_above(
    host: Host, tmp_path: Path, tree: Tree
) -> None:
    root = tree(tmp_path, {"a/x": "1"})
    before = take_inventory(host, [str(root)], [str(root / "out")]).inputs[str(root)].digest
    tree(
        root,
        {".git/HEAD": "", "out/x": "", "node_modules/m/x": "", "venv/pyvenv.cfg": "", "made/CACHEDIR.TAG": "Signature"},
    )
    after = take_inventory(host, [str(root)], [str(root / "out")])
    assert after.inputs[str(root)].digest == before
    assert {os.path.relpath(path, root) for path in after.inputs} == {".", "a", "a/x"}
    assert not after.knows(str(root))
    assert after.knows(str(root / "a"))


@pytest.mark.parametrize("edit", ["content", "mode", "link", "kind", "name", "pipe"])
def test_an_edit_is_another_digest(host: Host, tmp_path: Path, tree: Tree, edit: str) -> None:
    root = tree(tmp_path, {"d/a": "1", "d/b": "1"})
    (root / "d/l").symlink_to("a")
    before = {path: each[:2] for path, each in take_inventory(host, [str(root)], []).inputs.items()}
    path = root / "d/a"
    match edit:
        case "content":
            path.write_text("2")
        case "mode":
            path.chmod(0o755)
        case "link":
            (root / "d/l").unlink()
            (root / "d/l").symlink_to("b")
        case "kind":
            path.unlink()
            path.mkdir()
        case "name":
            path.rename(root / "d/c")
        case "pipe":
            path.unlink()
            os.mkfifo(path)
    after = {path: each[:2] for path, each in take_inventory(host, [str(root)], []).inputs.items()}
    assert after != before
    if edit == "pipe":
        assert after[str(path)] == ("other", None)


def test_what_is_behind_a_symlink_is_looked_at(host: Host, tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a/x": "1", "b/x": "1", "c/deep/x": "1"})
    (root / "l").symlink_to("a")
    one = look_at(host, str(root / "l/x"), [])
    assert set(one.statuses) == {str(root / "l"), str(root / "a/x")}
    (root / "l").unlink()
    (root / "l").symlink_to("b")
    assert look_at(host, str(root / "l/x"), []).content != one.content
    (root / "round").symlink_to("round")
    assert look_at(host, str(root / "round"), []).content == UNKNOWN
    assert look_at(host, str(root / "none"), []).content.startswith("nothing")
    folder = look_at(host, str(root / "c"), []).content
    (root / "c/deep/x").write_text("2")
    assert look_at(host, str(root / "c"), []).content not in (folder, UNKNOWN)
    assert look_at(host, str(root / "c"), [str(root / "c/deep")]).content == UNKNOWN


def test_a_file_belongs_to_the_nearest_package_before_or_after(place: Place) -> None:
    homes = {"outer": ("/w",), "inner": ("/w/in",)}
    before, after = {"/w/Cargo.toml", "/w/in/Cargo.toml"}, {"/w/Cargo.toml"}
    moved = place._replace(trees=("/w",), homes=homes)
    assert Owners(moved, [before]).of("/w/in/src") == {"inner"}
    assert Owners(moved, [before, after]).of("/w/in/src") == {"inner", "outer"}
    assert Owners(moved, [before]).of("/elsewhere") == set()


@pytest.mark.parametrize(
    ("path", "kind", "came", "by"),
    [
        ("README.md", "file", False, None),
        ("docs/a.md", "file", False, "all"),
        ("src/a.rs", "file", False, None),
        ("src/a.rs", "file", True, "all"),
        ("src/bin/a.rs", "file", True, None),
        ("tests/data/a.json", "file", False, "tests"),
        ("tests/a.rs", "file", True, None),
        (".sqlx/query-1.json", "file", True, "all"),
        ("assets/a.log", "file", True, None),
        ("assets", "folder", True, "all"),
    ],
)
def test_who_may_read_without_a_word(place: Place, path: str, kind: str, came: bool, by: str | None) -> None:
    owners = Owners(place, [{f"{place.root}/Cargo.toml"}])
    found = list(reads_of(owners, f"{place.root}/{path}", kind, came_or_went=came))
    assert found == ([] if by is None else [Read("one", by)])


def test_saved_queries_beside_the_packages_are_read_by_all_of_them(place: Place) -> None:
    owners = Owners(place, [()])
    assert list(reads_of(owners, f"{place.root}/.sqlx/query-1.json", "file", came_or_went=False)) == [
        Read("one", "all")
    ]
    assert list(reads_of(owners, f"{place.root}/ci/build.sh", "file", came_or_went=False)) == []


def test_build_scripts_declare_what_they_read() -> None:
    assert may_read("x/run-build-script-build-script-build", "one") == ()
    assert may_read("x/lib-one", "one") == (Read("one", "all"),)
    assert Read("one", "tests") in may_read("x/test-integration-test-it", "one")


names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=8)
times = st.integers(0, 2**62)
manifests = st.builds(
    Manifest,
    identity=st.dictionaries(names, names, max_size=2),
    commit=names,
    inputs=st.dictionaries(names, st.builds(Known, names, names, times, st.booleans()), max_size=3),
    skipped=st.frozensets(names, max_size=2),
    built=st.dictionaries(names, st.builds(Built, times, times, names), max_size=3),
    doubtful=st.frozensets(names, max_size=2),
    whole=st.frozensets(names, max_size=2),
    outside=st.dictionaries(names, st.builds(Outside, names, st.lists(names, max_size=2).map(tuple)), max_size=2),
)


@given(manifest=manifests, at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_manifest_is_read_back_and_any_flipped_bit_is_noticed(
    tmp_path_factory, manifest: Manifest, at: int, bit: int
) -> None:
    build = tmp_path_factory.mktemp("build")
    write_manifest(Host(), build, manifest)
    assert read_manifest(Host(), build) == manifest
    path = build / ".buildopt-freshness"
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(Unusable):
        read_manifest(Host(), build)


@pytest.mark.parametrize(
    "change", [{"inputs": {"a": ["file", 1, 2, True]}}, {"built": {"a": [1, -1, "d"]}}, {"whole": 3}, {"outside": []}]
)
def test_a_forged_manifest_of_other_shapes_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    from buildopt.cache.freshness import manifest

    whole = {
        "identity": {},
        "inputs": {},
        "skipped": [],
        "built": {},
        "doubtful": [],
        "whole": [],
        "outside": {},
        **change,
    }
    manifest._write(Host(), tmp_path / ".buildopt-freshness", whole)
    with pytest.raises(Unusable, match="damaged"):
        read_manifest(Host(), tmp_path)


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / ".buildopt-freshness").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Unusable, match="larger than"):
        read_manifest(Host(), tmp_path)


def test_digests_leave_out_what_changes_meanwhile(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {f"{number}": str(number) for number in range(200)})
    found = {path: status for path in map(str, root.iterdir()) if (status := status_of(path)) is not None}
    (root / "7").write_text("changed")
    (root / "8").unlink()
    assert len(digests(found, 4)) == 198


def test_a_walk_does_not_follow_symlinks(tmp_path: Path, tree: Tree) -> None:
    root = tree(tmp_path, {"a/x": "1"})
    (root / "a/up").symlink_to(root)
    assert [directory for directory, _ in walk(str(root), lambda _, found: found)] == [str(root), str(root / "a")]
