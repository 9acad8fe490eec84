"""Kill a sync, a rollback or a recovery at every operation, let a fresh process recover, and check what it left.

Run as: crash_driver.py OPERATION SCRATCH; prints one JSON object with how often each ending was seen.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

from meddling import AFTER, BEFORE, MODES, Snapshot, Wanted, meddled_host, plant, snapshot

from buildopt.host import Host
from buildopt.sync import apply, make_plan, recover, rollback


def in_child(work: Callable[[], str | None]) -> tuple[int, str]:
    """Run `work` in a process of its own; return how it ended (0, or minus the signal) and what it returned."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            os.write(write, (work() or "").encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    said = b""
    while chunk := os.read(read, 1 << 16):
        said += chunk
    os.close(read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def killer(at: int) -> Callable[[int, bool], None]:
    def meddle(number: int, _takes_space: bool) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return meddle


def line_killer(at: int) -> None:
    """Kill this process at the line of buildopt's code that is executed as number `at`."""
    seen = 0

    def trace(frame: object, event: str, _argument: object) -> object:
        nonlocal seen
        name = frame.f_code.co_filename  # type: ignore[attr-defined]
        if "/buildopt/sync/" not in name and "/host/files" not in name:
            return None
        if event == "line":
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]


def sync(host: Host, root: Path) -> str | None:
    return apply(host, root, root / ".buildopt", make_plan(host, root, Wanted(AFTER)), verify=lambda: None)


def back(host: Host, root: Path) -> str | None:
    return rollback(host, root, root / ".buildopt").recovered


def check_recovered(root: Path, before: Snapshot, after: Snapshot, endings: Counter[str]) -> None:
    status, line = in_child(lambda: recover(Host(), root, root / ".buildopt"))
    assert status == 0, f"recovery ended with {status}"
    now = snapshot(root)
    assert now in (before, after), f"neither before nor after: {now}"
    if "undone" in line or "before it changed" in line:
        assert now == before, line
    elif "complete" in line:
        assert now == after, line
    else:
        assert line == "", line
    endings["before" if now == before else "after"] += 1
    endings[line.split(":")[0] or "nothing said"] += 1
    assert {p.name for p in (root / ".buildopt/sync").glob("*")} <= {"lock", "history"}
    assert in_child(lambda: recover(Host(), root, root / ".buildopt")) == (0, "")


def run(operation: str, scratch: Path) -> Counter[str]:
    work = back if "rollback" in operation else sync
    template = plant(scratch / "template", BEFORE, MODES)
    if work is back:
        sync(Host(), template)
    before = snapshot(template)
    done = shutil.copytree(template, scratch / "done")
    work(Host(), done)
    after = snapshot(done)
    assert before != after
    endings: Counter[str] = Counter()
    for number in count(1, 7 if operation.startswith("recover") else 1):
        root = shutil.copytree(template, scratch / "tree")
        if operation == "sync-lines":
            status, _ = in_child(lambda: (line_killer(number), work(Host(), root))[1])  # noqa: B023
        else:
            status, _ = in_child(lambda: work(meddled_host(killer(number)), root))  # noqa: B023
        assert status in (0, -signal.SIGKILL)
        endings["points"] += status != 0
        if status and operation.startswith("recover"):
            left = shutil.copytree(root, scratch / "left", symlinks=True)
            for again in count(1):
                shutil.rmtree(root)
                copy_with_links(left, root)
                second, _ = in_child(lambda: recover(meddled_host(killer(again)), root, root / ".buildopt"))  # noqa: B023
                check_recovered(root, before, after, endings)
                if second == 0:
                    break
            shutil.rmtree(left)
        else:
            check_recovered(root, before, after, endings)
        if status == 0:
            return endings
        shutil.rmtree(root)
    raise AssertionError


def copy_with_links(source: Path, target: Path) -> None:
    os.system(f"cp -a '{source}' '{target}'")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
