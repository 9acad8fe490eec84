from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meddling import AFTER, BEFORE, MODES, SCRATCH, MeddledFiles, Wanted, full_disk, meddled_host, plant, snapshot

from buildopt.errors import BuildoptError, ChangedSince, GateRefused, MachineRefused, UnsafePath
from buildopt.host import Files, Host
from buildopt.sync import Restored, apply, make_plan, recover, rollback


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "root", BEFORE, MODES)


def nothing() -> None:
    pass


def sync(host: Host, root: Path, files: dict[str, bytes | None] = AFTER) -> str | None:
    return apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(files)), verify=nothing)


def back(host: Host, root: Path) -> Restored:
    return rollback(host, root, root / ".buildopt")


def entries(root: Path) -> list[str]:
    return sorted(os.listdir(root / ".buildopt/sync/history"))


def times(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}


# What an apply does


def test_every_edit_lands_and_rollback_brings_every_byte_back(host: Host, root: Path) -> None:
    before = snapshot(root)
    assert sync(host, root) is None
    now = snapshot(root)
    assert {path: entry[0] for path, entry in now.items() if entry} == {
        path: content for path, content in {**BEFORE, **AFTER}.items() if content is not None
    }
    assert now["bin/tool"] == (b"\x00\xfe", 0o755)
    assert now["new/deep/er/empty"] == (b"", 0o644)
    assert back(host, root) == Restored(tuple(sorted(AFTER)), 0)
    assert snapshot(root) == {**before}
    assert back(host, root) == Restored((), 0)


def test_a_second_sync_writes_nothing(host: Host, root: Path) -> None:
    sync(host, root)
    before = times(root)
    assert sync(host, root) is None
    assert times(root) == before
    assert entries(root) == ["000001"]


def test_a_workspace_in_sync_gets_no_state_directory(host: Host, root: Path) -> None:
    sync(host, root, {"untouched": BEFORE["untouched"]})
    assert not (root / ".buildopt").exists()
    assert back(host, root) == Restored((), 0)
    assert recover(host, root, root / ".buildopt") is None
    assert not (root / ".buildopt").exists()


def test_the_state_directory_is_ignored_by_git(host: Host, root: Path) -> None:
    sync(host, root)
    assert (root / ".buildopt/.gitignore").read_bytes() == b"*\n"


def test_modes_do_not_depend_on_the_umask(host: Host, root: Path) -> None:
    old = os.umask(0o077)
    try:
        sync(host, root)
    finally:
        os.umask(old)
    assert stat.S_IMODE((root / ".cargo/config.toml").stat().st_mode) == 0o644


def test_verification_sees_the_new_files_and_its_error_restores_everything(host: Host, root: Path) -> None:
    before, before_times = snapshot(root), times(root)
    seen = []

    def verify() -> None:
        seen.append((root / "Cargo.toml").read_bytes())
        raise GateRefused("no")

    with pytest.raises(GateRefused):
        apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
    assert seen == [AFTER["Cargo.toml"]]
    assert snapshot(root) == before
    after_times = times(root)
    assert all(after_times[path] == time for path, time in before_times.items() if Path(path).is_file())
    assert entries(root) == []
    assert recover(host, root, root / ".buildopt") is None


def test_what_a_person_writes_during_the_verification_is_not_lost(host: Host, root: Path) -> None:
    def verify() -> None:
        (root / "Cargo.toml").write_bytes(b"mine")
        raise GateRefused("no")

    with pytest.raises(GateRefused):
        apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
    assert (root / "Cargo.toml").read_bytes() == b"mine"
    assert (root / "Cargo.toml.buildopt-before").read_bytes() == BEFORE["Cargo.toml"]


