from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.affected import Affected, affected
from buildopt.cargo.changes import Changes
from buildopt.cargo.messages import parse_messages
from buildopt.cargo.metadata import query_workspace
from buildopt.cargo.model import DependencyKind, Package, Target, Workspace
from buildopt.cargo.path_rules import glob_pattern
from buildopt.errors import ProfileError
from buildopt.host import Command, Host

ROOT = Path("/ws")
Edges = Mapping[str, Mapping[str, tuple[DependencyKind, ...]]]


def package(directory: str, *, targets: Mapping[str, str] | None = None, member: bool = True) -> Package:
    """Return a package in `directory`, named after its last part; `targets` maps source files in it to kinds."""
    home = ROOT / directory if directory else ROOT
    home = Path(os.path.normpath(home))
    name = home.name if directory else "root"
    targets = targets or {"src/lib.rs": "lib", "tests/it.rs": "test"}
    made = tuple(Target(name, (kind,), os.path.normpath(home / source), True, True) for source, kind in targets.items())
    return Package(name, name, "0.1.0", home / "Cargo.toml", member, {}, (), made)


def workspace(packages: Iterable[Package], edges: Edges | None = None) -> Workspace:
    packages = tuple(sorted(packages, key=lambda each: each.name))
    graph = {each.id: tuple((edges or {}).get(each.id, {}).items()) for each in packages}
    return Workspace(ROOT, ROOT / "target", packages, graph, 0, True)


def ask(ws: Workspace, *paths: str, rules: Mapping[str, tuple[str, ...]] | None = None) -> Affected:
    return affected(ws, Changes(paths, "main", None, True), rules or {})


def names(answer: Affected) -> set[str]:
    return {each.name for each in answer.packages}


@pytest.fixture
def chain() -> Workspace:
    """Return core <- api <- app, lint (uses core in its tests), gen (a build dependency of lint), lone."""
    return workspace(
        [package(f"crates/{name}") for name in ("core", "api", "app", "lint", "gen", "lone", "user")],
        {
            "api": {"core": ("normal",)},
            "app": {"api": ("normal", "dev")},
            "lint": {"core": ("dev",), "gen": ("build",)},
            "user": {"lint": ("normal",)},
        },
    )


def test_an_edit_affects_the_package_and_what_depends_on_it(chain):
    answer = ask(chain, "crates/api/src/deep/x.rs")
    assert names(answer) == {"api", "app"}
    assert answer.reasons == {"api": "edited", "app": "depends on api"}
    assert not answer.everything
    assert answer.why == "2 of 7 packages: api (edited), app (depends on api)"


def test_a_development_dependency_goes_no_further(chain):
    assert names(ask(chain, "crates/core/src/lib.rs")) == {"core", "api", "app", "lint"}


def test_a_build_dependency_passes_on(chain):
    assert names(ask(chain, "crates/gen/src/lib.rs")) == {"gen", "lint", "user"}


def test_what_only_tests_can_contain_affects_no_dependents(chain):
    for path in ("tests/it.rs", "tests/data/x.json", "benches/b.rs", "examples/e/main.rs"):
        assert names(ask(chain, f"crates/core/{path}")) == {"core"}
    assert names(ask(chain, "crates/core/tests/it.rs", "crates/core/src/lib.rs")) == {"core", "api", "app", "lint"}
    assert names(ask(chain, "crates/core/README.md")) == {"core", "api", "app", "lint"}
    assert names(ask(chain, "crates/core/tests")) == {
        "core",
        "api",
        "app",
        "lint",
    }  # a submodule, or a file of that name


@pytest.mark.parametrize(
    "targets",
    [
        {"src/lib.rs": "lib", "build.rs": "custom-build"},
        {"tests/lib.rs": "lib"},
        {"tests/support/lib.rs": "lib"},
        {"lib.rs": "lib"},
        {"src/lib.rs": "lib", "tests/tool/main.rs": "bin"},
    ],
)
def test_where_more_than_tests_may_contain_it_dependents_are_affected(targets):
    ws = workspace([package("core", targets=targets), package("api")], {"api": {"core": ("normal",)}})
    assert names(ask(ws, "core/tests/x.rs")) == {"core", "api"}


def test_a_manifest_also_affects_what_it_can_set_features_of(chain):
    answer = ask(chain, "crates/app/Cargo.toml")
    assert answer.reasons == {
        "app": "edited", "api": "features set by app", "core": "features set by app", "lint": "depends on core",
    }  # fmt: skip
    assert names(ask(chain, "crates/lone/Cargo.toml")) == {"lone"}
    assert names(ask(chain, "crates/core/tests/fixture/Cargo.toml")) == {"core"}


