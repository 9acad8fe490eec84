from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from buildopt.cargo import find_root, load_workspace
from buildopt.cargo.inputs import _globbed
from buildopt.cargo.metadata import cargo_words
from buildopt.errors import MachineRefused, ManifestError, ToolMissing
from buildopt.host import Command, Finished, Host

VIRTUAL = '[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n'


def manifest(name: str, extra: str = "") -> str:
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{extra}'


def lock(root: Path) -> None:
    subprocess.run(["cargo", "generate-lockfile", "--offline", "-q"], cwd=root, check=True)


def age(root: Path) -> None:
    """Make every manifest older than the moment of asking, as it is on any day but that of its writing."""
    then = time.time() - 100
    for path in root.rglob("Cargo.toml"):
        os.utime(path, (then, then))


class Counting(Host):
    """The real host, which counts the processes it starts."""

    def __init__(self, **changes: str) -> None:
        super().__init__({**os.environ, **changes})
        self.commands: list[tuple[str, ...]] = []

    def run(self, command: Command, **streams: object) -> Finished:
        self.commands.append(command.argv)
        return super().run(command, **streams)  # type: ignore[arg-type]


def names(workspace) -> list[str]:
    return [package.name for package in workspace.packages]


def edges(workspace) -> dict[str, dict[str, tuple[str, ...]]]:
    name = {package.id: package.name for package in workspace.packages}
    return {name[source]: {name[target]: kinds for target, kinds in found} for source, found in workspace.edges.items()}


# --- the root ---


@pytest.mark.parametrize("start", [".", "crates", "crates/a", "crates/a/src"])
def test_root_of_a_virtual_workspace_is_found_from_anywhere_in_it(tmp_path, tree, start):
    host = Counting()
    root = tree(tmp_path, {"Cargo.toml": VIRTUAL, "crates/a/Cargo.toml": manifest("a"), "crates/a/src/lib.rs": ""})
    assert find_root(host, root / start) == root.resolve()
    assert host.commands == []


def test_package_outside_every_workspace_is_its_own_root(host, tmp_path, tree):
    root = tree(tmp_path, {"Cargo.toml": manifest("a"), "src/lib.rs": ""})
    assert find_root(host, root / "src") == root.resolve()


def test_excluded_package_is_its_own_root(host, tmp_path, tree):
    tree(
        tmp_path,
        {
            "Cargo.toml": '[workspace]\nmembers = ["a"]\nexclude = ["fuzz"]\n',
            "a/Cargo.toml": manifest("a"),
            "fuzz/Cargo.toml": manifest("fuzz"),
        },
    )
    assert find_root(host, tmp_path / "fuzz") == (tmp_path / "fuzz").resolve()


def test_nested_workspace_is_its_own_root(host, tmp_path, tree):
    tree(tmp_path, {"Cargo.toml": VIRTUAL, "fuzz/Cargo.toml": manifest("fuzz", "[workspace]\n")})
    assert find_root(host, tmp_path / "fuzz") == (tmp_path / "fuzz").resolve()


def test_package_workspace_points_at_a_root_elsewhere(host, tmp_path, tree):
    tree(
        tmp_path,
        {
            "main/Cargo.toml": '[workspace]\nmembers = ["../other"]\n',
            "other/Cargo.toml": manifest("other", 'workspace = "../main"\n'),
            "other/src/lib.rs": "",
        },
    )
    assert find_root(host, tmp_path / "other") == (tmp_path / "main").resolve()


def test_member_by_path_dependency_is_decided_by_cargo(tmp_path, tree):
    host = Counting()
    root = tree(
        tmp_path,
        {
            "Cargo.toml": '[workspace]\nmembers = ["a"]\n',
            "a/Cargo.toml": manifest("a", '[dependencies]\nb = { path = "../b" }\n'),
            "a/src/lib.rs": "",
            "b/Cargo.toml": manifest("b"),
            "b/src/lib.rs": "",
        },
    )
    assert find_root(host, root / "b") == root.resolve()
    assert len(host.commands) == 1