def test_later_syncs_are_rolled_back_first_and_the_count_goes_down(host: Host, root: Path) -> None:
    stages = [snapshot(root)]
    for content in (b"one", b"two", b"three"):
        sync(host, root, {"Cargo.toml": content, f"d/{content.decode()}": content})
        stages.append(snapshot(root))
    for remaining in (2, 1, 0):
        stages.pop()
        restored = back(host, root)
        assert restored.remaining == remaining
        assert "Cargo.toml" in restored.paths
        assert snapshot(root) == stages[-1]
    sync(host, root, {"Cargo.toml": b"again"})
    assert back(host, root).remaining == 0
    assert snapshot(root) == stages[0]


def test_history_is_bounded_and_its_oldest_entries_go(host: Host, root: Path) -> None:
    for number in range(25):
        sync(host, root, {"Cargo.toml": str(number).encode()})
    assert entries(root) == [f"{number:06d}" for number in range(6, 26)]
    while back(host, root).remaining:
        pass
    assert (root / "Cargo.toml").read_bytes() == b"4"


def test_at_no_time_does_a_file_include_one_that_is_not_there(tmp_path: Path) -> None:
    root = plant(tmp_path / "root", {"b/config": b"b/buildopt", "b/buildopt": b""})
    seen = set()

    def look(*_: object) -> None:
        for config in root.rglob("config"):
            included = root / config.read_text()
            assert included.is_file()
            seen.add(str(included.relative_to(root)))

    def verify() -> None:
        raise GateRefused("no")

    forth: dict[str, bytes | None] = {
        "a/config": b"a/buildopt",
        "a/buildopt": b"",
        "b/config": b"b/another",
        "b/another": b"",
        "b/buildopt": None,
    }
    home: dict[str, bytes | None] = {"a/config": None, "a/buildopt": None, "b/config": b"b/buildopt", "b/buildopt": b""}
    host = meddled_host(look)
    for files in (forth, home):
        with pytest.raises(GateRefused):
            apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(files)), verify=verify)
        sync(host, root, files)
    back(host, root)
    back(host, root)
    assert seen == {"a/buildopt", "b/buildopt", "b/another"}


# What it refuses


@pytest.mark.parametrize("path", ["Cargo.toml", "old/gone", ".cargo/config.toml"])
def test_a_file_that_changed_since_the_plan_is_not_overwritten(host: Host, root: Path, path: str) -> None:
    plan = make_plan(host, root, Wanted(AFTER))
    plant(root, {path: b"mine"})
    before = snapshot(root)
    with pytest.raises(ChangedSince) as caught:
        apply(host, root, root / ".buildopt", plan, verify=nothing)
    assert [problem.file for problem in caught.value.problems] == [path]
    assert snapshot(root) == before
    assert entries(root) == []


def test_a_file_that_vanished_since_the_plan_is_not_made_again(host: Host, root: Path) -> None:
    plan = make_plan(host, root, Wanted(AFTER))
    (root / "Cargo.toml").unlink()
    with pytest.raises(ChangedSince):
        apply(host, root, root / ".buildopt", plan, verify=nothing)
    assert not (root / "Cargo.toml").exists()


@pytest.mark.parametrize("path", ["Cargo.toml", "old/gone", "untouched", ".cargo/config.toml", "new/deep/er/empty"])
def test_rollback_refuses_when_a_file_was_edited_since(host: Host, root: Path, path: str) -> None:
    sync(host, root)
    plant(root, {path: b"mine"})
    before = snapshot(root)
    if path == "untouched":
        back(host, root)
        return
    with pytest.raises(ChangedSince) as caught:
        back(host, root)
    assert [problem.file for problem in caught.value.problems] == [path]
    assert snapshot(root) == before
    assert entries(root) == ["000001"]


def test_rollback_keeps_a_directory_in_which_something_else_has_been_put(host: Host, root: Path) -> None:
    sync(host, root)
    plant(root, {"new/mine": b"mine"})
    back(host, root)
    assert (root / "new/mine").read_bytes() == b"mine"
    assert not (root / "new/deep").exists()