def test_the_innermost_package_owns_a_file():
    ws = workspace([package("a"), package("a/b"), package("ab")])
    assert names(ask(ws, "a/b/src/lib.rs")) == {"b"}
    assert names(ask(ws, "a/bc/src/lib.rs")) == {"a"}
    assert names(ask(ws, "ab/src/lib.rs")) == {"ab"}


@pytest.mark.parametrize(
    "path",
    ["Cargo.lock", "Cargo.toml", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml", ".cargo/deep/x", ".cargo", "buildopt.toml",
     "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml", ".config/nextest.toml"],
)  # fmt: skip
def test_what_steers_all_builds_affects_everything(chain, path):
    answer = ask(chain, "crates/lone/src/lib.rs", path)
    assert answer.everything
    assert answer.packages == chain.members
    assert answer.why == f"all 7 packages: {path} has changed"
    assert set(answer.reasons) == {each.id for each in chain.packages}


@pytest.mark.parametrize(
    "path", ["docs/x.md", "../x.md", "../.cargo/config.toml", "crates/x.md", "crates/gone/src/lib.rs", "README.md"]
)
def test_what_belongs_to_no_package_affects_everything(chain, path):
    answer = ask(chain, path)
    assert answer.everything
    assert answer.why == f"all 7 packages: {path} belongs to no package"


def test_the_state_of_buildopt_never_counts(chain):
    assert names(ask(chain, ".buildopt/record.sqlite", ".buildopt", "__pycache__/noxfile.cpython-311.pyc")) == set()


def test_a_package_at_the_root_owns_the_directories_of_its_targets_and_no_more():
    root = package(
        "", targets={"src/lib.rs": "lib", "tests/it.rs": "test", "build.rs": "custom-build", "gen/main.rs": "bin"}
    )
    ws = workspace([root, package("api"), package("src/inner")], {"api": {"root": ("normal",)}})
    for path in ("src/x.rs", "build.rs", "gen/y.rs", "tests/it.rs"):
        assert names(ask(ws, path)) == {"root", "api"}
    assert names(ask(ws, "src/inner/x.rs")) == {"inner"}
    assert names(ask(ws, "api/src/x.rs")) == {"api"}
    for path in ("README.md", "docs/x.md", "assets/logo.png", "Cargo.toml"):
        assert ask(ws, path).everything


def test_a_single_package_owns_all_of_its_directory():
    ws = workspace([package("")])
    assert ask(ws, "README.md", "docs/x.md", "src/lib.rs").why == "1 of 1 package: root (edited)"


def test_a_path_dependency_outside_of_the_root_passes_on_and_is_not_built_itself():
    ws = workspace(
        [package("../shared", member=False), package("app"), package("lone")], {"app": {"shared": ("normal",)}}
    )
    answer = ask(ws, "../shared/src/lib.rs")
    assert names(answer) == {"app"}
    assert answer.reasons == {"shared": "edited", "app": "depends on shared"}
    assert ask(ws, "../other/src/lib.rs").everything


def test_a_target_whose_source_is_elsewhere_belongs_to_both():
    ws = workspace(
        [
            package("a", targets={"../b/src/extra/lib.rs": "lib"}),
            package("b"),
            package("c", targets={"../shared/c.rs": "lib"}),
        ]
    )
    assert names(ask(ws, "b/src/extra/x.rs")) == {"a", "b"}
    assert names(ask(ws, "b/src/x.rs")) == {"b"}
    assert names(ask(ws, "shared/deep/x.rs")) == {"c"}


def test_a_submodule_is_everything_in_it():
    ws = workspace([package("libs/one"), package("libs/one/inner"), package("libs/two")])
    assert names(ask(ws, "libs/one")) == {"one", "inner"}
    assert ask(ws, "libs").everything


def test_lint_settings_hold_for_packages_below_them():
    ws = workspace([package("a"), package("a/b"), package("c")])
    assert names(ask(ws, "a/clippy.toml")) == {"a", "b"}
    assert names(ask(ws, "a/.rustfmt.toml")) == {"a", "b"}


def test_cycles_of_development_dependencies_end():
    ws = workspace([package("a"), package("b")], {"a": {"b": ("dev",)}, "b": {"a": ("normal",)}})
    assert names(ask(ws, "a/src/lib.rs")) == {"a", "b"}
    assert names(ask(ws, "b/src/lib.rs")) == {"a", "b"}