def test_package_that_the_workspace_does_not_list_is_refused_in_cargos_words(host, tmp_path, tree):
    lone = {"Cargo.toml": "[workspace]\nmembers = []\n", "b/Cargo.toml": manifest("b"), "b/src/lib.rs": ""}
    tree(tmp_path, lone)
    with pytest.raises(ManifestError, match="believes it's in a workspace when it's not"):
        find_root(host, tmp_path / "b")


def test_no_manifest_names_the_directory_and_what_to_do(host, tmp_path):
    with pytest.raises(ManifestError, match=r"no Cargo\.toml in") as caught:
        find_root(host, tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "--root" in (caught.value.hint or "")


def test_broken_manifest_is_named(host, tmp_path, tree):
    tree(tmp_path, {"Cargo.toml": "[package\n"})
    with pytest.raises(ManifestError, match=r"Cargo\.toml: not a Cargo manifest"):
        find_root(host, tmp_path)


@pytest.mark.parametrize(
    ("members", "exclude", "place"),
    [
        ('"a"', "", "a"),
        ('"x/*"', "", "x/a"),
        ('"x/*/b"', "", "x/a/b"),
        ('"x/**"', "", "x/a/b"),
        ('"./x/a"', "", "x/a"),
        ('"x/a"', '"x"', "x/a"),
        ('"x/*"', '"x/a"', "x/a"),
        ('"y"', '"x"', "x/a"),
        ('"y"', '"./x"', "x/a"),
        ('"x/[ab]"', "", "x/a"),
    ],
)
def test_root_agrees_with_cargo(host, tmp_path, tree, members, exclude, place):
    tree(
        tmp_path,
        {
            "Cargo.toml": f"[workspace]\nmembers = [{members}]\nexclude = [{exclude}]\n",
            f"{place}/Cargo.toml": manifest("p"),
            f"{place}/src/lib.rs": "",
            "y/Cargo.toml": manifest("y"),
            "y/src/lib.rs": "",
        },
    )
    argv = ["cargo", "locate-project", "--workspace", "--message-format", "plain"]
    said = subprocess.run(argv, cwd=tmp_path / place, capture_output=True, text=True, check=True).stdout.strip()
    assert find_root(host, tmp_path / place) == Path(said).parent


# --- the workspace ---


def test_virtual_workspace(host, three_packages, tmp_path):
    workspace = load_workspace(host, three_packages, tmp_path / "state")
    assert names(workspace) == ["api", "app", "base"]
    assert workspace.virtual
    assert edges(workspace) == {"api": {"base": ("normal",)}, "app": {"api": ("normal",)}, "base": {}}
    assert workspace.target_directory == three_packages / "target"


def test_looking_never_writes_a_lock_file(host, three_packages, tmp_path):
    workspace = load_workspace(host, three_packages, tmp_path / "state")
    assert not workspace.has_lock
    assert workspace.external_packages is None
    assert not (three_packages / "Cargo.lock").exists()


def test_lock_file_is_followed_and_left_alone(host, three_packages, tmp_path):
    without = load_workspace(host, three_packages, tmp_path / "state")
    lock(three_packages)
    before = (three_packages / "Cargo.lock").read_bytes()
    workspace = load_workspace(host, three_packages, tmp_path / "state")
    assert workspace == without._replace(has_lock=True, external_packages=0)
    assert (three_packages / "Cargo.lock").read_bytes() == before


def test_stale_lock_file_is_left_alone_and_the_manifests_are_read(host, three_packages, tmp_path, tree):
    lock(three_packages)
    before = (three_packages / "Cargo.lock").read_bytes()
    tree(three_packages, {"base/Cargo.toml": manifest("base", '[dependencies]\nserde = "1"\n')})
    workspace = load_workspace(host, three_packages, tmp_path / "state")
    assert workspace.has_lock
    assert [d.key for d in next(p for p in workspace.packages if p.name == "base").dependencies] == ["serde"]
    assert (three_packages / "Cargo.lock").read_bytes() == before


def test_single_package_with_every_kind_of_target(host, tmp_path, tree):
    root = tree(
        tmp_path / "p",
        {
            "Cargo.toml": manifest("p", "[features]\ndefault = ['a']\na = []\nb = ['a']\n"),
            **dict.fromkeys(("src/lib.rs", "build.rs", "tests/t.rs", "benches/b.rs"), ""),
            **dict.fromkeys(("src/main.rs", "src/bin/tool.rs", "examples/e/main.rs"), "fn main() {}"),
        },
    )
    workspace = load_workspace(host, root, tmp_path / "state")
    (package,) = workspace.packages
    assert not workspace.virtual
    assert package.member
    assert package.directory == root
    assert package.spec == package.id
    assert package.features == {"default": ("a",), "a": (), "b": ("a",)}
    assert sorted((kind, target.name) for target in package.targets for kind in target.kinds) == [
        ("bench", "b"), ("bin", "p"), ("bin", "tool"), ("custom-build", "build-script-build"),
        ("example", "e"), ("lib", "p"), ("test", "t"),
    ]  # fmt: skip


@pytest.mark.parametrize("locked", [False, True])
def test_kinds_of_dependencies_renames_and_inheritance(host, tmp_path, tree, locked):
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": VIRTUAL
            + '[workspace.package]\nversion = "3.2.1"\n[workspace.dependencies]\nb = { path = "crates/b" }\n',
            "crates/a/Cargo.toml": (
                '[package]\nname = "a"\nversion.workspace = true\nedition = "2021"\n'
                "[dependencies]\nb.workspace = true\n"
                '[dev-dependencies]\nb.workspace = true\nother = { package = "c", path = "../c" }\n'
                '[build-dependencies]\nd = { path = "../d" }\n'
                "[target.'cfg(windows)'.dependencies]\ne = { path = \"../e\", optional = true }\n"
            ),
            **{f"crates/{n}/Cargo.toml": manifest(n) for n in "bcde"},
            **{f"crates/{n}/src/lib.rs": "" for n in "abcde"},
            "crates/a/build.rs": "fn main() {}",
        },
    )
    if locked:
        lock(root)
    workspace = load_workspace(host, root, tmp_path / "state")
    a = workspace.packages[0]
    assert a.version == "3.2.1"
    assert edges(workspace)["a"] == {"b": ("dev", "normal"), "c": ("dev",), "d": ("build",), "e": ("normal",)}
    found = {(d.key, d.package, d.kind, d.target, d.optional) for d in a.dependencies}
    assert ("other", "c", "dev", None, False) in found
    assert ("e", "e", "normal", "cfg(windows)", True) in found


