"""`buildopt watch` with real cargo: what it tells, what it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from watching import PROFILE, SLOW, Watch, at_work, environment, manifest


def test_the_lines_are_what_the_contract_says(watched: Path, watching: Watch):
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { 0 + 1 }\n")
    change = watching.until("change")
    assert (change["paths"], change["packages"]) == (["core/src/lib.rs"], ["api", "core-lib"])
    assert change["why"] == "2 of 3 packages: core-lib (edited), api (depends on core-lib)"
    watching.until("idle", 2)
    started = [each for each in watching.told("stage-started") if each["time"] > change["time"]]
    assert [(each["stage"], each["packages"]) for each in started] == [
        ("quick-check", ["api", "core-lib"]),
        ("core", ["api", "core-lib"]),
    ]
    assert all(isinstance(each["pid"], int) for each in started)
    finished = [each for each in watching.told("stage-finished") if each["time"] > change["time"]]
    assert [each["result"] for each in finished] == ["success", "success"]
    for each in watching.events:
        assert each["version"] == 1
        assert {"event", "time", "stage", "packages", "paths", "result", "pid"} <= each.keys()
    assert watching.end() == 0
    assert at_work(watched) == []
    assert "Traceback" not in watching.err.read_text()


def test_saves_that_change_nothing_and_undos_run_nothing(watched: Path, watching: Watch):
    source = watched / "api/src/lib.rs"
    text = source.read_bytes()
    source.write_bytes(text + b"// one\n")
    watching.until("idle", 2, result="success")
    watching.settle()
    ran = len(watching.told("stage-started"))
    source.touch()
    source.write_bytes(text + b"// one\n")
    (watched / "api/src/.lib.rs.swp").write_bytes(b"x")
    source.write_bytes(text)
    watching.until("idle", 3, result="success")
    assert len(watching.told("stage-started")) == ran
    assert watching.told("stage-finished", known=True)


def test_a_failure_stays_until_it_is_mended(watched: Path, watching: Watch):
    source = watched / "core/src/lib.rs"
    source.write_text("pub fn one() -> u32 { true }\n")
    watching.until("idle", result="failure", stage="quick-check")
    assert "mismatched types" in watching.err.read_text()
    assert (watched / ".buildopt/locations").read_text().startswith(f"error {source}:1:23 mismatched types")
    (watched / "tool/src/main.rs").write_text("fn main() { }\n")
    watching.until("idle", 2, result="failure")
    assert watching.told("stage-started")[-1]["packages"] == ["api", "core-lib", "tool"]
    source.write_text("pub fn one() -> u32 { 1 }\n")
    watching.until("idle", 2, result="success")
    assert "error" not in (watched / ".buildopt/locations").read_text()


def test_a_test_that_fails_is_told_after_the_check_that_passed(watched: Path, watching: Watch):
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { 2 }\n")
    watching.until("idle", result="failure", stage="core")
    assert "adds" in watching.err.read_text() or "left: 2" in watching.out.read_text() + watching.err.read_text()


def edit_slow(watching: Watch) -> dict[str, Any]:
    """Save what takes long to check, all of it at once, and return the event of the stage that it starts."""
    before = len(watching.told("stage-started"))
    saved = watching.root.parent / "saved.rs"
    saved.write_text("pub fn one() -> u32 { 1 }\n" + SLOW)
    saved.replace(watching.root / "core/src/lib.rs")
    return watching.until("stage-started", before + 1)


def test_an_edit_in_mid_compile_ends_every_process_of_the_stage(watched: Path, watching: Watch):
    first = edit_slow(watching)
    time.sleep(0.5)
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { 1 + 0 }\n")
    cancelled = watching.until("cancelled")
    assert (cancelled["stage"], cancelled["cause"]) == ("quick-check", "edit")
    assert not Path(f"/proc/{first['pid']}").exists()
    watching.until("idle", 2, result="success")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_signal_in_mid_compile_leaves_nothing_running(
    watched: Path, watching: Watch, number: signal.Signals, code: int
):
    edit_slow(watching)
    time.sleep(0.5)
    assert watching.end(number) == code
    assert at_work(watched) == []
    subprocess.run(["cargo", "check", "-p", "tool", "--quiet"], cwd=watched, check=True, timeout=30)


def test_a_broken_manifest_is_said_and_the_watch_goes_on(watched: Path, watching: Watch):
    good = (watched / "api/Cargo.toml").read_text()
    (watched / "api/Cargo.toml").write_text(good + "[broken\n")
    watching.until("idle", result="failure")
    watching.until_said("api/Cargo.toml")
    (watched / "api/Cargo.toml").write_text(good.replace('core-lib = { path = "../core" }\n', ""))
    (watched / "api/src/lib.rs").write_text("pub fn alone() {}\n")
    watching.until("idle", 2, result="success")
    watching.settle()
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { 3 }\n")
    watching.until("idle", 3, result="success")
    assert watching.told("change")[-1]["packages"] == ["core-lib"]


def test_a_broken_profile_is_said_and_a_mended_one_read(watched: Path, watching: Watch):
    (watched / "buildopt.toml").write_text(PROFILE.replace('run = ["check"]', 'run = ["chekc"]'))
    watching.until_said("did you mean")
    (watched / "buildopt.toml").write_text(PROFILE + 'stages = ["quick-check"]\n')
    watching.until("ready", stages=["quick-check"])
    watching.until("idle", 2, result="success")
    watching.settle()
    (watched / "tool/src/main.rs").write_text("fn main() { }\n")
    watching.until("idle", 3, result="success")


def test_a_new_member_is_watched_from_its_first_file_on(watched: Path, watching: Watch):
    (watched / "new/src").mkdir(parents=True)
    (watched / "new/Cargo.toml").write_text(manifest("new"))
    (watched / "new/src/lib.rs").write_text("pub fn new() -> u32 { true }\n")
    (watched / "Cargo.toml").write_text('[workspace]\nmembers = ["core", "api", "tool", "new"]\nresolver = "2"\n')
    watching.until("idle", result="failure", stage="quick-check")
    (watched / "new/src/lib.rs").write_text("pub fn new() -> bool { true }\n")
    watching.until("idle", 2, result="success")
    watching.settle()
    (watched / "new/src/lib.rs").write_text("pub fn new() -> bool { false }\n")
    watching.until("idle", 3, result="success")
    assert watching.told("change")[-1]["packages"] == ["new"]


def test_waiting_for_a_lock_is_said(watched: Path, watching: Watch):
    lock = watched / "target/debug/.cargo-lock"
    holder = subprocess.Popen(["flock", str(lock), "sleep", "60"])
    try:
        time.sleep(0.3)
        (watched / "tool/src/main.rs").write_text("fn main() { }\n")
        watching.until_said("directory)")
    finally:
        holder.kill()
        holder.wait()
    subprocess.run(["pkill", "-f", "^sleep 60$"], check=False)
    watching.until("idle", 2, result="success")


def test_once_ends_with_what_the_stages_say(watched: Path):
    words = [sys.executable, "-m", "buildopt", "watch", "--once", "--root", str(watched)]
    assert subprocess.run(words, env=environment(), capture_output=True, check=False).returncode == 0
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { true }\n")
    failed = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "mismatched types" in failed.stderr


def test_what_cannot_be_watched_is_refused_in_one_line(watched: Path):
    (watched / "buildopt.toml").write_text("version = 1\n")
    watch = Watch(watched)
    assert watch.process.wait(20) == 2
    (refused,) = watch.events
    assert refused["event"] == "error"
    assert "declares no stage" in refused["message"]


def test_every_cycle_is_recorded(watched: Path, watching: Watch):
    (watched / "api/src/lib.rs").write_text("pub fn more() {}\n")
    watching.until("idle", 2, result="success")
    watching.end()
    report = subprocess.run(
        [sys.executable, "-m", "buildopt", "report", "--json"],
        cwd=watched,
        env=environment(),
        capture_output=True,
        check=True,
    )
    day = json.loads(report.stdout)["watch"]
    assert (day["cycles"], day["passed"], day["edits"]) == (1, 1, 1)


def test_the_session_of_nox_watches_and_ends_with_the_terminal(watched: Path):
    """A terminal of its own, which is then closed: what the watch runs ends too."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(watched)
        os.execve(sys.executable, [sys.executable, "-m", "nox", "-s", "dev-watch"], environment(TERM="xterm"))
    seen = b""
    deadline = time.monotonic() + 60
    while b"core" not in seen or b"quick-check" not in seen or "✓".encode() not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 65536)
    (watched / "core/src/lib.rs").write_text("pub fn one() -> u32 { 1 }\n" + SLOW)
    os.set_blocking(terminal, False)
    while "rustc" not in at_work(watched):
        assert time.monotonic() < deadline
        try:
            seen += os.read(terminal, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    os.close(terminal)
    assert b"changes detected" not in seen  # watchfiles logs, and nox shows what is logged
    while at_work(watched):
        assert time.monotonic() < deadline + 20, at_work(watched)
        time.sleep(0.05)
    os.waitpid(pid, 0)