def test_nobody_knows_what_has_changed(chain):
    answer = affected(chain, Changes((), "", "the repository has no commit yet", False), {})
    assert answer.everything
    assert answer.why == "all 7 packages: the repository has no commit yet"


def test_the_line_for_people(chain):
    assert ask(chain).why == "0 of 7 packages: nothing has changed since main"
    assert ask(chain, "docs/x.md", rules={"docs/**": ()}).why == "0 of 7 packages: no changed file affects one"
    every = ask(chain, *(f"crates/{name}/src/lib.rs" for name in ("core", "gen", "lone")))
    assert every.why == "7 of 7 packages: core (edited), gen (edited), lone (edited), api (depends on core) and 3 more"


# ---- rules


def test_a_rule_decides_for_its_files(chain):
    rules = {"docs/**": (), "proto/*.proto": ("api",), "Cargo.lock": (), "../web/**": ()}
    assert names(ask(chain, "docs/a/b.md", "Cargo.lock", "../web/x.ts", rules=rules)) == set()
    assert names(ask(chain, "proto/x.proto", rules=rules)) == {"api", "app"}
    assert ask(chain, "proto/deep/x.proto", rules=rules).everything


def test_the_most_specific_rule_decides(chain):
    rules = {"**": ("lone",), "docs/**": (), "docs/api.md": ("api",), "docs/*.md": ("app",)}
    assert names(ask(chain, "docs/api.md", rules=rules)) == {"api", "app"}
    assert names(ask(chain, "docs/x.md", rules=rules)) == {"app"}
    assert names(ask(chain, "docs/x.txt", rules=rules)) == set()
    assert names(ask(chain, "x.txt", rules=rules)) == {"lone"}
    assert names(ask(chain, "x.txt", rules=dict(reversed(rules.items())))) == {"lone"}


def test_rules_that_cannot_be_used_are_all_named(chain):
    with pytest.raises(ProfileError) as caught:
        ask(chain, rules={"docs/**": ("cor", "api"), "[x": ()})
    text = "\n".join(caught.value.lines())
    assert "affected.paths.\"docs/**\": no package named 'cor' in this workspace" in text
    assert 'affected.paths."[x": expected a glob' in text


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx"]),
        ("**/*.md", ["a.md", "a/b.md", "a/b/c.md"], ["a.txt"]),
        ("docs/**", ["docs/a", "docs/a/b"], ["docs", "docsx/a", "a/docs/b"]),
        ("docs/", ["docs/a", "docs/a/b"], ["docs"]),
        ("./docs/*", ["docs/a"], ["docs/a/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("**", ["a", "a/b", ".x"], []),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("?.rs", ["a.rs", "ü.rs"], ["ab.rs", "/.rs"]),
        ("[ab].rs", ["a.rs", "b.rs"], ["c.rs"]),
        ("[!ab].rs", ["c.rs"], ["a.rs", "/.rs"]),
        ("[a-c]x", ["bx"], ["dx"]),
        ("[]]", ["]"], ["["]),
        ("[!]]", ["x"], ["]"]),
        ("a.b+(c)|d", ["a.b+(c)|d"], ["axb+(c)|d"]),
        ("../web/**", ["../web/a"], ["web/a"]),
        ("new\nline*", ["new\nline\n"], []),
    ],
)
def test_globs(glob, yes, no):
    ws = workspace([package("x")])
    for path in yes:
        assert not ask(ws, path, rules={glob: ()}).everything, path
    for path in no:
        assert ask(ws, path, rules={glob: ()}).everything, path


@given(st.text(alphabet="ab*?[]!/-\\^.&~|\n", max_size=12), st.text(alphabet="ab/", max_size=8))
def test_no_glob_is_a_failure_other_than_a_refusal(glob, path):
    with contextlib.suppress(ProfileError):
        ask(workspace([package("x")]), path, rules={glob: ()})
    if set(glob) <= set("ab/.") and not glob.endswith("/"):
        assert glob_pattern(glob) == re.escape(glob.removeprefix("./")).replace("\\/", "/")


# ---- against a slow and obvious reading of the same rules


