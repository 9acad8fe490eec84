from __future__ import annotations

import os
import posixpath
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo import Changes, Dependency, DependencyKind, Package, Reach, Target, Workspace, affected
from buildopt.errors import ProfileError

ROOT = Path("/top/ws")
LIBRARY = {"src/lib.rs": "lib", "tests/it.rs": "test"}
PUBLISHED = Dependency("serde", "serde", "normal", None, False, None)
Edges = Mapping[str, Mapping[str, tuple[DependencyKind, ...]]]


def package(
    home: str, targets: Mapping[str, str] = LIBRARY, *, member: bool = True, published: bool = False
) -> Package:
    """Return a package in a directory relative to the root, named after its last part (`root` at the root)."""
    directory = Path(os.path.normpath(ROOT / home))
    name = directory.name if home else "root"
    made = tuple(
        Target(name, (kind,), os.path.normpath(directory / path), True, True) for path, kind in targets.items()
    )
    needs = (PUBLISHED,) if published else ()
    return Package(name, name, "0.1.0", directory / "Cargo.toml", member, {}, needs, made)


def workspace(*packages: Package, edges: Edges | None = None) -> Workspace:
    graph = {each.id: tuple((edges or {}).get(each.id, {}).items()) for each in packages}
    return Workspace(ROOT, ROOT / "target", tuple(sorted(packages, key=lambda each: each.name)), graph, 0, True)


def ids(text: str) -> frozenset[str]:
    return frozenset(text.split())


@pytest.fixture
def three() -> Workspace:
    """Return core <- api, and lone."""
    return workspace(package("core"), package("api"), package("lone"), edges={"api": {"core": ("normal",)}})


def test_one_file(three):
    reach = Reach(three)
    assert reach.of("core/src/x.rs") == (ids("core api"), None)
    assert reach.of("core/tests/x.rs") == (ids("core"), None)
    assert reach.of(".buildopt/record.sqlite") == (ids(""), None)
    assert reach.of("README.md") == (ids("core api lone"), "README.md belongs to no package")
    assert reach.of("Cargo.lock") == (ids("core api lone"), "Cargo.lock has changed")


def test_rules_come_first(three):
    reach = Reach(three, {"docs/**": (), "proto/**": ("lone",), "Cargo.lock": ()}, {"docs/a.md": ids("api")})
    assert reach.of("docs/a.md").packages == ids("")
    assert reach.of("proto/x").packages == ids("lone")
    assert reach.of("Cargo.lock") == (ids(""), None)
    with pytest.raises(ProfileError):
        Reach(three, {"docs/**": ("nobody",)})


# ---- files that are read by packages to which they do not belong


def test_a_file_of_no_package_affects_those_that_read_it(three):
    reach = Reach(three, None, {"README.md": ids("core"), "data": ids("lone"), "../up.md": ids("api lone")})
    assert reach.of("README.md") == (ids("core api"), None)
    assert reach.of("data/deep/x.txt") == (ids("lone"), None)
    assert reach.of("data") == (ids("lone"), None)
    assert reach.of("../up.md") == (ids("api lone"), None)
    assert reach.of("../other.md").everything
    assert reach.of("database/x").everything


def test_a_file_of_a_package_also_affects_others_that_read_it(three):
    reach = Reach(three, None, {"lone/src/x.txt": ids("api"), "api/tests/data": ids("api lone")})
    assert reach.of("lone/src/x.txt").packages == ids("lone api")
    assert reach.of("lone/src/y.txt").packages == ids("lone")
    assert reach.of("api/tests/data/x").packages == ids("api lone")


def test_what_a_library_takes_from_its_tests_affects_its_dependents(three):
    reach = Reach(three, None, {"core/tests/data.txt": ids("core")})
    assert reach.of("core/tests/data.txt").packages == ids("core api")
    assert reach.of("core/tests/other.txt").packages == ids("core")


def test_a_directory_stands_for_the_files_in_it_that_are_read(three):
    """As git names a submodule."""
    reach = Reach(three, None, {"lone/vendored/src/x.c": ids("api")})
    assert reach.of("lone/vendored").packages == ids("lone api")
    assert Reach(three, None, {"docs/x.md": ids("api")}).of("docs").everything


@pytest.mark.parametrize("root", [".", ""])
def test_one_that_reads_all_of_the_root_is_affected_by_all_of_it(three, root):
    reach = Reach(three, None, {root: ids("lone")})
    assert reach.of("docs/x.md").packages == ids("lone")
    assert reach.of("core/src/x.rs").packages == ids("core api lone")
    assert reach.of("../x.md").everything
    assert reach.of("Cargo.toml").everything