@pytest.mark.parametrize("locked", [False, True])
def test_path_dependencies_outside_the_root_are_there_but_no_members(host, tmp_path, tree, locked):
    root = (
        tree(
            tmp_path,
            {
                "ws/Cargo.toml": '[workspace]\nmembers = ["a"]\nresolver = "2"\n',
                "ws/a/Cargo.toml": manifest("a", '[dependencies]\nout = { path = "../../out" }\n'),
                "ws/a/src/lib.rs": "",
                "out/Cargo.toml": manifest("out", '[dependencies]\nfar = { path = "../far/far" }\n'),
                "out/src/lib.rs": "",
                "far/Cargo.toml": '[workspace]\nmembers = ["*"]\nresolver = "2"\n',
                "far/far/Cargo.toml": manifest("far"),
                "far/far/src/lib.rs": "",
                "far/unused/Cargo.toml": manifest("unused"),
                "far/unused/src/lib.rs": "",
            },
        )
        / "ws"
    )
    if locked:
        lock(root)
    workspace = load_workspace(host, root, tmp_path / "state")
    assert [(p.name, p.member) for p in workspace.packages] == [("a", True), ("far", False), ("out", False)]
    assert edges(workspace) == {"a": {"out": ("normal",)}, "far": {}, "out": {"far": ("normal",)}}