@given(st.data())
def test_the_same_as_a_slow_reading(data):
    kinds = st.sets(st.sampled_from(["normal", "dev", "build"]), max_size=2).map(lambda s: tuple(sorted(s)))
    count = data.draw(st.integers(1, 7))
    ids = [f"p{n}" for n in range(count)]
    edges = {a: {b: data.draw(kinds) for b in ids if a != b and data.draw(st.booleans())} for a in ids}
    edges = {a: {b: k for b, k in found.items() if k} for a, found in edges.items()}
    ws = workspace([package(f"crates/{name}") for name in ids], edges)
    edited = data.draw(st.sets(st.sampled_from(ids)))
    leaves = data.draw(st.sets(st.sampled_from(ids)))
    answer = ask(ws, *(f"crates/{name}/src/x.rs" for name in edited), *(f"crates/{name}/tests/x.rs" for name in leaves))
    passing = set(edited)
    while True:
        more = {a for a in ids for b, k in edges[a].items() if b in passing and set(k) - {"dev"}} - passing
        if not more:
            break
        passing |= more
    expected = passing | leaves | {a for a in ids if passing & edges[a].keys()}
    assert names(answer) == expected
    assert set(answer.reasons) == expected


def test_five_hundred_packages_and_ten_thousand_files_take_less_than_a_tenth_of_a_second(cpu_seconds):
    chance = random.Random(1)
    ids = [f"p{n}" for n in range(500)]
    edges = {f"p{n}": {f"p{chance.randrange(n)}": ("normal",) for _ in range(5)} for n in range(1, 500)}
    ws = workspace([package(f"crates/{name}") for name in ids], edges)
    paths = [f"crates/{chance.choice(ids)}/src/a{n % 97}/b/c/file{n}.rs" for n in range(10_000)]
    rules = {f"docs/{n}/**": () for n in range(10)}
    assert cpu_seconds(lambda: ask(ws, *paths, rules=rules)) < 0.1


# ---- against Cargo: whatever it rebuilds is in the answer


