"""Whatever Cargo builds again after an edit is in the affected set: on generated workspaces, and on real ones."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from published import assemble

from buildopt.cargo import Affected, Changes, Reach, parse_messages, read_inputs
from buildopt.cargo.metadata import query_workspace
from buildopt.host import Command, Host

pytestmark = pytest.mark.slow
EVERY_TARGET = ("--workspace", "--all-targets")
STABLE_TARGETS = (
    "--workspace",
    "--lib",
    "--bins",
    "--tests",
    "--examples",
)  # published benches may want a nightly compiler
COMMENTS = {".rs": "// {}\n", ".toml": "# {}\n", ".lock": "# {}\n", ".md": "{}\n", ".txt": "{}\n", ".json": " \n"}
FIRST_SEED = int(os.environ.get("AFFECTED_SEED", "0"))
HEAD = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n'
SHOP = '[source.crates-io]\nreplace-with = "shop"\n[source.shop]\ndirectory = "../shop"\n'
KINDS = ("dependencies", "dev-dependencies", "build-dependencies")


def shown(total: Counter[str]) -> str:
    """Return how much more than necessary was affected."""
    return (
        f"{total['edits']} edits, of which {total['everything']} affect everything: {total['affected']} packages affected / "
        f"{total['rebuilt']} rebuilt = {total['affected'] / max(total['rebuilt'], 1):.2f}"
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def publish(shop: Path) -> None:
    """Put packages into a directory that stands in for the registry; in place of `p0`, a member can be used."""
    packages = {
        "base": "[features]\nodd = []\n",
        "ext": '[features]\nodd = ["base/odd"]\n[dependencies]\nbase = "0.1"\n',
        "p0": "[features]\nodd = []\n",
        "user": '[features]\nodd = ["p0/odd"]\n[dependencies]\np0 = "0.1"\n',
    }
    for name, manifest in packages.items():
        write(shop / name / "Cargo.toml", HEAD.format(name) + manifest)
        write(shop / name / "src/lib.rs", "")
        write(shop / name / ".cargo-checksum.json", json.dumps({"files": {}, "package": "0" * 64}))


class World:
    """A generated workspace: package n may depend on packages below n, in all the ways that Cargo has."""

    def __init__(self, top: Path, seed: int, count: int) -> None:
        self.chance = random.Random(seed)
        self.root = top / "ws"
        self.names = [f"p{n}" for n in range(count)]
        self.rooted = self.chance.random() < 0.4
        self.build_dir = self._pick("", "", '[build]\nbuild-dir = "../built"\n')
        self.homes = {name: self._home(name) for name in self.names}
        self.scripts = {
            name: self._pick("none", "none", "silent", "silent", "own", "foreign", "folder") for name in self.names
        }
        self.macros = {name for name in self.names[1:-1] if self.chance.random() < 0.2}
        self.edges = {
            name: {other: self._edge(at, below) for below, other in enumerate(self.names) if self.chance.random() < 0.5}
            for at, name in enumerate(self.names)
        }
        self.published = {name: self._pick("", 'ext = "0.1"', 'ext = "0.1"', 'ext = { version = "0.1", features = ["odd"] }', 'base = "0.1"',
                                           'user = "0.1"') for name in self.names}  # fmt: skip
        publish(self.root.parent / "shop")
        for name in self.names:
            self._package(name)
        self._write_root()

    def edits(self, step: int) -> list[str]:
        """Make one to three edits and return the paths of the files, relative to the root."""
        time.sleep(0.02)  # the clock that stamps files ticks every few milliseconds
        paths: list[str] = []
        for _ in range(self._pick(1, 1, 1, 1, 2)):
            paths += self._edit(self._pick(*self.names), step)
        return sorted({os.path.relpath(path, self.root) for path in paths})

    def _pick(self, *choices):
        return self.chance.choice(choices)

    def _home(self, name: str) -> Path:
        if name == "p0":
            return self.root if self.rooted else self.root / "p0"
        places = [".", "crates", "crates/deep", ".." if name == "p1" else "."]
        places += ["src/nested", "tests/nested"] if self.rooted else ["p0", "p0/src"]
        return Path(os.path.normpath(self.root / self._pick(*places) / name))

    def _edge(self, at: int, below: int) -> dict[str, str]:
        """Return, by table of the manifest, the options of a dependency: a circle is only possible for development."""
        tables = {}
        for kind in KINDS:
            if at != below and self.chance.random() < (0.45 if at > below else 0.1 * (kind == "dev-dependencies")):
                table = self._pick(kind, kind, kind, f"target.'cfg(unix)'.{kind}", f"target.'cfg(windows)'.{kind}")
                options = self._pick("", "", ', features = ["odd"]', ", default-features = false")
                optional = ", optional = true" if kind != "dev-dependencies" and self.chance.random() < 0.2 else ""
                tables[table] = options + optional
        return tables

    def _write_root(self) -> None:
        members = [os.path.relpath(self.homes[name], self.root) for name in self.names if self.homes[name] != self.root]
        inside = ", ".join(f'"{member}"' for member in members if not member.startswith(".."))
        own = (self.root / "Cargo.toml").read_text() if self.rooted else ""
        write(
            self.root / "Cargo.toml",
            f'[workspace]\nmembers = [{inside}]\nresolver = "{self._pick(1, 2, 2)}"\n[workspace.package]\nversion = "0.1.0"\n'
            f'[patch.crates-io]\np0 = {{ path = "{os.path.relpath(self.homes["p0"], self.root)}" }}\n{own}',
        )
        write(self.root / ".cargo/config.toml", SHOP + self.build_dir)
        for name in ("README.md", "docs/a.txt", "docs/b.txt", "clippy.toml"):
            write(self.root / name, "")
        if self.chance.random() < 0.3:
            subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)  # build scripts then watch what git knows
            write(self.root / ".gitignore", "target\n")

    def _package(self, name: str) -> None:
        home = self.homes[name]
        self._manifest(name)
        macro = name in self.macros
        lib = "" if macro else "pub fn f() {}\n#[cfg(test)] mod unit;\n"
        if not macro:
            write(home / "src/unit.rs", "")
        write(home / "src/lib.rs", lib + self._inclusion(name, "src") + self._inclusion(name, "src"))
        write(home / "src/bin/tool.rs", "fn main() {}\n" + self._inclusion(name, "src/bin"))
        write(home / "tests/it.rs", "mod common;\n" + self._inclusion(name, "tests"))
        write(home / "tests/common/mod.rs", "")
        write(home / "benches/speed.rs", "")
        write(home / "examples/ex/main.rs", "fn main() {}\n")
        for data in ("notes.txt", "tests/data.txt", "data/x.txt", "data/deep/y.txt", "src/data.txt"):
            write(home / data, "")
        docs = os.path.relpath(self.root / "docs", home)
        declared = {"silent": "", "own": "notes.txt", "foreign": f"{docs}/a.txt", "folder": "data", "none": None}
        watched = declared[self.scripts[name]]
        if watched is not None:
            separator = self._pick(":", "::")
            line = f'println!("cargo{separator}rerun-if-changed={watched}");' if watched else ""
            write(home / "build.rs", f"fn main() {{ {line} }}\n")

    def _inclusion(self, name: str, folder: str) -> str:
        """Return a line that reads a file of the package, of another one, or of none; mostly nothing."""
        if self.chance.random() < 0.6:
            return ""
        other = self.homes[self._pick(*self.names)]
        own = self.homes[name]
        target = self._pick(self.root / "README.md", self.root / "docs/a.txt", own / "notes.txt", own / "tests/data.txt", own / "data/x.txt",
                            other / "src/data.txt", other / "tests/data.txt", other / "notes.txt")  # fmt: skip
        return f'const _: &str = include_str!("{os.path.relpath(target, own / folder)}");\n'

    def _manifest(self, name: str) -> None:
        home = self.homes[name]
        outside = not home.is_relative_to(self.root)
        version = 'version = "0.1.0"' if outside else self._pick('version = "0.1.0"', "version.workspace = true")
        lines = ["[package]", f'name = "{name}"', version, 'edition = "2021"', "# note"]
        lines += ["[features]", "odd = []", "strange = []", self._pick("default = []", 'default = ["strange"]')]
        tables = {"dependencies": ["" if name == "p0" and "user" in self.published[name] else self.published[name]]}
        for other, edge in self.edges[name].items():
            key, path = self._pick(other, f"my_{other}"), os.path.relpath(self.homes[other], home)
            for table, options in edge.items():
                if "build-" in table and self.scripts[name] == "none":
                    continue
                tables.setdefault(table, []).append(f'{key} = {{ package = "{other}", path = "{path}"{options} }}')
        for table, entries in tables.items():
            lines += [f"[{table}]", *entries]
        if name in self.macros:
            lines.append("[lib]\nproc-macro = true")
        if outside:
            lines.append("[workspace]")
        write(home / "Cargo.toml", "\n".join(lines) + "\n")

    def _edit(self, name: str, step: int) -> list[Path]:
        home = self.homes[name]
        ways = [self._grow_file] * 6 + [self._change_manifest] * 4 + [self._add_or_remove] * 2 + [self._change_all]
        return self._pick(*ways)(home, step)

    def _grow_file(self, home: Path, step: int) -> list[Path]:
        own = ["src/lib.rs", "src/bin/tool.rs", "tests/it.rs", "tests/common/mod.rs", "benches/speed.rs", "examples/ex/main.rs",
               "notes.txt", "tests/data.txt", "data/x.txt", "data/deep/y.txt", "src/data.txt", "src/unit.rs", "build.rs"]  # fmt: skip
        files = [home / name for name in own if (home / name).exists()]
        readme = self.root / "README.md"
        path = self._pick(*files, *files, readme, readme, readme, self.root / "docs/a.txt", self.root / "docs/b.txt")
        path.write_text(path.read_text() + f"// {step}\n")
        return [path]

    def _change_manifest(self, home: Path, step: int) -> list[Path]:
        path = home / "Cargo.toml"
        text = path.read_text()
        odd = ', features = ["odd"]'
        needs = [line for line in text.splitlines() if re.match(r'\w+ = (\{.*(path|version) = |"0.1"$)', line)]
        toggled = [
            line.replace(odd, "")
            if odd in line
            else line.replace('= "0.1"', '= { version = "0.1" }').replace(" }", odd + " }")
            for line in needs
        ]
        changed = [text.replace(old, new, 1) for old, new in zip(needs, toggled, strict=True)] * 2
        changed += [text.replace(line + "\n", "", 1) for line in needs]
        changed += [
            text.replace("# note", f"# note {step}\n# note"),
            re.sub(r"(?m)^default = .*", 'default = ["strange"]', text),
        ]
        if "ext = " not in text:
            changed.append(text.replace("[dependencies]\n", f'[dependencies]\next = {{ version = "0.1"{odd} }}\n', 1))
        path.write_text(self._pick(*changed))
        return [path]

    def _change_all(self, home: Path, step: int) -> list[Path]:
        path, text = self._pick(
            (self.root / ".cargo/config.toml", f"[target.'cfg(not(step{step}))']\nrustflags = ['--cfg=step{step}']\n"),
            (self.root / "clippy.toml", f"# {step}\n"),
            (self.root / "Cargo.lock", f"# {step}\n"),
            (home / "clippy.toml", f"# {step}\n"),
            (self.root / "Cargo.toml", f"# {step}\n"),
        )
        write(path, (path.read_text() if path.exists() else "") + text)
        return [path]

    def _add_or_remove(self, home: Path, step: int) -> list[Path]:
        path = home / self._pick("tests/more.rs", "src/bin/more.rs", "examples/more.rs", "data/more.txt", "more.txt")
        if path.exists():
            path.unlink()
        else:
            write(path, "fn main() {}\n")
        return [path]


class Checked(NamedTuple):
    """A workspace of which everything is built."""

    host: Host
    root: Path
    options: tuple[str, ...]

    def rebuilt(self) -> set[str]:
        """Build everything and return the ids of the packages of which Cargo had to build something."""
        options = (*self.options, "--offline", "-q", "--message-format=json-render-diagnostics")
        done = self.host.run(Command(("cargo", "check", *options), self.root))
        assert done.returncode == 0, done.stderr.decode()
        return {unit.package_id for unit in parse_messages(done.stdout).artifacts if unit.fresh is False}

    def after(self, edit: Callable[[], list[str]]) -> tuple[list[str], Affected, set[str]]:
        """Return the paths of an edit, what it affects, and what Cargo then rebuilds."""
        before = query_workspace(self.host, self.root)
        readers = read_inputs(self.host, before)
        paths = edit()
        changes = Changes(tuple(paths), "before", None, True)
        manifests = any(path.endswith("Cargo.toml") for path in paths)
        now = query_workspace(self.host, self.root) if manifests else before
        known = {package.id for package in now.packages}
        affected = Reach(now, None, readers).affected(changes)
        if manifests:  # what a manifest no longer says is known from before
            old = Reach(before, None, readers).affected(changes)
            affected = affected._replace(reasons={**old.reasons, **affected.reasons})
        return paths, affected, self.rebuilt() & known


def check(checked: Checked, edit: Callable[[], list[str]], total: Counter[str], hint: str) -> None:
    paths, affected, rebuilt = checked.after(edit)
    missing = rebuilt - affected.reasons.keys()
    assert not missing, f"{hint}: {paths}: {affected.why}: cargo also rebuilds {sorted(missing)}"
    total["edits"] += 1
    total["affected"] += len(affected.reasons)
    total["rebuilt"] += len(rebuilt)
    total["everything"] += affected.everything


def need_of(version: str) -> str:
    return f"[dependencies]\n{version}\n"


@pytest.mark.parametrize(
    ("a", "b", "edit"),
    [
        ('ext = "0.1"', 'base = "0.1"', {"a/Cargo.toml": HEAD.format("a") + need_of('ext = { version = "0.1", features = ["odd"] }')}),
        ('user = "0.1"', "", {"p0/src/lib.rs": "pub fn f() {}"}),
        ("", "", {"README.md": "new"}),
    ],
    ids=["features of published packages", "a member in place of a published package", "the build script of the root"],
)  # fmt: skip
def test_what_is_easily_overlooked(
    tmp_path: Path, tree, need: Callable[[str], Path], a: str, b: str, edit: dict[str, str]
):
    need("cargo")
    publish(tmp_path / "shop")
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": f'[workspace]\nmembers = ["p0", "a", "b"]\n[patch.crates-io]\np0 = {{ path = "p0" }}\n{HEAD.format("root")}',
            ".cargo/config.toml": SHOP, "src/lib.rs": "", "build.rs": "fn main() {}", "README.md": "",
            "p0/Cargo.toml": HEAD.format("p0") + "[features]\nodd = []\n", "p0/src/lib.rs": "",
            "a/Cargo.toml": HEAD.format("a") + need_of(a), "a/src/lib.rs": 'const _: &str = include_str!("../../README.md");',
            "b/Cargo.toml": HEAD.format("b") + need_of(b), "b/src/lib.rs": "",
        },
    )  # fmt: skip
    checked = Checked(Host(), root, EVERY_TARGET)
    checked.rebuilt()
    time.sleep(0.02)
    paths, affected, rebuilt = checked.after(lambda: [*edit] if tree(root, edit) else [])
    assert rebuilt <= affected.reasons.keys(), paths
    assert len(rebuilt) == 2
    assert not affected.everything


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 6))
def test_generated_workspaces(tmp_path: Path, need: Callable[[str], Path], seed: int):
    need("cargo")
    world = World(tmp_path, seed, 6)
    checked = Checked(Host(), world.root, EVERY_TARGET)
    checked.rebuilt()
    total: Counter[str] = Counter()
    for step in range(20):
        check(checked, partial(world.edits, step), total, f"seed {seed} step {step}")
    print(f"seed {seed}:", shown(total))  # noqa: T201 - how exact it is, for those who look


def edit_published(root: Path, chance: random.Random, step: int) -> list[str]:
    """Make one edit in a workspace of published packages, and return the path of the file."""
    time.sleep(0.02)
    files = sorted(path for path in (root / "crates").rglob("*") if path.is_file() and path.suffix in COMMENTS)
    steering = [root / "Cargo.toml", root / "Cargo.lock", root / ".cargo/config.toml"]
    path = chance.choice(steering if chance.random() < 0.03 else files)
    if path.suffix == ".rs" and chance.random() < 0.1:
        path = path.with_name(f"new_{step}.rs") if not path.stem.startswith("new_") else path
        path.unlink() if path.exists() else write(path, "fn main() {}\n")
        return [path.relative_to(root).as_posix()]
    text = path.read_text() if path.exists() else ""
    if path.name == "Cargo.toml" and "[features]\n" in text:
        text = text.replace("[features]\n", f"[features]\nodd_{step} = []\n")
    else:
        text += COMMENTS[path.suffix].format(step)
    write(path, text)
    return [path.relative_to(root).as_posix()]


@pytest.mark.parametrize("name", ["ripgrep", "serde"])
def test_real_workspaces(tmp_path: Path, need: Callable[[str], Path], name: str):
    need("cargo")
    root = assemble(name, tmp_path)
    checked = Checked(Host(), root, STABLE_TARGETS)
    checked.rebuilt()
    chance = random.Random(FIRST_SEED)
    total: Counter[str] = Counter()
    for step in range(100):
        check(checked, partial(edit_published, root, chance, step), total, f"{name} seed {FIRST_SEED} step {step}")
    print(f"{name}:", shown(total))  # noqa: T201 - how exact it is, for those who look