def test_patch_to_a_local_package_is_an_edge(host, tmp_path, tree):
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": '[workspace]\nmembers = ["a"]\nresolver = "2"\n[patch.crates-io]\nitoa = { path = "../fork" }\n',
            "a/Cargo.toml": manifest("a", '[dependencies]\nitoa = "1"\n'),
            "a/src/lib.rs": "",
            "../fork/Cargo.toml": manifest("itoa").replace("0.1.0", "1.99.0"),
            "../fork/src/lib.rs": "",
            "Cargo.lock": (
                'version = 3\n[[package]]\nname = "a"\nversion = "0.1.0"\ndependencies = ["itoa"]\n'
                '[[package]]\nname = "itoa"\nversion = "1.99.0"\n'
            ),
        },
    )
    workspace = load_workspace(host, root, tmp_path / "state")
    assert [(p.name, p.member) for p in workspace.packages] == [("a", True), ("itoa", False)]
    assert edges(workspace)["a"] == {"itoa": ("normal",)}


SECTIONS = ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(windows)'.dependencies"]
ARCS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(SECTIONS))


@settings(max_examples=8, phases=[Phase.generate])  # shrinking asks cargo hundreds of times
@given(arcs=st.lists(ARCS, max_size=12))
def test_graph_is_the_one_that_cargo_resolves_with_all_features(tmp_path_factory, arcs):
    """Also for optional, renamed and target-specific dependencies: what a feature may turn on counts as an edge."""
    sections: dict[tuple[int, str], dict[int, str]] = {}
    for one, other, section in arcs:
        # Cargo takes circles only through dev-dependencies, which in turn cannot be optional.
        above, below = (one, other) if section.startswith("dev") else (max(one, other), min(one, other))
        if above != below:
            key = f"as{below}" if below % 2 else f"c{below}"
            gate = ", optional = true" if (above + below) % 3 == 0 and not section.startswith("dev") else ""
            line = f'{key} = {{ package = "c{below}", path = "../c{below}"{gate} }}\n'
            sections.setdefault((above, section), {})[below] = line
    files = {"Cargo.toml": VIRTUAL}
    for i in range(5):
        mine = {section: lines for (above, section), lines in sections.items() if above == i}
        text = "".join(f"[{section}]\n{''.join(lines.values())}" for section, lines in mine.items())
        files |= {
            f"crates/c{i}/Cargo.toml": manifest(f"c{i}", text),
            f"crates/c{i}/src/lib.rs": "",
            f"crates/c{i}/build.rs": "",
        }
    root = tmp_path_factory.mktemp("graph").resolve()
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    unlocked = load_workspace(Host(), root, root / "state")
    lock(root)
    locked = load_workspace(Host(), root, root / "state")
    argv = ["cargo", "metadata", "--format-version", "1", "--all-features", "--locked"]
    theirs = json.loads(subprocess.run(argv, cwd=root, capture_output=True, check=True).stdout)
    expected = {
        (node["id"], to["pkg"], tuple(sorted({kind["kind"] or "normal" for kind in to["dep_kinds"]})))
        for node in theirs["resolve"]["nodes"]
        for to in node["deps"]
    }
    for workspace in (unlocked, locked):
        assert {(source, to, kinds) for source, found in workspace.edges.items() for to, kinds in found} == expected


def test_a_member_in_place_of_a_published_package_that_others_use(tmp_path, tree):
    """Also where only a feature would turn it on: the lock file knows."""
    shop = {"base": "", "user": '[dependencies]\nbase = "0.1"\n', "far": '[dependencies]\nuser = "0.1"\n'}
    published = {f"../shop/{name}/Cargo.toml": manifest(name, text) for name, text in shop.items()}
    published |= {f"../shop/{name}/src/lib.rs": "" for name in shop}
    published |= {
        f"../shop/{name}/.cargo-checksum.json": json.dumps({"files": {}, "package": "0" * 64}) for name in shop
    }
    root = tree(
        (tmp_path / "ws").resolve(),
        {
            **published,
            ".cargo/config.toml": '[source.crates-io]\nreplace-with = "shop"\n[source.shop]\ndirectory = "../shop"\n',
            "Cargo.toml": '[workspace]\nmembers = ["base", "a", "b", "c"]\nresolver = "2"\n'
            '[patch.crates-io]\nbase = { path = "base" }\n',
            **{f"{name}/src/lib.rs": "" for name in ("base", "a", "b", "c")},
            "base/Cargo.toml": manifest("base"),
            "a/Cargo.toml": manifest("a", '[dependencies]\nfar = "0.1"\n[dev-dependencies]\nuser = "0.1"\n'),
            "b/Cargo.toml": manifest(
                "b", '[build-dependencies]\nmy = { package = "user", version = "0.1", optional = true }\n'
            ),
            "c/Cargo.toml": manifest("c", '[dependencies]\nbase = { version = "0.1", optional = true }\n'),
        },
    )
    lock(root)
    found = edges(load_workspace(Host(), root, tmp_path / "state"))
    assert found == {
        "a": {"base": ("dev", "normal")},
        "b": {"base": ("build",)},
        "c": {"base": ("normal",)},
        "base": {},
    }