class World:
    """A generated workspace: package n may depend on packages below n, in random ways."""

    def __init__(self, root: Path, chance: random.Random, count: int) -> None:
        self.root = root
        self.chance = chance
        self.names = [f"p{n}" for n in range(count)]
        self.rooted = chance.random() < 0.4
        self.directories = {
            name: ""
            if self.rooted and name == "p0"
            else chance.choice(["", "crates/", "p0/" if not self.rooted else "crates/"]) + name
            for name in self.names
        }
        if not self.rooted:
            self.directories["p0"] = "p0"
        self.scripts = {name: chance.choice([None, None, "silent", "watching"]) for name in self.names}
        self.macros = {name for name in self.names[1:-1] if chance.random() < 0.2}
        self.edges = {
            name: {
                other: [
                    kind for kind in ("dependencies", "dev-dependencies", "build-dependencies") if chance.random() < 0.4
                ]
                for other in self.names[:at]
                if chance.random() < 0.5
            }
            for at, name in enumerate(self.names)
        }
        for name in self.names:
            self._write(name)
        members = ", ".join(f'"{self.directories[name]}"' for name in self.names if self.directories[name])
        manifest = f'[workspace]\nmembers = [{members}]\nresolver = "2"\n'
        if self.rooted:
            manifest += (root / "Cargo.toml").read_text()
        self._put("Cargo.toml", manifest)
        self._put("README.md", "hello\n")

    def _put(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def _write(self, name: str) -> None:
        directory = self.directories[name]
        at = f"{directory}/" if directory else ""
        lines = ["[package]", f'name = "{name}"', 'version = "0.1.0"', 'edition = "2021"', "[features]", "odd = []"]
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            lines.append(f"[{kind}]")
            for other, kinds in self.edges[name].items():
                if kind in kinds and not (kind == "build-dependencies" and not self.scripts[name]):
                    path = os.path.relpath(self.root / self.directories[other], self.root / directory)
                    feature = ', features = ["odd"]' if self.chance.random() < 0.2 else ""
                    lines.append(f'{other} = {{ path = "{path}"{feature} }}')
        if name in self.macros:
            lines.append("[lib]\nproc-macro = true")
        self._put(f"{at}Cargo.toml", "\n".join(lines) + "\n")
        inclusion = (
            f'const _: &str = include_str!("{os.path.relpath(self.root / "README.md", self.root / at / "src")}");\n'
        )
        used = inclusion if self.chance.random() < 0.3 else ""
        self._put(f"{at}src/lib.rs", used + ("" if name in self.macros else "pub fn f() {}\n#[cfg(test)] mod tests;\n"))
        if name not in self.macros:
            self._put(f"{at}src/tests.rs", "\n")
        self._put(f"{at}src/bin/tool.rs", "fn main() {}\n")
        self._put(f"{at}tests/it.rs", 'const _: &str = include_str!("data.txt");\n')
        self._put(f"{at}tests/data.txt", "x\n")
        self._put(f"{at}examples/ex.rs", "fn main() {}\n")
        self._put(f"{at}notes.txt", "x\n")
        script = {
            "silent": "fn main() {}\n",
            "watching": 'fn main() { println!("cargo:rerun-if-changed=notes.txt"); }\n',
        }
        if self.scripts[name]:
            self._put(f"{at}build.rs", script[self.scripts[name]])

    def edit(self, step: int) -> list[str]:
        """Change one to three files and return their paths."""
        time.sleep(0.02)  # the clock that stamps files ticks every few milliseconds
        paths = []
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            name = self.chance.choice(self.names)
            at = f"{self.directories[name]}/" if self.directories[name] else ""
            files = [
                "src/lib.rs",
                "src/bin/tool.rs",
                "tests/it.rs",
                "tests/data.txt",
                "examples/ex.rs",
                "notes.txt",
                "Cargo.toml",
            ]
            path = self.chance.choice([*(at + file for file in files), "README.md"])
            text = (self.root / path).read_text()
            if path.endswith("Cargo.toml"):
                text = (
                    text.replace(', features = ["odd"]', "")
                    if 'odd"]' in text
                    else text.replace('" }', '", features = ["odd"] }')
                )
            mark = {".rs": f"// {step}\n", ".toml": f"# {step}\n", ".txt": f"{step}\n", ".md": f"{step}\n"}
            (self.root / path).write_text(text + mark[Path(path).suffix])
            paths.append(path)
        return paths


def rebuilt_packages(host: Host, root: Path) -> set[str]:
    options = ("--workspace", "--all-targets", "--offline", "-q", "--message-format=json-render-diagnostics")
    done = host.run(Command(("cargo", "check", *options), root))
    assert done.returncode == 0, done.stderr.decode()
    return {unit.package for unit in parse_messages(done.stdout).artifacts if unit.fresh is False}


def ask_about(root: Path, *paths: str) -> Affected:
    return ask(query_workspace(Host(), root), *paths)


def check_against_cargo(root: Path, seed: int, count: int, steps: int) -> int:
    """Return how many packages were left out over all edits, after checking each against what Cargo rebuilt."""
    world = World(root, random.Random(seed), count)
    host = Host({**os.environ, "CARGO_INCREMENTAL": "0"})
    rebuilt_packages(host, root)
    left_out = 0
    for step in range(steps):
        paths = world.edit(step)
        answer = ask_about(root, *paths)
        missing = rebuilt_packages(host, root) - names(answer)
        assert not missing, json.dumps(
            {"seed": seed, "step": step, "paths": paths, "why": answer.why, "missing": sorted(missing)}
        )
        left_out += count - len(answer.packages)
    return left_out


def test_cargo_rebuilds_nothing_else_quickly(tmp_path, need):
    need("cargo")
    check_against_cargo(tmp_path, seed=7, count=4, steps=4)


def test_a_build_script_that_names_no_file_passes_an_edit_of_a_test_on(tmp_path, tree, need):
    need("cargo")
    manifest = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n'
    root = tree(
        tmp_path,
        {
            "Cargo.toml": '[workspace]\nmembers = ["core", "api"]\nresolver = "2"\n',
            "core/Cargo.toml": manifest.format("core"),
            "core/build.rs": "fn main() {}\n",
            "core/src/lib.rs": "",
            "core/tests/data.txt": "x\n",
            "api/Cargo.toml": manifest.format("api") + '[dependencies]\ncore = { path = "../core" }\n',
            "api/src/lib.rs": "",
        },
    )
    rebuilt_packages(Host(), root)
    time.sleep(0.02)
    (root / "core/tests/data.txt").write_text("y\n")
    assert rebuilt_packages(Host(), root) == {"core", "api"}
    assert names(ask_about(root, "core/tests/data.txt")) == {"core", "api"}


@pytest.mark.slow
def test_cargo_rebuilds_nothing_else(tmp_path, need):
    need("cargo")
    first = int(os.environ.get("AFFECTED_SEED", "0"))
    left_out = sum(
        check_against_cargo(tmp_path / str(seed), seed, count=6, steps=6) for seed in range(first, first + 12)
    )
    assert left_out > 30  # an answer that is always everything would be right, and of no use