def test_the_build_script_of_the_root_package_may_watch_what_others_read():
    readers = {"README.md": ids("api"), "../README.md": ids("api")}
    quiet = workspace(package(""), package("api"), edges={})
    assert Reach(quiet, None, readers).of("README.md").packages == ids("api")
    scripted = workspace(package("", {"src/lib.rs": "lib", "build.rs": "custom-build"}), package("api"))
    assert Reach(scripted, None, readers).of("README.md").packages == ids("api root")
    assert Reach(scripted, None, readers).of("../README.md").packages == ids("api")


def test_the_reason_names_the_file(three):
    answer = Reach(three, None, {"README.md": ids("core")}).affected(Changes(("README.md",), "main", None, True))
    assert answer.reasons == {"core": "reads README.md", "api": "depends on core"}
    assert answer.why == "2 of 3 packages: api (depends on core), core (reads README.md)"


# ---- manifests


def test_a_manifest_may_change_features_of_published_packages_for_all_that_have_some():
    ws = workspace(
        package("a"), package("b", published=True), package("c", published=True), package("d"), package("e"),
        edges={"a": {"b": ("normal",)}, "e": {"c": ("normal",)}},
    )  # fmt: skip
    reach = Reach(ws)
    assert reach.of("c/Cargo.toml").packages == ids("a b c e")
    assert reach.of("a/Cargo.toml").packages == ids("a b c e")  # b can turn on a feature of serde because a does of b
    assert reach.of("d/Cargo.toml").packages == ids("d")
    assert reach.affected(Changes(("c/Cargo.toml",), "main", None, True)).reasons == {
        "a": "depends on b", "b": "shares dependencies with c", "c": "edited", "e": "depends on c",
    }  # fmt: skip


def test_the_root_of_another_workspace_hands_on_to_the_packages_below_it():
    outer, inner = package("../other", member=False), package("../other/inner", member=False)
    ws = workspace(outer, inner, package("app"), edges={"app": {"inner": ("normal",)}})
    assert Reach(ws).of("../other/Cargo.toml").packages == ids("other inner app")
    assert Reach(ws).of("../other/src/x.rs").packages == ids("other")
    nested = workspace(package("a"), package("a/b"), package("c"))
    assert Reach(nested).of("a/Cargo.toml").packages == ids("a")


def test_what_lies_above_is_not_taken_for_what_lies_beside():
    up = workspace(package("..", member=False), package("app"))
    assert Reach(up).of("../x.md").packages == ids("top")
    assert Reach(up).of("../../x.md").everything


# ---- the same as a slow and obvious reading of the rules

HOMES = ("", "a", "a/b", "a/tests/c", "crates/d", "crates/d/src/e", "../out", "../out/in")
TARGETS = (
    LIBRARY,
    {**LIBRARY, "build.rs": "custom-build"},
    {"src/main.rs": "bin", "examples/x/main.rs": "example"},
    {"lib.rs": "lib"},
    {"tests/support/lib.rs": "lib", "tests/it.rs": "test"},
    {"src/lib.rs": "lib", "../shared/tool.rs": "bin"},
)
FILES = ("x.rs", "src/x.rs", "src/deep/x.rs", "tests/x.rs", "tests/support/x.rs", "benches/x/y.rs", "Cargo.toml", "build.rs",
         "clippy.toml", "lib.rs", "tests")  # fmt: skip


def above(directory: str) -> Iterator[str]:
    while True:
        yield directory
        if not directory or posixpath.basename(directory) == "..":
            return
        directory = posixpath.dirname(directory)


def slow_reading(ws: Workspace, path: str) -> set[str] | None:
    """Return what one file affects, without readers, rules and published packages; None for everything."""
    homes = {each.id: "" if each.directory == ROOT else os.path.relpath(each.directory, ROOT) for each in ws.packages}
    owned: dict[str, str] = {}
    foreign: set[str] = set()
    for each in ws.packages:
        sources = [os.path.relpath(target.src_path, ROOT) for target in each.targets]
        if homes[each.id] or len(homes) == 1:
            owned[homes[each.id]] = each.id
        else:
            for source in sources:
                owned.setdefault(posixpath.dirname(source) or source, each.id)
        for place in map(posixpath.dirname, sources):
            innermost = [home for home in above(place) if home in homes.values()][:1]
            if place in above(path) and innermost != [homes[each.id]]:
                foreign.add(each.id)
    owner = next((owned[place] for place in above(path) if place in owned), None)
    if path in {"Cargo.toml", "clippy.toml"} or (owner is None and not foreign):
        return None
    whole, alone = set(foreign), set()
    if owner is None and not path.startswith(".."):  # the build script of the root package may watch it
        at_root = [each for each in ws.packages if not homes[each.id]]
        whole |= {each.id for each in at_root if any("custom-build" in target.kinds for target in each.targets)}
    home = homes[owner] if owner else ""
    if owner is not None:
        own = next(each for each in ws.packages if each.id == owner)
        core = [os.path.relpath(t.src_path, ROOT) for t in own.targets if not {*t.kinds} & {"test", "bench", "example"}]
        leaf = posixpath.join(home, path[len(home) :].lstrip("/").partition("/")[0])
        is_leaf = (
            leaf != path
            and path not in owned
            and posixpath.basename(leaf) in {"tests", "benches", "examples"}
            and not any(posixpath.dirname(source) == home for source in core)
            and not any(leaf in above(source) for source in core)
        )
        (alone if is_leaf else whole).add(owner)
    directory, _, name = path.rpartition("/")
    manifest = owner is not None and name == "Cargo.toml" and directory == home
    below = {id_ for id_, other in homes.items() if path in above(other)}
    if name == "clippy.toml" or (manifest and not next(e for e in ws.packages if e.id == owner).member):
        below |= {id_ for id_, other in homes.items() if directory in above(other)}
    whole |= below
    if manifest:
        more = {other for other, _ in ws.edges[owner]}
        while more - whole:
            found = more - whole
            whole |= found
            more = {other for id_ in found for other, kinds in ws.edges[id_] if {*kinds} - {"dev"}}
    return close(ws, whole) | alone