# --- what is kept ---


@pytest.fixture
def kept(three_packages, tmp_path):
    lock(three_packages)
    age(three_packages)
    load_workspace(Host(), three_packages, tmp_path / "state")
    return three_packages


def starts(host_: Counting) -> int:
    return sum(argv[:2] == ("cargo", "metadata") for argv in host_.commands)


def test_second_load_starts_no_process_and_says_the_same(kept, tmp_path):
    host = Counting()
    assert load_workspace(host, kept, tmp_path / "state") == load_workspace(
        Host(), kept, tmp_path / "state", fresh=True
    )
    assert host.commands == []


EDITS = {
    "manifest of a member": lambda root: (root / "base/Cargo.toml").write_text(
        manifest("base", "[features]\nx = []\n")
    ),
    "manifest of the root": lambda root: (root / "Cargo.toml").write_text((root / "Cargo.toml").read_text() + "# x\n"),
    "lock file": lambda root: (root / "Cargo.lock").unlink(),
    "new binary": lambda root: (
        (root / "base/src/bin").mkdir(),
        (root / "base/src/bin/t.rs").write_text("fn main(){}"),
    ),
    "new test": lambda root: ((root / "base/tests").mkdir(), (root / "base/tests/t.rs").write_text("")),
    "new example directory": lambda root: (
        (root / "base/examples/e").mkdir(parents=True),
        (root / "base/examples/e/main.rs").write_text("fn main(){}"),
    ),
    "new build script": lambda root: (root / "base/build.rs").write_text("fn main(){}"),
    "library became program": lambda root: (root / "base/src/main.rs").write_text("fn main(){}"),
    "configuration": lambda root: (
        (root / ".cargo").mkdir(),
        (root / ".cargo/config.toml").write_text('[build]\ntarget-dir = "elsewhere"\n'),
    ),
    "configuration above": lambda root: (
        (root.parent / ".cargo").mkdir(),
        (root.parent / ".cargo/config.toml").write_text('[build]\ntarget-dir = "elsewhere"\n'),
    ),
    "toolchain file": lambda root: (root / "rust-toolchain").write_text(
        subprocess.run(
            ["rustup", "show", "active-toolchain"], capture_output=True, text=True, check=True
        ).stdout.split()[0]
    ),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_cargo_is_asked_again_after_a_change_of(kept, tmp_path, edit, need):
    need("rustup")
    edit(kept)
    host = Counting()
    workspace = load_workspace(host, kept, tmp_path / "state")
    assert starts(host) >= 1
    assert workspace == load_workspace(Host(), kept, tmp_path / "state2")


def test_new_package_in_a_globbed_directory_is_noticed(tmp_path, tree):
    root = tree(
        tmp_path / "ws", {"Cargo.toml": VIRTUAL, "crates/a/Cargo.toml": manifest("a"), "crates/a/src/lib.rs": ""}
    )
    age(root)
    assert names(load_workspace(Host(), root, tmp_path / "state")) == ["a"]
    tree(root, {"crates/b/Cargo.toml": manifest("b"), "crates/b/src/lib.rs": ""})
    assert names(load_workspace(Host(), root, tmp_path / "state")) == ["a", "b"]


def test_members_by_a_deep_glob_with_a_link_in_a_circle(tmp_path, tree):
    deep = VIRTUAL.replace("crates/*", "crates/**")
    root = tree(tmp_path / "ws", {"Cargo.toml": deep, "crates/Cargo.toml": manifest("top"), "crates/src/lib.rs": ""})
    matched = list(_globbed(Host().files, str(root), deep.encode()))
    assert matched == [f"{root}/crates", f"{root}/crates/src"]
    (root / "crates/src/loop").symlink_to(root / "crates")
    assert list(_globbed(Host().files, str(root), deep.encode())) == matched


def test_empty_folder_that_cargo_takes_for_a_member_is_noticed(tmp_path, tree):
    root = tree(
        tmp_path / "ws", {"Cargo.toml": VIRTUAL, "crates/a/Cargo.toml": manifest("a"), "crates/a/src/lib.rs": ""}
    )
    age(root)
    load_workspace(Host(), root, tmp_path / "state")
    (root / "crates/left-over").mkdir()
    with pytest.raises(ManifestError, match="left-over"):
        load_workspace(Host(), root, tmp_path / "state")


def test_environment_that_moves_the_target_directory_is_noticed(kept, tmp_path):
    workspace = load_workspace(Counting(CARGO_TARGET_DIR=str(tmp_path / "t")), kept, tmp_path / "state")
    assert workspace.target_directory == tmp_path / "t"


@pytest.mark.parametrize("edit", ["README.md", "base/src/other.rs", "base/tests_data/x.rs", "target/x"])
def test_what_cargo_does_not_look_at_changes_nothing(kept, tmp_path, tree, edit):
    tree(kept, {edit: "x"})
    host = Counting()
    load_workspace(host, kept, tmp_path / "state")
    assert host.commands == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"\0\xff\xfe", b"null", b"[]", b'{"key": 1}', b"[" * 100_000, b'{"key":"1","value":{"packages":[[1,2]]}}'],
)
def test_damaged_cache_is_ignored_and_written_again(kept, tmp_path, damage):
    file = tmp_path / "state/cache/workspace.json"
    good = file.read_bytes()
    file.write_bytes(damage)
    host = Counting()
    assert names(load_workspace(host, kept, tmp_path / "state")) == ["api", "app", "base"]
    assert starts(host) == 1
    assert file.read_bytes() == good


