"""`cache save` and `cache restore` against real Cargo: what is the same is fresh, what is not is built, and never the other way round."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from freshness_sequences import START, Site, Stale

from buildopt.cache.freshness import Restored
from buildopt.errors import MachineRefused
from buildopt.host import Files, Host
from buildopt.verbs import cache
from buildopt.verbs.context import Context

pytestmark = pytest.mark.slow
OLD = (1_000_000_000, 1_000_000_000)
SOME = {"app", "leaf", "gen-er", "quiet", "embed"}


class Tree:
    """A workspace with a build script that declares its inputs, one that does not, a macro that reads without a word, symlinks."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "site" / "ws"
        self.archive = folder / "cache.tar"
        self.site = Site(folder, 0)

    def check_out(self, **changes: str | None) -> None:
        """Make the work tree afresh; `changes` are by path with `__` for the slash, None for what is not there."""
        wanted = {**START, **{name.replace("__", "/").replace("_DOT_", "."): text for name, text in changes.items()}}
        shutil.rmtree(self.root, ignore_errors=True)
        self.site.tree = {path: text for path, text in self.site.tree.items() if path.startswith("..")}
        self.site._write({path: text for path, text in wanted.items() if text is not None})

    def save(self) -> None:
        cache.save(Context(Host(), self.root))
        subprocess.run(["tar", "--format=posix", "-cf", self.archive, "target"], cwd=self.root, check=True)

    def bring_back(self) -> None:
        subprocess.run(["tar", "-xf", self.archive], cwd=self.root, check=True)

    def restore(self) -> Restored:
        return cache.restore(Context(Host(), self.root))

    def built(self, *flags: str) -> set[str]:
        """Build, and return the packages of which something was built."""
        command = ["cargo", "build", "--offline", "--message-format=json", *flags]
        done = subprocess.run(command, cwd=self.root / "app", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        ids = [line["package_id"] for line in found if line["reason"] == "compiler-artifact" and not line["fresh"]]
        return {
            each.partition("#")[2].partition("@")[0] if "@" in each else each.split("/")[-1].partition("#")[0]
            for each in ids
        }

    def printed(self) -> str:
        return subprocess.run([self.root / "target/debug/app"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def ws(tmp_path: Path, need: Callable[[str], Path]) -> Tree:
    need("cargo")
    need("tar")
    tree = Tree(tmp_path)
    tree.check_out()
    assert tree.built() == SOME
    return tree


def test_only_what_changed_is_built(ws: Tree) -> None:
    ws.save()
    cases: list[tuple[dict[str, str | None], set[str], str]] = [
        ({}, set(), "leaf 0"),
        ({"leaf__src__part_a_DOT_rs": 'pub const VALUE: &str = "part 7";\n'}, {"leaf", "app"}, "part 7"),
        ({"app__src__main_DOT_rs": START["app/src/main.rs"].replace("app 0", "app 7")}, {"app"}, "app 7"),
        ({"gen__data__deep__new_DOT_txt": "gen 7"}, {"gen-er", "app"}, "new.txtgen 7"),
        ({"gen__data__deep__b_DOT_txt": None}, {"gen-er", "app"}, "made 0 gen 0"),
        ({"gen__one_DOT_txt": "gen 7"}, {"gen-er", "app"}, "gen 7"),
        ({"quiet__notes__new_DOT_txt": "quiet 7"}, {"quiet", "app"}, "quiet 7"),
        ({"leaf__assets__new_DOT_txt": "asset 7"}, {"leaf", "app"}, "asset 7"),
        ({"leaf__src__linked_DOT_txt": "-> ../alt/two.txt"}, {"leaf", "app"}, "two 0"),
        ({"leaf__src__part_a_DOT_rs": None, "leaf__src__part_a__mod_DOT_rs": START["leaf/src/part_a.rs"]}, {"leaf", "app"}, "part 0"),
        ({"shared__text_DOT_txt": "shared 7", "README_DOT_md": "new"}, {"leaf", "app"}, "shared 7"),
    ]  # fmt: skip
    for changes, packages, words in cases:
        ws.check_out(**changes)
        for path in ws.root.rglob("*"):  # as a tool that restores commit dates leaves them: that must not count
            os.utime(path, OLD, follow_symlinks=False)
        ws.bring_back()
        done = ws.restore()
        assert done.why is None
        assert (ws.built(), changes) == (packages, changes)
        assert words in ws.printed(), changes


@pytest.mark.parametrize("layout", ["build-dir", "new layout"])
def test_it_holds_wherever_cargo_builds(ws: Tree, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: tuple[str, ...] = ()
    if layout == "build-dir":
        monkeypatch.setenv("CARGO_BUILD_BUILD_DIR", str(ws.root / "target/inner"))
    else:
        monkeypatch.setenv("RUSTC_BOOTSTRAP", "1")
        flags = ("-Zbuild-dir-new-layout",)
    shutil.rmtree(ws.root / "target")
    assert ws.built(*flags) == SOME
    ws.save()
    for changes, packages in (
        ({}, set()),
        ({"gen__data__deep__b_DOT_txt": None}, {"gen-er", "app"}),
        ({"leaf__assets__new_DOT_txt": "asset 7"}, {"leaf", "app"}),
        ({"quiet__notes__a_DOT_txt": "quiet 7"}, {"quiet", "app"}),
    ):
        ws.check_out(**changes)
        ws.bring_back()
        assert ws.restore().why is None
        assert ws.built(*flags) == packages


def test_a_package_outside_of_the_workspace_is_one_of_its_sources(tmp_path: Path, need: Callable[[str], Path]) -> None:
    need("cargo")
    root, other = tmp_path / "ws", tmp_path / "other"
    for folder, name, rest in (
        (root, "one", '[dependencies]\nother = { path = "../other" }\n'),
        (other, "other", "[workspace]\n"),
    ):
        (folder / "src").mkdir(parents=True)
        (folder / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{rest}')
    (root / "src/main.rs").write_text('fn main() { print!("{}", other::VALUE) }\n')
    for value in ("old", "new"):
        (other / "src/lib.rs").write_text(f'pub const VALUE: &str = "{value}";\n')
        for path in other.rglob("*"):
            os.utime(path)
        if value == "new":
            os.utime(other / "src/lib.rs", OLD)
        cache.restore(Context(Host(), root))
        subprocess.run(["cargo", "build", "-q", "--offline"], cwd=root, check=True)
        assert subprocess.run([root / "target/debug/one"], capture_output=True, text=True, check=True).stdout == value
        cache.save(Context(Host(), root))
    for path in [*other.rglob("*"), *(root / "src").rglob("*")]:
        os.utime(path)
    cache.restore(Context(Host(), root))
    done = subprocess.run(["cargo", "build", "--offline"], cwd=root, check=True, capture_output=True, text=True)
    assert "Compiling" not in done.stderr


def test_two_states_in_one_target_directory(ws: Tree) -> None:
    """What was built before an edit is stale, though the manifest knows the source as it is after it."""
    time.sleep(0.02)
    changed = {"leaf__src__part_a_DOT_rs": 'pub const VALUE: &str = "part 7";\n'}
    (ws.root / "leaf/src/part_a.rs").write_text(changed["leaf__src__part_a_DOT_rs"])
    ws.built("--features", "extra")
    ws.save()
    for flags, packages in (("--features=extra",), set()), ((), {"leaf", "app"}):
        ws.check_out(**changed)
        ws.bring_back()
        ws.restore()
        assert ws.built(*flags) == packages
        assert "part 7" in ws.printed()


@pytest.mark.parametrize("way", ["moved", "stamped", "in a directory", "retargeted", "embedded"])
def test_what_comes_with_an_old_time_before_the_save_is_not_taken_for_what_was_built(ws: Tree, way: str) -> None:
    """Cargo itself does not see these in place: the units are as doubtful as their inputs."""
    path, new = {
        "in a directory": ("gen/data/new.txt", "7"),
        "retargeted": ("leaf/src/linked.txt", "-> ../alt/two.txt"),
        "embedded": ("leaf/assets/a.txt", "a 7"),
    }.get(way, ("leaf/src/part_a.rs", 'pub const VALUE: &str = "part 7";\n'))
    target = ws.root / path
    times = {each: each.lstat().st_mtime_ns for each in (target, *target.parents) if os.path.lexists(each)}
    time.sleep(0.02)
    scratch = ws.root.parent / "scratch"
    if new.startswith("-> "):
        scratch.symlink_to(new[3:])
    else:
        scratch.write_text(new)
    if way == "stamped":
        target.write_text(new)
    else:
        os.utime(scratch, OLD, follow_symlinks=False)
        scratch.replace(target)
    for each, moment in times.items():
        os.utime(each, ns=(moment, moment), follow_symlinks=False)
    assert ws.built() == set()
    ws.save()
    ws.check_out(**{path.replace("/", "__").replace(".", "_DOT_"): new})
    ws.bring_back()
    assert ws.restore().why is None
    assert ws.built() == {"gen-er" if path.startswith("gen") else "leaf", "app"}
    ws.save()
    ws.check_out(**{path.replace("/", "__").replace(".", "_DOT_"): new})
    ws.bring_back()
    ws.restore()
    assert ws.built() == set(), "what restore stamped itself is not doubtful"


@pytest.mark.parametrize("how", ["seconds", "cp -r", "zip"])
def test_an_archive_may_lose_times(ws: Tree, how: str) -> None:
    ws.save()
    ws.check_out(shared__text_DOT_txt="shared 7")
    ws.bring_back()
    target = ws.root / "target"
    if how == "seconds":
        for path in target.rglob("*"):
            os.utime(path, ns=(path.lstat().st_mtime_ns // 10**9 * 10**9,) * 2)
    elif how == "zip":
        for path in target.rglob("*"):
            os.utime(path, ns=(path.lstat().st_mtime_ns // 2 // 10**9 * 2 * 10**9 + 3600 * 10**9 * -5,) * 2)
    else:
        target.rename(ws.root / "packed")
        subprocess.run(["cp", "-r", "packed", "target"], cwd=ws.root, check=True)
    assert ws.restore().why is None
    assert ws.built() == {"leaf", "app"}
    assert "shared 7" in ws.printed()


def test_a_file_outside_of_the_workspace_is_compared_by_content(ws: Tree) -> None:
    ws.save()
    outside = ws.root.parent / "outside.txt"
    ws.check_out()
    ws.bring_back()
    assert ws.restore().invalidated_units == 0
    assert ws.built() == set()
    ws.save()
    stamp = outside.stat().st_mtime_ns
    outside.write_text("outside 7")
    os.utime(outside, ns=(stamp, stamp))
    ws.check_out()
    ws.bring_back()
    ws.restore()
    assert ws.built() == {"leaf", "app"}
    assert "outside 7" in ws.printed()


def damage(ws: Tree, way: str) -> None:
    manifest = ws.root / "target/.buildopt-freshness"
    content = manifest.read_bytes()
    match way:
        case "absent":
            manifest.unlink()
        case "empty":
            manifest.write_bytes(b"")
        case "cut off":
            manifest.write_bytes(content[: len(content) // 2])
        case "one bit":
            manifest.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
        case "another version":
            manifest.write_bytes(content.replace(b"freshness 1 ", b"freshness 2 ", 1))
        case "a directory":
            manifest.unlink()
            manifest.mkdir()
        case "used twice":
            ws.restore()


@pytest.mark.parametrize(
    "way", ["absent", "empty", "cut off", "one bit", "another version", "a directory", "used twice"]
)
def test_without_a_manifest_that_is_whole_everything_is_built(ws: Tree, way: str) -> None:
    ws.save()
    ws.check_out(leaf__src__part_a_DOT_rs='pub const VALUE: &str = "part 7";\n')
    for path in ws.root.rglob("*"):
        os.utime(path, OLD, follow_symlinks=False)
    ws.bring_back()
    damage(ws, way)
    done = ws.restore()
    assert done.why is not None
    assert ws.built() == SOME
    assert "part 7" in ws.printed()


def test_edits_and_builds_between_unpacking_and_restoring_are_seen(ws: Tree) -> None:
    ws.save()
    ws.check_out(leaf__src__part_a_DOT_rs='pub const VALUE: &str = "part 7";\n')
    ws.bring_back()
    ws.built()
    (ws.root / "leaf/src/part_a.rs").write_text(START["leaf/src/part_a.rs"])
    ws.restore()
    ws.built()
    assert "part 0" in ws.printed()


class Killed(BaseException):
    """Stands for a process that ends at once."""


class Dying(Files):
    """Files that end the process before the write with the number `last`."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.writes = 0

    def _count(self, path) -> None:
        if ".buildopt" in Path(path).parts:  # what is kept there is written by threads, and only saves time
            return
        self.writes += 1
        if self.writes > self.last:
            raise Killed

    def write_new(self, path, *words, **options):
        self._count(path)
        super().write_new(path, *words, **options)

    def replace(self, source, target, **options):
        self._count(target)
        super().replace(source, target, **options)

    def remove(self, path):
        self._count(path)
        super().remove(path)

    def _stamp(self, path, times):
        self._count(path)
        super()._stamp(path, times)


@pytest.mark.parametrize("how", ["tar", "cp -r"])
def test_a_restore_that_is_killed_at_any_write_leaves_a_build_that_is_right(ws: Tree, how: str) -> None:
    """Between the state that is saved and the one that is built, everything differs in size nowhere and in time to the worse."""
    time.sleep(0.02)
    (ws.root / "leaf/src/part_a.rs").write_text('pub const VALUE: &str = "part 7";\n')
    ws.built("--features=extra")
    ws.save()

    def prepare() -> None:
        ws.check_out(leaf__src__part_a_DOT_rs='pub const VALUE: &str = "part 7";\n', quiet__notes__a_DOT_txt="note 7")
        ws.bring_back()
        if how == "cp -r":
            (ws.root / "target").rename(ws.root / "packed")
            subprocess.run(["cp", "-r", "packed", "target"], cwd=ws.root, check=True)
            shutil.rmtree(ws.root / "packed")

    prepare()
    whole = Dying(10**9)
    cache.restore(Context(Host(files=whole), ws.root))
    assert whole.writes > 20
    for last in sorted({*range(0, whole.writes, max(1, whole.writes // 5)), whole.writes - 2}):
        prepare()
        with pytest.raises(Killed):
            cache.restore(Context(Host(files=Dying(last)), ws.root))
        if last % 2:
            ws.restore()
        ws.built()
        assert "part 7" in ws.printed(), last
        assert "note 7" in ws.printed(), last


def test_a_save_that_is_killed_leaves_no_manifest_that_is_wrong(ws: Tree) -> None:
    ws.save()
    time.sleep(0.02)
    (ws.root / "leaf/src/part_a.rs").write_text('pub const VALUE: &str = "part 7";\n')
    ws.built()
    whole = Dying(10**9)
    cache.save(Context(Host(files=whole), ws.root))
    for last in (0, *range(whole.writes - 3, whole.writes)):
        ws.bring_back()
        for path in ws.root.rglob("*.rs"):
            os.utime(path)
        ws.built()
        with pytest.raises(Killed):
            cache.save(Context(Host(files=Dying(last)), ws.root))
        done = ws.restore()
        ws.built()
        assert "part 7" in ws.printed(), (last, done)


def test_a_full_disk_leaves_no_manifest(ws: Tree) -> None:
    class Full(Files):
        def write_new(self, path, content, *words, **options):
            if content:
                raise MachineRefused(f"cannot write {path}: No space left on device")
            super().write_new(path, content, *words, **options)

    ws.save()
    context = Context(Host(files=Full()), ws.root)
    with pytest.raises(MachineRefused, match="No space"):
        cache.save(context)
    assert not (ws.root / "target/.buildopt-freshness").exists()
    assert ws.restore().why == "it has no manifest (buildopt cache save writes one)"


def test_a_process_that_is_killed_in_fact(ws: Tree) -> None:
    ws.save()
    for delay in (0.2,):
        ws.check_out(leaf__src__part_a_DOT_rs='pub const VALUE: &str = "part 7";\n')
        ws.bring_back()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-m", "buildopt", "cache", "restore"],
            cwd=ws.root,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        ws.built()
        assert "part 7" in ws.printed()


def test_random_sequences(tmp_path: Path, need: Callable[[str], Path]) -> None:
    need("cargo")
    site = Site(tmp_path, int(os.environ.get("FRESHNESS_SEED", "5")))
    for number in range(5):
        try:
            site.sequence(number)
        except Stale as error:
            pytest.fail("\n".join((*site.story, str(error))))
    assert site.counts["compared"]


def test_what_people_and_scripts_see(ws: Tree) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "buildopt", "cache", *words]
        return subprocess.run(command, cwd=ws.root, env=environment, capture_output=True, text=True, check=True)

    assert re.search(r"^buildopt: cache save: \d+ inputs, 9 units; [\d.]+ s$", call("save").stderr, re.MULTILINE)
    ws.site._write({**ws.site.tree, "shared/text.txt": "shared 7"})
    assert re.search(
        r"cache restore: (\d+) of \d+ inputs unchanged, 1 changed; [\d.]+ s$", call("restore").stderr, re.MULTILINE
    )
    document = json.loads(call("restore", "--json").stdout)
    seconds = document["cache"].pop("seconds")
    assert 0 < seconds < 60
    assert document["cache"].pop("changed") > 10
    assert document == {
        "version": 1,
        "cache": {
            "usable": False,
            "why": "it has no manifest (buildopt cache save writes one)",
            "unchanged": 0,
            "new": 0,
            "removed": 0,
            "invalidated_units": 9,
        },
    }
    shutil.rmtree(ws.root / "target")
    assert "nothing is built yet" in call("save").stderr
    assert "there is no build in it yet;" in call("restore").stderr