def close(ws: Workspace, whole: set[str]) -> set[str]:
    passing = set(whole)
    while True:
        more = {
            id_ for id_, edges in ws.edges.items() if any(to in passing and {*kinds} - {"dev"} for to, kinds in edges)
        }
        if more <= passing:
            return passing | {id_ for id_, edges in ws.edges.items() if any(to in passing for to, _ in edges)}
        passing |= more


@st.composite
def workspaces(draw) -> Workspace:
    homes = draw(st.lists(st.sampled_from(HOMES), min_size=1, max_size=6, unique=True))
    packages = [package(home, draw(st.sampled_from(TARGETS)), member=not home.startswith("..")) for home in homes]
    kinds = st.sampled_from([(), (), ("normal",), ("dev",), ("build",), ("dev", "normal")])
    edges = {
        one.id: {other.id: found for other in packages if one is not other and (found := draw(kinds))}
        for one in packages
    }
    return workspace(*packages, edges=edges)


PATHS = st.builds(posixpath.join, st.sampled_from([*HOMES, "shared", "../x", "../..", "a/x"]), st.sampled_from(FILES))
MANY = st.lists(PATHS, max_size=6)


@given(workspaces(), MANY)
def test_the_same_as_a_slow_reading(ws, paths):
    reach = Reach(ws)
    for path in paths:
        expected = slow_reading(ws, path)
        found = reach.of(path)
        assert (None if found.everything else found.packages) == expected, path


@given(workspaces(), MANY, st.dictionaries(PATHS, st.sets(st.integers(0, 9), max_size=2), max_size=3))
def test_many_files_affect_what_each_of_them_does(ws, paths, read):
    known = [each.id for each in ws.packages]
    readers = {path: frozenset(known[n % len(known)] for n in numbers) for path, numbers in read.items()}
    reach = Reach(ws, None, readers)
    answer = reach.affected(Changes(tuple(paths), "main", None, True))
    each = [reach.of(path) for path in paths]
    assert answer.everything == any(one.everything for one in each)
    assert set(answer.reasons) == {id_ for one in each for id_ in one.packages}
    assert [one.id for one in answer.packages] == [one.id for one in ws.members if one.id in answer.reasons]
    if not readers:
        assert answer == affected(ws, Changes(tuple(paths), "main", None, True))


@given(workspaces(), MANY, st.dictionaries(PATHS, st.integers(0, 9), max_size=3))
def test_who_reads_a_file_is_affected_and_nobody_else_less(ws, paths, read):
    known = [each.id for each in ws.packages]
    readers = {path: frozenset((known[n % len(known)],)) for path, n in read.items()}
    bare, informed = Reach(ws), Reach(ws, None, readers)
    for path in [*paths, *readers]:
        without, found = bare.of(path), informed.of(path)
        assert found.packages >= readers.get(path, frozenset())
        assert without.everything or found.packages >= without.packages


# ---- speed


def test_ten_thousand_files_of_a_branch_switch_take_well_under_a_second(cpu_seconds):
    chance = random.Random(1)
    names = [f"p{n}" for n in range(500)]
    edges = {f"p{n}": {f"p{chance.randrange(n)}": ("normal",) for _ in range(5)} for n in range(1, 500)}
    ws = workspace(*(package(f"crates/{name}") for name in names), edges=edges)
    paths = [f"crates/{name}/src/a{n}/file{m}.rs" for name in names for n in range(4) for m in range(5)]
    readers = {f"docs/{n}.md": frozenset((chance.choice(names),)) for n in range(1000)}

    def reach_of_all() -> None:
        reach = Reach(ws, None, readers)
        for path in paths:
            reach.of(path)

    assert cpu_seconds(reach_of_all) < 0.5
