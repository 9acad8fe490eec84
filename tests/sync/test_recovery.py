from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from meddling import AFTER, BEFORE, MODES, MeddledFiles, Wanted, plant, snapshot

from buildopt.errors import ChangedSince, MachineRefused
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.sync import apply, make_plan, recover, rollback
from buildopt.sync.journal import decode, encode


class Crash(BaseException):
    """Stands for the end of the process: nothing after it is carried out."""


def crash_after_exchange(root: Path) -> None:
    """Leave `root` as a sync leaves it that is killed during its verification."""

    class Dead(MeddledFiles):
        dead = False

        def _tick(self, takes_space: bool = False, after: bool = False) -> None:
            if self.dead:
                raise Crash

    files = Dead(lambda *_: None)

    def verify() -> None:
        files.dead = True
        raise Crash

    host = Host(files=files)
    with pytest.raises(Crash):
        apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
    assert (root / ".buildopt/sync/journal").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return plant(tmp_path / "root", BEFORE, MODES)


@pytest.mark.parametrize(
    "operation",
    ["sync", "rollback", "recover", "recover-rollback", pytest.param("sync-lines", marks=pytest.mark.slow)],
)
def test_killed_at_every_write_all_edits_stand_or_none(tmp_path: Path, operation: str) -> None:
    driver = Path(__file__).with_name("crash_driver.py")
    result = subprocess.run(
        [sys.executable, str(driver), operation, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(driver.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    endings = json.loads(result.stdout)
    assert endings["points"] > 10
    assert endings["before"] > 10
    assert endings["after"] > 1
    kind = "rollback" if "rollback" in operation else "sync"
    assert {f"a {kind} was cut short and is undone", f"the last {kind} is complete"} <= set(endings)


def test_a_sync_that_is_under_way_is_left_alone_and_not_waited_for(host: Host, root: Path) -> None:
    seen = []

    def verify() -> None:
        seen.append((recover(Host(), root, root / ".buildopt"), (root / "Cargo.toml").read_bytes()))

    apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=verify)
    assert seen == [(None, AFTER["Cargo.toml"])]


def test_recovery_says_what_it_did_and_only_once(host: Host, root: Path) -> None:
    before = snapshot(root)
    crash_after_exchange(root)
    assert snapshot(root) != before
    line = recover(host, root, root / ".buildopt")
    assert line == f"a sync was cut short and is undone: {len(AFTER)} files restored"
    assert snapshot(root) == before
    assert recover(host, root, root / ".buildopt") is None


def test_the_next_sync_recovers_first_and_says_so(host: Host, root: Path) -> None:
    plan = make_plan(host, root, Wanted(AFTER))
    crash_after_exchange(root)
    line = apply(host, root, root / ".buildopt", plan, verify=lambda: None)
    assert line is not None
    assert "undone" in line
    assert (root / "Cargo.toml").read_bytes() == AFTER["Cargo.toml"]
    assert rollback(host, root, root / ".buildopt").remaining == 0


def test_a_plan_made_from_a_half_done_sync_is_refused_with_the_reason(host: Host, root: Path) -> None:
    before = snapshot(root)
    crash_after_exchange(root)
    plan = make_plan(host, root, Wanted({"Cargo.toml": b"other"}))
    with pytest.raises(ChangedSince) as caught:
        apply(host, root, root / ".buildopt", plan, verify=lambda: None)
    assert caught.value.hint is not None
    assert "undone" in caught.value.hint
    assert snapshot(root) == before


def test_the_next_rollback_recovers_first_and_says_so(host: Host, root: Path) -> None:
    before = snapshot(root)
    apply(host, root, root / ".buildopt", make_plan(host, root, Wanted({"Cargo.toml": b"first"})), verify=lambda: None)
    plant(root, {"Cargo.toml": b"first"})
    crash_after_exchange(root)
    restored = rollback(host, root, root / ".buildopt")
    assert restored.paths == ("Cargo.toml",)
    assert restored.recovered is not None
    assert snapshot(root) == before


def test_what_a_person_changed_after_the_crash_is_kept_and_the_old_text_is_put_beside(host: Host, root: Path) -> None:
    crash_after_exchange(root)
    plant(root, {"Cargo.toml": b"mine", ".cargo/config.toml": b"mine too", "Cargo.toml.buildopt-before": b"older"})
    line = recover(host, root, root / ".buildopt")
    assert line is not None
    assert "Cargo.toml was changed since and stays" in line
    assert str(root / "Cargo.toml.buildopt-before-2") in line
    assert (root / "Cargo.toml").read_bytes() == b"mine"
    assert (root / ".cargo/config.toml").read_bytes() == b"mine too"
    assert (root / "Cargo.toml.buildopt-before").read_bytes() == b"older"
    assert (root / "Cargo.toml.buildopt-before-2").read_bytes() == BEFORE["Cargo.toml"]
    assert (root / "bin/tool").read_bytes() == BEFORE["bin/tool"]
    assert (root / "old/gone").read_bytes() == BEFORE["old/gone"]
    assert recover(host, root, root / ".buildopt") is None


def test_a_symlink_put_in_place_after_the_crash_is_not_written_through(host: Host, root: Path, tmp_path: Path) -> None:
    crash_after_exchange(root)
    outside = plant(tmp_path / "outside", {"tool": AFTER["bin/tool"] or b""})
    shutil.rmtree(root / "bin")
    (root / "bin").symlink_to(outside)
    line = recover(host, root, root / ".buildopt")
    assert line is not None
    assert (outside / "tool").read_bytes() == AFTER["bin/tool"]
    assert os.listdir(outside) == ["tool"]
    assert (root / ".buildopt/sync/tool.buildopt-before").read_bytes() == BEFORE["bin/tool"]
    assert (root / "Cargo.toml").read_bytes() == BEFORE["Cargo.toml"]


def test_directories_removed_after_the_crash_do_not_stop_the_recovery(host: Host, root: Path) -> None:
    crash_after_exchange(root)
    for directory in ("old", "bin", ".cargo", "new"):
        shutil.rmtree(root / directory)
    recover(host, root, root / ".buildopt")
    assert (root / "old/gone").read_bytes() == BEFORE["old/gone"]
    assert (root / ".buildopt/sync/tool.buildopt-before").read_bytes() == BEFORE["bin/tool"]
    assert not (root / ".cargo").exists()


def test_temporary_files_that_somebody_removed_are_not_needed(host: Host, root: Path) -> None:
    before = snapshot(root)
    crash_after_exchange(root)
    for path in root.rglob(".buildopt-*"):
        path.unlink()
    recover(host, root, root / ".buildopt")
    assert snapshot(root) == before


@pytest.mark.parametrize("keep", [0, 1, 200, -1, -2])
def test_a_damaged_journal_is_set_aside_and_no_file_is_touched(host: Host, root: Path, keep: int) -> None:
    crash_after_exchange(root)
    journal = root / ".buildopt/sync/journal"
    journal.write_bytes(journal.read_bytes()[:keep])
    before = snapshot(root)
    line = recover(host, root, root / ".buildopt")
    assert line is not None
    assert "no file was touched" in line
    assert snapshot(root) == before
    assert (root / ".buildopt/sync/journal.damaged").exists()
    assert recover(host, root, root / ".buildopt") is None


def test_a_journal_that_was_not_completely_written_changes_nothing(host: Host, root: Path) -> None:
    place = root / ".buildopt/sync"
    place.mkdir(parents=True)
    (place / ".journal.123.tmp").write_bytes(b'{"version"')
    before = snapshot(root)
    assert recover(host, root, root / ".buildopt") == "a sync was cut short before it changed any file"
    assert snapshot(root) == before
    assert not (place / ".journal.123.tmp").exists()


def test_a_damaged_history_entry_is_refused_with_what_to_do(host: Host, root: Path) -> None:
    apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=lambda: None)
    (root / ".buildopt/sync/history/000001").write_bytes(b"{}\n")
    before = snapshot(root)
    with pytest.raises(MachineRefused, match="000001"):
        rollback(host, root, root / ".buildopt")
    assert snapshot(root) == before


def test_a_journal_of_a_newer_version_is_left_alone(host: Host, root: Path) -> None:
    crash_after_exchange(root)
    path = root / ".buildopt/sync/journal"
    journal = decode(path.read_bytes())
    assert journal is not None
    line = encode(journal).split(b"\n")[0].replace(b'"version": 1', b'"version": 2')
    path.write_bytes(line + b"\n" + digest(line).encode() + b"\n")
    with pytest.raises(MachineRefused, match="newer"):
        recover(host, root, root / ".buildopt")
    assert path.exists()


@pytest.mark.parametrize(
    "line", [b"[]", b'{"version": 1}', b'{"version": 1, "kind": "sync", "number": "../../x"}', b"\xff"]
)
def test_a_forged_journal_is_a_damaged_one(line: bytes) -> None:
    assert decode(line + b"\n" + digest(line).encode() + b"\n") is None