def test_cache_of_another_shape_under_the_right_key_is_ignored(kept, tmp_path):
    file = tmp_path / "state/cache/workspace.json"
    document = json.loads(file.read_bytes())
    document["value"].pop("edges")
    file.write_text(json.dumps(document))
    assert names(load_workspace(Host(), kept, tmp_path / "state")) == ["api", "app", "base"]


def test_state_folder_that_cannot_be_written_is_done_without(three_packages, tmp_path):
    (tmp_path / "state").write_text("a file in the way")
    assert len(load_workspace(Host(), three_packages, tmp_path / "state").packages) == 3


def test_deleted_state_folder_comes_back_ignored_by_git(kept, tmp_path):
    shutil.rmtree(tmp_path / "state")
    load_workspace(Host(), kept, tmp_path / "state")
    assert (tmp_path / "state/.gitignore").read_text() == "*\n"


def test_manifest_edited_while_cargo_answers_is_not_kept_under_its_new_content(kept, tmp_path):
    class Editing(Host):
        def run(self, command: Command, **streams: object) -> Finished:
            finished = super().run(command, **streams)  # type: ignore[arg-type]
            (kept / "base/Cargo.toml").write_text(manifest("base", "[features]\nlate = []\n"))
            return finished

    (tmp_path / "state/cache/workspace.json").unlink()
    load_workspace(Editing(), kept, tmp_path / "state")
    workspace = load_workspace(Host(), kept, tmp_path / "state")
    assert next(p for p in workspace.packages if p.name == "base").features == {"late": ()}


# --- what goes wrong ---


def test_cargos_own_words_reach_the_person(tmp_path, tree):
    root = tree(
        tmp_path / "ws", {"Cargo.toml": manifest("a", '[dependencies]\nb = { path = "nowhere" }\n'), "src/lib.rs": ""}
    )
    with pytest.raises(ManifestError) as caught:
        load_workspace(Counting(CARGO_TERM_COLOR="always"), root, tmp_path / "state")
    assert "nowhere" in caught.value.message
    assert "\x1b" not in caught.value.message