def test_rollback_makes_a_directory_again_that_was_removed_since(host: Host, root: Path) -> None:
    before = snapshot(root)
    sync(host, root)
    (root / "old").rmdir()
    back(host, root)
    assert snapshot(root) == before


@pytest.mark.parametrize("path", ["Cargo.toml", "bin", "old/gone", ".cargo", "new"])
def test_a_symlink_put_in_place_after_the_plan_is_refused(host: Host, root: Path, tmp_path: Path, path: str) -> None:
    plan = make_plan(host, root, Wanted(AFTER))
    outside = plant(
        tmp_path / "outside", {"Cargo.toml": BEFORE["Cargo.toml"], "tool": BEFORE["bin/tool"], "gone": b"bye\n"}
    )
    if (root / path).exists():
        (root / path).rename(tmp_path / "moved")
    (root / path).symlink_to(outside / Path(path).name if Path(path).suffix or "gone" in path else outside)
    before = snapshot(outside)
    with pytest.raises(UnsafePath):
        apply(host, root, root / ".buildopt", plan, verify=nothing)
    assert snapshot(outside) == before
    assert (root / "bin/tool").read_bytes() == BEFORE["bin/tool"]
    assert entries(root) == []


def test_a_symlink_put_in_place_between_two_operations_is_not_written_through(root: Path, tmp_path: Path) -> None:
    outside = plant(tmp_path / "outside", {"gone": BEFORE["old/gone"]})
    holder: list[MeddledFiles] = []
    for at in range(1, count_operations()):
        tree = plant(tmp_path / str(at), BEFORE, MODES)

        def swap(number: int, _: bool, tree: Path = tree, at: int = at) -> None:
            if number >= at and holder[0].after and not (tree / "old").is_symlink():
                (tree / "old").rename(tree / "old-moved")
                (tree / "old").symlink_to(outside)

        holder[:] = [MeddledFiles(swap)]
        with contextlib.suppress(BuildoptError):
            sync(Host(files=holder[0]), tree)
        assert snapshot(outside)["gone"] == (b"bye\n", 0o644)


@pytest.mark.parametrize("part", [".buildopt", ".buildopt/sync", ".buildopt/sync/history"])
def test_a_state_directory_that_leads_elsewhere_is_refused(host: Host, root: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / part).parent.mkdir(parents=True, exist_ok=True)
    (root / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath):
        sync(host, root)
    assert os.listdir(tmp_path / "elsewhere") == []


# What goes wrong underneath


def count_operations() -> int:
    files = MeddledFiles(lambda *_: None)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        tree = plant(Path(scratch), BEFORE, MODES)
        sync(Host(files=files), tree)
    return files.count


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("action", ["sync", "rollback"])
def test_a_full_disk_at_any_operation_leaves_everything_as_before(tmp_path: Path, lasting: bool, action: str) -> None:
    refused = done = 0
    at = 0
    while True:
        at += 1
        tree = plant(tmp_path / str(at), BEFORE, MODES)
        if action == "rollback":
            sync(Host(), tree)
        before = snapshot(tree)
        reached = False

        def fill(number: int, takes_space: bool, at: int = at) -> None:
            nonlocal reached
            reached |= number >= at
            if number == at or (lasting and takes_space and number > at):
                raise full_disk()

        try:
            (sync if action == "sync" else back)(meddled_host(fill), tree)
        except MachineRefused:
            refused += 1
            assert snapshot(tree) == before, at
        else:
            done += 1
            assert snapshot(tree) != before
        assert recover(Host(), tree, tree / ".buildopt") is None, at
        if not reached:
            break
    assert refused > 30
    assert done > 1


