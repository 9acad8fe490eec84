"""What a watch survives: many edits at once, branch switches, a stop of the process, a full disk, a build that writes its own sources."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from watching import Watch


def git(root: Path, *words: str) -> None:
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True)


def fill(ballast: Path) -> None:
    """Write until nothing more can be written."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)


def test_a_thousand_edits_in_a_second_end_in_one_result(watched: Path, watching: Watch):
    source = watched / "tool/src/main.rs"
    begun = time.monotonic()
    for number in range(1000):
        source.write_text(f"fn main() {{}} // {number}\n")
        time.sleep(max(0.0, begun + number / 1000 - time.monotonic()))
    source.write_text("fn main() { let last: u32 = true; }\n")
    deadline = time.monotonic() + 60
    while "mismatched types" not in watching.err.read_text() or watching.events[-1]["event"] != "idle":
        assert time.monotonic() < deadline, watching.events
        time.sleep(0.02)
    assert watching.events[-1]["result"] == "failure"
    assert watching.end() == 0


def test_a_branch_switch_that_changes_every_file_is_one_cycle_and_back_is_known(
    watched: Path, watching: Watch, need: Callable[[str], Path]
):
    need("git")
    watching.end()
    modules = "".join(f"mod m{number};\n" for number in range(300))
    for number in range(300):
        (watched / f"tool/src/m{number}.rs").write_text("// one\n")
    (watched / "tool/src/main.rs").write_text(modules + "fn main() {}\n")
    git(watched, "init", "-q", "-b", "main")
    git(watched, "add", "-A")
    git(watched, "commit", "-qm", "one")
    git(watched, "switch", "-qc", "other")
    for number in range(300):
        (watched / f"tool/src/m{number}.rs").write_text("// two\n")
    git(watched, "commit", "-qam", "two")
    git(watched, "switch", "-q", "main")
    watch = Watch(watched)
    try:
        watch.until("idle", result="success")
        watch.settle()
        git(watched, "switch", "-q", "other")
        watch.until("idle", 2, result="success")
        paths = {path for event in watch.told("change") for path in event["paths"]}
        assert {path for path in paths if path.endswith(".rs")} == {f"tool/src/m{number}.rs" for number in range(300)}
        watch.settle()
        ran = len(watch.told("stage-started"))
        git(watched, "switch", "-q", "main")
        watch.until("stage-finished", known=True)
        watch.until("idle", result="success")
        assert len(watch.told("stage-started")) <= ran + 2  # a switch may be seen in two halves
    finally:
        watch.end(signal.SIGKILL)


def test_a_stopped_watch_sees_what_was_edited_meanwhile(watched: Path, watching: Watch):
    watching.process.send_signal(signal.SIGSTOP)
    (watched / "core/src/more").mkdir()
    (watched / "core/src/more/deep.rs").write_text("pub fn x() -> u32 { true }\n")
    (watched / "core/src/lib.rs").write_text("pub mod more { pub mod deep; }\npub fn one() -> u32 { 1 }\n")
    time.sleep(0.3)
    watching.process.send_signal(signal.SIGCONT)
    watching.until("idle", result="failure", stage="quick-check")
    (watched / "core/src/more/deep.rs").write_text("pub fn x() -> bool { true }\n")
    watching.until("idle", 2, result="success")


def test_a_package_that_is_removed_and_comes_back_is_seen(watched: Path, watching: Watch):
    shutil.move(watched / "tool/src", watched / "away")
    watching.until("idle", result="failure")
    shutil.move(watched / "away", watched / "tool/src")
    watching.until("idle", 2, result="success")
    watching.settle()
    (watched / "tool/src/main.rs").write_text("fn main() { let x: u32 = true; }\n")
    watching.until("idle", 2, result="failure")


def test_a_build_that_writes_its_own_source_is_said_and_slowed_and_a_rule_ends_it(watched: Path):
    (watched / "tool/build.rs").write_text(
        "fn main() {\n"
        "    let now = std::time::SystemTime::now();\n"
        '    std::fs::write("src/made.rs", format!("// {now:?}\\n")).unwrap();\n'
        "}\n"
    )
    (watched / "tool/src/main.rs").write_text("mod made;\nfn main() {}\n")
    watch = Watch(watched)
    try:
        watch.until_said("tool/src/made.rs")
        ran = len(watch.told("stage-started"))
        time.sleep(3)
        assert len(watch.told("stage-started")) <= ran + 6
        profile = watched / "buildopt.toml"
        profile.write_text(profile.read_text() + '[affected.paths]\n"tool/src/made.rs" = []\n')
        watch.until("ready", 2)
        watch.until("idle", result="success")
    finally:
        watch.end(signal.SIGKILL)


def test_a_full_disk_is_said_and_the_watch_goes_on(watched: Path, tmp_path: Path, unable: Callable[[str], NoReturn]):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        unable(f"a file system of its own cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        root = place / "ws"
        shutil.copytree(watched, root)
        watch = Watch(root)
        watch.until("idle", result="success")
        watch.settle()
        ballast = place / "ballast"
        fill(ballast)
        before = watch.told("idle")
        (root / "core/src/lib.rs").unlink()
        watch.until("idle", len(before) + 1)
        ballast.unlink()
        (root / "core/src/lib.rs").write_text("pub fn one() -> u32 { 1 }\n")
        watch.until("idle", len([each for each in before if each["result"] == "success"]) + 1, result="success")
        assert watch.end() == 0
        assert "Traceback" not in watch.err.read_text()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_is_no_file_does_not_hold_the_watch(watched: Path, watching: Watch):
    os.mkfifo(watched / "tool/src/pipe.rs")
    (watched / "tool/src/socket").symlink_to("/dev/zero")
    (watched / "tool/src/main.rs").write_text("fn main() { }\n")
    watching.until("idle", 2, result="success")
    assert watching.end() == 0
