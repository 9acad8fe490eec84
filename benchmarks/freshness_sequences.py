"""Random edit sequences over saved caches: after each, the binary must print what that of a clean build prints.

A sequence takes a saved target directory and a state of the sources (that of the save, or another branch), edits it, checks it
out afresh at the same path with new, old or random times, brings the target directory back (tar, tar that keeps whole seconds,
cp -r), runs `cache restore`, builds one or two ways, runs the binary, and compares. Then it works on in place, also with moves
that keep old times, builds, and saves for those that follow. A clean build is really made for each state and way to build.
Call: python benchmarks/freshness_sequences.py [--sequences N] [--seed S]; ends with 1 at the first stale binary.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from buildopt.host import Host
from buildopt.verbs.cache import restore, save
from buildopt.verbs.context import Context

__all__ = ["Site", "Stale"]

Tree = dict[str, str]
"""What is in the work tree, by path: the text of a file, or `-> TARGET` for a symlink."""

MANIFEST = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{rest}'
START: Tree = {
    "Cargo.toml": '[workspace]\nmembers = ["app", "leaf", "gen", "quiet", "embed"]\nresolver = "2"\n'
    "[profile.dev]\ndebug = 0\nincremental = false\n"
    '[profile.other]\ninherits = "dev"\ndebug-assertions = false\n',
    "app/Cargo.toml": MANIFEST.format(
        name="app",
        rest='[features]\nextra = ["leaf/extra"]\n[dependencies]\nleaf = { path = "../leaf" }\n'
        'gen = { path = "../gen", package = "gen-er" }\n'
        'quiet = { path = "../quiet" }\n',
    ),
    "app/src/main.rs": 'fn main() { print!("app 0 {} {}\\n{}\\n{}\\n{}\\n", cfg!(feature = "extra"), cfg!(debug_assertions), '
    "leaf::value(), gen::value(), quiet::value()); }\n",
    "leaf/Cargo.toml": MANIFEST.format(
        name="leaf", rest='[features]\nextra = []\n[dependencies]\nembed = { path = "../embed" }\n'
    ),
    "leaf/src/lib.rs": "mod part_a;\n"
    'pub fn value() -> String { format!("leaf 0 {} {} {} {} {} {}", embed::assets!(), cfg!(feature = "extra"), part_a::VALUE, '
    'include_str!("linked.txt"), include_str!("../../shared/text.txt"), include_str!("../../../outside.txt")) }\n',
    "leaf/src/part_a.rs": 'pub const VALUE: &str = "part 0";\n',
    "leaf/src/linked.txt": "-> ../alt/one.txt",
    "leaf/alt/one.txt": "one 0",
    "leaf/alt/two.txt": "two 0",
    "leaf/assets/a.txt": "a 0",
    "shared/text.txt": "shared 0",
    "embed/Cargo.toml": MANIFEST.format(name="embed", rest="[lib]\nproc-macro = true\n"),
    "gen/Cargo.toml": MANIFEST.format(name="gen-er", rest=""),
    "gen/src/lib.rs": 'pub fn value() -> &\'static str { include_str!(concat!(env!("OUT_DIR"), "/made.txt")) }\n',
    "gen/one.txt": "gen 0",
    "gen/data/a.txt": "a 0",
    "gen/data/deep/b.txt": "b 0",
    "quiet/Cargo.toml": MANIFEST.format(name="quiet", rest=""),
    "quiet/src/lib.rs": 'pub fn value() -> &\'static str { include_str!(concat!(env!("OUT_DIR"), "/made.txt")) }\n',
    "quiet/notes/a.txt": "note 0",
    "../outside.txt": "outside 0",
}
_READ = """use std::{fs, path::Path};
fn all(path: &Path, text: &mut String) {
    let mut found: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    for path in found {
        text.push_str(path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() { all(&path, text) } else { text.push_str(&fs::read_to_string(&path).unwrap()) }
        text.push(' ');
    }
}
"""
START["gen/build.rs"] = (
    _READ + 'fn main() { println!("cargo:rerun-if-changed=one.txt\\ncargo:rerun-if-changed=data"); '
    'let mut text = fs::read_to_string("one.txt").unwrap(); all(Path::new("data"), &mut text); '
    'fs::write(format!("{}/made.txt", std::env::var("OUT_DIR").unwrap()), format!("made 0 {text}")).unwrap(); }\n'
)
START["quiet/build.rs"] = (
    _READ + 'fn main() { let mut text = String::new(); all(Path::new("notes"), &mut text); '
    'fs::write(format!("{}/made.txt", std::env::var("OUT_DIR").unwrap()), format!("made 0 {text}")).unwrap(); }\n'
)
WAYS: list[tuple[str, ...]] = [(), ("--features", "extra"), ("--profile", "other")]


NUMBER = re.compile(r"\b(app|leaf|part|gen|one|two|shared|a|b|c|note|outside|made) \d")
OLD = 1_000_000_000
_OPS = (
    "edit",
    "edit",
    "edit",
    "edit",
    "edit",
    "revert",
    "rename",
    "rename",
    "delete",
    "add",
    "add",
    "retarget",
    "swap",
    "feature",
    "outside",
)
# What it reads, it does not tell Cargo, as many a macro does.
START["embed/src/lib.rs"] = (
    _READ
    + "use proc_macro::{Literal, TokenStream, TokenTree};\n#[proc_macro]\npub fn assets(_: TokenStream) -> TokenStream {\n"
    "    let mut text = String::new();\n"
    '    all(&Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("assets"), &mut text);\n'
    "    TokenTree::from(Literal::string(&text)).into()\n}\n"
)


class Stale(Exception):
    """A binary that is not what a clean build makes of the same sources."""


class Cache(NamedTuple):
    """A saved target directory, and the sources that it was saved with."""

    archive: Path
    tree: Tree


class Site:
    """One work tree at one path, the caches saved from it, and what clean builds print."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.root = folder / "site" / "ws"
        self.chance = random.Random(seed)
        self.host = Host()
        self.caches: list[Cache] = []
        self.branches: list[Tree] = [dict(START)]
        self.tree: Tree = {}
        self.counts: Counter[str] = Counter()
        self.story: list[str] = []
        self._clean: dict[tuple[object, ...], str] = {}
        self._archives = 0

    def sequence(self, number: int) -> None:
        """Play one sequence; raises Stale at the first binary that is not right."""
        self.story = [f"sequence {number}"]
        cache = self.chance.choice([None, *self.caches] if len(self.caches) > 2 else [*self.caches, None])
        base = dict(
            cache.tree if cache is not None and self.chance.random() < 0.7 else self.chance.choice(self.branches)
        )
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 3))):
            base = self._edited(base)
        self._check_out(base)
        if cache is not None:
            self._bring_back(cache)
        self._restore(usable=cache is not None)
        for way in self.chance.sample(WAYS, self.chance.choice((1, 2, 2))):
            self._build(way, compare=True)
        if self.chance.random() < 0.7:
            self._work_in_place()
        self._save()

    def _edited(self, tree: Tree, ops: tuple[str, ...] = _OPS) -> Tree:
        """Return the tree after one random edit."""
        while True:
            op = self.chance.choice(ops)
            after = dict(tree)
            getattr(self, f"_{op}")(after)
            if after != tree:
                self._say(op)
                self.counts[op] += 1
                return after

    def _edit(self, tree: Tree) -> None:
        path = self.chance.choice([path for path, text in tree.items() if NUMBER.search(text) and path[0] != "."])
        tree[path] = NUMBER.sub(lambda found: f"{found[1]} {self.chance.randrange(10)}", tree[path])

    def _outside(self, tree: Tree) -> None:
        tree["../outside.txt"] = f"outside {self.chance.randrange(10)}"

    def _revert(self, tree: Tree) -> None:
        other = self.chance.choice(self.branches)
        path = self.chance.choice([path for path in other if path in tree and not path.endswith("leaf/src/lib.rs")])
        tree[path] = other[path]

    def _swap(self, tree: Tree) -> None:
        tree["leaf/alt/one.txt"], tree["leaf/alt/two.txt"] = tree["leaf/alt/two.txt"], tree["leaf/alt/one.txt"]

    def _rename(self, tree: Tree) -> None:
        if self.chance.random() < 0.5:
            flat, deep = "leaf/src/part_a.rs", "leaf/src/part_a/mod.rs"
            old, new = (flat, deep) if flat in tree else (deep, flat)
        else:
            old = self.chance.choice(self._data(tree))
            new = f"{os.path.dirname(old)}/{self.chance.choice('abcd')}.txt"
        tree[new] = tree.pop(old)

    def _delete(self, tree: Tree) -> None:
        path = self.chance.choice(self._data(tree))
        beside = [other for other in tree if other.split("/")[:2] == path.split("/")[:2] and other.endswith(".txt")]
        if len(beside) > 1:
            del tree[path]

    def _add(self, tree: Tree) -> None:
        folder = self.chance.choice(
            (
                "gen/data",
                "gen/data/deep",
                "gen/data/new",
                "quiet/notes",
                "quiet/notes/new",
                "leaf/alt",
                "leaf/assets",
                "leaf/assets/new",
            )
        )
        if self.chance.random() < 0.15:
            tree[f"{folder}/link"] = (
                f"-> {os.path.relpath('leaf/alt', folder)}" if folder != "leaf/alt" else "-> one.txt"
            )
        else:
            tree[f"{folder}/{self.chance.choice('abcd')}.txt"] = f"a {self.chance.randrange(10)}"

    def _retarget(self, tree: Tree) -> None:
        tree["leaf/src/linked.txt"] = self.chance.choice(
            ("-> ../alt/one.txt", "-> ../alt/two.txt", "-> ../../shared/text.txt", "-> ../../../outside.txt", "one 7")
        )

    def _feature(self, tree: Tree) -> None:
        lines = {'default = ["extra"]\n': "", "": 'default = ["extra"]\n'}
        text = tree["app/Cargo.toml"]
        old = next(line for line in lines if line in text)
        tree["app/Cargo.toml"] = (
            text.replace(old, "", 1) if old else text.replace("[features]\n", "[features]\n" + lines[""], 1)
        )

    def _data(self, tree: Tree) -> list[str]:
        return [path for path in tree if path.startswith(("gen/data/", "quiet/notes/", "leaf/assets/"))]

    def _check_out(self, tree: Tree) -> None:
        """Make the work tree afresh at the same path, with the times that one of several tools would give."""
        shutil.rmtree(self.root, ignore_errors=True)
        style = self.chance.choice(("now", "now", "now", "old", "mixed"))
        self._say(f"check out, times {style}")
        self.tree = {
            path: text for path, text in self.tree.items() if path.startswith("../")
        }  # outside, it stays as it is
        self._write(tree)
        if style != "now":
            for path in sorted(self.root.rglob("*"), reverse=True):
                moment = (
                    OLD
                    if style == "old"
                    else self.chance.choice((OLD, time.time(), time.time() - 30, time.time() + 86400))
                )
                os.utime(path, (moment, moment), follow_symlinks=False)

    def _write(self, tree: Tree, *, keep_times: bool = False) -> None:
        """Make the work tree what `tree` says; with `keep_times` as mv, cp -p and rsync do it: everything keeps its old time."""
        changed = [path for path, text in tree.items() if self.tree.get(path) != text]
        gone = [path for path in self.tree if path not in tree]
        places = {self.root / path for path in (*changed, *gone)}
        places |= {place for path in places for place in path.parents if place.is_relative_to(self.root.parent)}
        times = {place: place.lstat().st_mtime_ns for place in places if os.path.lexists(place)} if keep_times else {}
        for path in gone:
            (self.root / path).unlink()
            folder = (self.root / path).parent
            while not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent
        for path in changed:
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / "scratch"
            if tree[path].startswith("-> "):
                os.symlink(tree[path][3:], scratch)
            else:
                scratch.write_text(tree[path])
            os.replace(scratch, target)
        for place in sorted(places, reverse=True) if keep_times else ():
            if os.path.lexists(place):
                moment = times.get(place, OLD * 10**9)
                os.utime(place, ns=(moment, moment), follow_symlinks=False)
        self.tree = dict(tree)

    def _bring_back(self, cache: Cache) -> None:
        """Unpack a saved target directory, with exact times, with whole seconds, or with no times at all."""
        how = self.chance.choice(("tar", "tar", "seconds", "cp -r", "cp -r"))
        self._say(f"bring back {cache.archive.name} by {how}")
        self.counts[f"by {how}"] += 1
        subprocess.run(["tar", "-xf", cache.archive, "-C", self.root], check=True)
        target = self.root / "target"
        if how == "seconds":
            for path in [*target.rglob("*"), target]:
                moment = path.lstat().st_mtime_ns // 10**9 * 10**9
                os.utime(path, ns=(moment, moment), follow_symlinks=False)
        elif how == "cp -r":
            target.rename(self.root / "packed")
            subprocess.run(["cp", "-r", "packed", "target"], cwd=self.root, check=True)
            shutil.rmtree(self.root / "packed")

    def _context(self) -> Context:
        return Context(self.host, self.root)

    def _restore(self, *, usable: bool) -> None:
        done = restore(self._context())
        self._say(f"restore {done}")
        self.counts["restored"] += done.why is None
        if usable != (done.why is None):
            raise Stale(f"a cache that should be of use is not, or the other way round: {done.why}")

    def _build(self, way: tuple[str, ...], *, compare: bool) -> None:
        self._say(f"build {' '.join(way)}")
        printed = _built_and_run(self.root, way)
        self.counts["builds"] += 1
        if not compare:
            return
        expected = self._expected(way)
        if printed != expected:
            raise Stale(f"the binary prints\n{printed}\na clean build prints\n{expected}")
        self.counts["compared"] += 1

    def _expected(self, way: tuple[str, ...]) -> str:
        """Return what a clean build of the sources as they are prints, in a folder of its own."""
        key = (way, *sorted(self.tree.items()))
        if key not in self._clean:
            clean = self.folder / "clean"
            shutil.rmtree(clean, ignore_errors=True)
            other = Site(clean, 0)
            other.folder = self.folder
            other.root.parent.mkdir(parents=True)
            other._write(self.tree)
            self._clean[key] = _built_and_run(other.root, way)
            self.counts["clean builds"] += 1
        return self._clean[key]

    def _work_in_place(self) -> None:
        """Edit and build as a developer does, also in ways that Cargo cannot see: then only the next restore must be right."""
        for _ in range(self.chance.choice((1, 2))):
            seen = self.chance.random() < 0.5
            tree = self._edited(self.tree, ("edit",) if seen else _OPS)
            time.sleep(0.01)
            keep = not seen and self.chance.random() < 0.6
            self._say("in place" + (", keeping times" if keep else ""))
            self._write(tree, keep_times=keep)
            self.counts["in place, unseen" if keep else "in place"] += 1
            if self.chance.random() < 0.3:
                os.utime(self.chance.choice([path for path in self.root.rglob("*.rs") if "target" not in path.parts]))
                self._say("touch")
            if self.chance.random() < 0.7:
                self._build(self.chance.choice(WAYS), compare=False)

    def _save(self) -> None:
        done = save(self._context())
        self._say(f"save {done}")
        self._archives += 1
        archive = self.folder / f"cache-{self._archives}.tar"
        subprocess.run(["tar", "--format=posix", "-cf", archive, "target"], cwd=self.root, check=True)
        self.caches.append(Cache(archive, dict(self.tree)))
        if len(self.caches) > 6:
            self.caches.pop(self.chance.randrange(6)).archive.unlink()
        self.branches = [*self.branches, dict(self.tree)][-12:]

    def _say(self, text: str) -> None:
        self.story.append(text)


def _built_and_run(root: Path, way: tuple[str, ...]) -> str:
    environment = {**os.environ, "CARGO_TERM_COLOR": "never"}
    done = subprocess.run(
        ["cargo", "build", "--quiet", "--offline", *way],
        cwd=root / "app",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Stale(f"the build fails:\n{done.stderr}")
    folder = "other" if "other" in way else "debug"
    return subprocess.run([root / "target" / folder / "app"], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Play the sequences and print what was done; return 1 at the first stale binary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), arguments.seed)
        for number in range(arguments.sequences):
            try:
                site.sequence(number)
            except Stale as error:
                print(
                    "\n".join((*site.story, str(error), f"seed {arguments.seed}, sequence {number}: FAILED")),
                    flush=True,
                )
                return 1
            if number % 50 == 49:
                print(f"{number + 1} sequences, {time.monotonic() - started:.0f} s", flush=True)
    counts = ", ".join(f"{name} {count}" for name, count in sorted(site.counts.items()))
    print(
        f"{arguments.sequences} sequences, seed {arguments.seed}: no stale binary; {counts}; {time.monotonic() - started:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