def test_a_disk_that_refuses_everything_keeps_the_journal_for_the_next_command(root: Path) -> None:
    before = snapshot(root)

    def refuse(number: int, _: bool) -> None:
        if (root / "Cargo.toml").read_bytes() != BEFORE["Cargo.toml"]:
            raise full_disk()

    with pytest.raises(MachineRefused) as caught:
        sync(meddled_host(refuse), root)
    assert "journal is kept" in caught.value.message
    assert snapshot(root) != before
    line = recover(Host(), root, root / ".buildopt")
    assert line is not None
    assert "undone" in line
    assert snapshot(root) == before


@pytest.mark.parametrize("action", ["sync", "rollback"])
def test_an_interrupt_at_any_operation_restores(tmp_path: Path, action: str) -> None:
    for at in range(1, 400):
        tree = plant(tmp_path / str(at), BEFORE, MODES)
        if action == "rollback":
            sync(Host(), tree)
        before = snapshot(tree)

        def interrupt(number: int, _: bool, at: int = at) -> None:
            if number == at:
                raise KeyboardInterrupt

        history = entries(tree) if action == "rollback" else []
        try:
            (sync if action == "sync" else back)(meddled_host(interrupt), tree)
        except KeyboardInterrupt:
            assert recover(Host(), tree, tree / ".buildopt") is None
            stands = (tree / ".buildopt/sync/history").exists() and entries(tree) != history
            assert (snapshot(tree) == before) != stands
        else:
            break
    assert at > 30


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_during_the_verification_restores_and_ends_what_it_runs(root: Path, signal_name: str) -> None:
    before = snapshot(root)
    program = f"""
import os, signal, sys
from pathlib import Path
from meddling import AFTER, Wanted
from buildopt.host import Command, Host
from buildopt.sync import apply, make_plan
root, host = Path(sys.argv[1]), Host()
script = "echo $$ > ../pid; kill -{signal_name[3:]} $PPID; exec sleep 60"
def verify():
    host.run(Command(("sh", "-c", script), root))
try:
    apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
except KeyboardInterrupt:
    sys.exit(130)
"""
    result = run_python(program, str(root))
    assert result.returncode == 130, result.stderr
    assert snapshot(root) == before
    assert recover(Host(), root, root / ".buildopt") is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((root.parent / "pid").read_text()), 0)


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_real_limit_on_file_size_is_reported_and_nothing_has_changed(root: Path) -> None:
    before = snapshot(root)
    program = """
import resource, sys
from pathlib import Path
from meddling import AFTER, Wanted
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.sync import apply, make_plan
root, host = Path(sys.argv[1]), Host()
plan = make_plan(host, root, Wanted({**AFTER, "large": b"x" * 100_000}))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    apply(host, root, root / ".buildopt", plan, verify=lambda: None)
except MachineRefused as error:
    print(error.message)
    sys.exit(3)
"""
    result = run_python(program, str(root))
    assert result.returncode == 3, result.stderr
    assert "cannot write" in result.stdout
    assert snapshot(root) == before


@pytest.fixture
def small_disk(tmp_path: Path, unable: Callable[[str], NoReturn]) -> Iterator[Path]:
    """Yield a file system of 160 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160k", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        unable(f"a file system of its own cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_changes_nothing_however_much_is_free(small_disk: Path, host: Host) -> None:
    outcomes = set()
    for ballast in range(32):
        tree = plant(small_disk / "tree", BEFORE, MODES)
        (small_disk / "ballast").write_bytes(b"x" * 4096 * ballast)
        before = snapshot(tree)
        try:
            sync(host, tree, {**AFTER, "large": b"y" * 20_000})
        except MachineRefused as error:
            outcomes.add(error.hint is not None)
            assert snapshot(tree) == before
        else:
            outcomes.add("done")
        shutil.rmtree(tree)
    assert outcomes == {"done", True}


def test_a_directory_that_cannot_be_written_changes_nothing() -> None:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        top = Path(scratch)
        top.chmod(0o755)
        root = plant(top / "root", BEFORE, MODES)
        if os.geteuid() == 0:
            for path in [root, *root.rglob("*")]:
                os.chown(path, 65534, 65534)
        (root / "old").chmod(0o555)
        before = snapshot(root)
        program = """