def test_manifest_that_cargo_refuses(host, tmp_path, tree):
    root = tree(tmp_path / "ws", {"Cargo.toml": '[package]\nname = "a b"\n'})
    with pytest.raises(ManifestError, match="invalid character"):
        load_workspace(host, root, tmp_path / "state")


def test_missing_cargo_says_how_to_get_it(tmp_path, three_packages):
    with pytest.raises(ToolMissing, match="cargo is not found") as caught:
        load_workspace(Host({"PATH": str(tmp_path), "HOME": str(tmp_path)}), three_packages, tmp_path / "state")
    assert "rustup.rs" in (caught.value.hint or "")


def test_toolchain_that_is_not_installed_is_named(tmp_path, three_packages, need):
    need("rustup")
    (three_packages / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.31.1"\n')
    with pytest.raises(ToolMissing, match=r"1\.31\.1.*not installed.*rust-toolchain\.toml"):
        load_workspace(Counting(RUSTUP_AUTO_INSTALL="0", RUSTUP_TOOLCHAIN=""), three_packages, tmp_path / "state")


def test_network_that_is_not_there_is_said(tmp_path, tree):
    checksum = "0" * 64
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": manifest("a", '[dependencies]\nitoa = "1"\n'),
            "src/lib.rs": "",
            "Cargo.lock": (
                'version = 3\n[[package]]\nname = "a"\nversion = "0.1.0"\ndependencies = ["itoa"]\n[[package]]\nname = "itoa"\n'
                f'version = "1.0.0"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\nchecksum = "{checksum}"\n'
            ),
            "home/config.toml": (
                '[net]\nretry = 0\n[source.crates-io]\nreplace-with = "x"\n[source.x]\nregistry = "sparse+http://127.0.0.1:9/"\n'
            ),
        },
    )
    with pytest.raises(MachineRefused, match="needs the network") as caught:
        load_workspace(Counting(CARGO_HOME=str(root / "home")), root, tmp_path / "state")
    assert "cargo fetch" in (caught.value.hint or "")


def test_words_of_cargo_are_short_and_plain():
    said = b"\x1b[32m    Updating\x1b[0m index\nerror: no\n\nCaused by:\n  because\n" + b"  more\n" * 500
    words = cargo_words(said)
    assert words.startswith("no\nCaused by:\n  because")
    assert len(words) <= 1500


# --- what it costs ---


def generated(root: Path, count: int) -> Path:
    root.mkdir()
    (root / "Cargo.toml").write_text(VIRTUAL)
    for i in range(count):
        folder = root / f"crates/c{i:03}"
        (folder / "src").mkdir(parents=True)
        (folder / "tests").mkdir()
        (folder / "src/lib.rs").write_text("")
        (folder / "tests/t.rs").write_text("")
        needed = "".join(f'c{j:03} = {{ path = "../c{j:03}" }}\n' for j in range(max(0, i - 5), i))
        (folder / "Cargo.toml").write_text(manifest(f"c{i:03}", f"[dependencies]\n{needed}"))
    age(root)
    return root


def test_kept_load_of_500_packages_costs_a_part_of_cargo_metadata(tmp_path):
    root = generated(tmp_path / "ws", 500)
    host = Host()
    load_workspace(host, root, tmp_path / "state")
    ours, theirs = [], []
    for _ in range(3):
        started = time.process_time()
        load_workspace(host, root, tmp_path / "state")
        ours.append(time.process_time() - started)
        theirs.append(host.run(Command(("cargo", "metadata", "--format-version", "1", "--no-deps"), root)).cpu_seconds)
    assert min(ours) < min(theirs)


def test_read_only_cache_is_still_read(kept, tmp_path):
    folder = tmp_path / "state/cache"
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        host = Counting()
        load_workspace(host, kept, tmp_path / "state")
        assert host.commands == []
    finally:
        folder.chmod(0o755)