import os, sys
from pathlib import Path
from meddling import AFTER, Wanted
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.sync import apply, make_plan
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
root, host = Path(sys.argv[1]), Host()
try:
    apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=lambda: None)
except MachineRefused as error:
    print(error.message)
    sys.exit(3)
"""
        result = run_python(program, str(root))
        assert result.returncode == 3, result.stderr
        assert "Permission denied" in result.stdout
        assert snapshot(root) == before
        (root / "old").chmod(0o755)


def test_a_file_system_without_hard_links_gets_copies(root: Path) -> None:
    class NoLinks(Files):
        def duplicate(self, source: Path, target: Path) -> None:
            self.write_new(target, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))

    before = snapshot(root)

    def verify() -> None:
        raise GateRefused("no")

    host = Host(files=NoLinks())
    with pytest.raises(GateRefused):
        apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
    assert snapshot(root) == before
    sync(host, root)
    back(host, root)
    assert snapshot(root) == before


def test_two_applies_at_once_take_turns(root: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from meddling import Wanted
from buildopt.errors import ChangedSince
from buildopt.host import Host
from buildopt.sync import apply, make_plan
root, host, name = Path(sys.argv[1]), Host(), sys.argv[2]
plan = make_plan(host, root, Wanted({f: name.encode() for f in ("a", "b", "c")}))
Path(sys.argv[1] + "-ready-" + name).touch()
while len(list(root.parent.glob("*-ready-*"))) < 4:
    time.sleep(0.005)
try:
    apply(host, root, root / ".buildopt", plan, verify=lambda: time.sleep(0.05))
except ChangedSince:
    print("refused")
else:
    print("applied " + name)
"""
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root), name],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "wxyz"
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in running)
    assert said[1:] == ["refused"] * 3
    winner = said[0].removeprefix("applied ").encode()
    assert [(root / name).read_bytes() for name in "abc"] == [winner] * 3
    assert entries(root) == ["000001"]


# Round trip over anything

NAMES = st.sampled_from(["a", "b.toml", "c d", "é", "x'\"y", "-rf"])
DIRECTORIES = st.lists(st.sampled_from(["d1", "d 2", "d3"]), max_size=3)
CONTENT = st.one_of(
    st.sampled_from([b"", b"a\r\nb\r\n", b"\xef\xbb\xbfx", b"no newline", b"\0\xff"]), st.binary(max_size=40)
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, tuple[bytes, int]], list[dict[str, bytes | None]]]:
    paths = draw(
        st.lists(
            st.tuples(DIRECTORIES, NAMES).map(lambda p: "/".join((*p[0], p[1]))), min_size=1, max_size=8, unique=True
        )
    )
    modes = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o777])
    present = draw(st.dictionaries(st.sampled_from(paths), st.tuples(CONTENT, modes)))
    syncs = draw(st.lists(st.dictionaries(st.sampled_from(paths), st.none() | CONTENT), min_size=1, max_size=3))
    return present, syncs


@settings(max_examples=80)
@given(trees())
def test_any_syncs_rolled_back_leave_every_byte(
    case: tuple[dict[str, tuple[bytes, int]], list[dict[str, bytes | None]]],
) -> None:
    present, syncs = case
    host = Host()
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        root = plant(Path(scratch), {p: c for p, (c, _) in present.items()}, {p: m for p, (_, m) in present.items()})
        stages = [snapshot(root)]
        for wanted in syncs:
            sync(host, root, wanted)
            now = snapshot(root)
            assert all(
                (path not in now) if content is None else now[path] is not None and now[path][0] == content
                for path, content in wanted.items()
            )
            if now != stages[-1]:
                stages.append(now)
        while len(stages) > 1:
            stages.pop()
            back(host, root)
            assert snapshot(root) == stages[-1]
        assert back(host, root) == Restored((), 0)
