from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from buildopt.cache import Counters, Wrapper, prepare, snapshot
from buildopt.host import Host
from buildopt.profile.model import Cache


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def servers_on(port: int) -> list[int]:
    """Return the processes of the sccache servers that were started with `port` (Linux)."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and "sccache" in os.readlink(f"/proc/{name}/exe"):
                environ = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                if b"SCCACHE_START_SERVER=1" in environ and f"SCCACHE_SERVER_PORT={port}".encode() in environ:
                    found.append(int(name))
    return found


class Bench(NamedTuple):
    """A host with an sccache of its own: its own port, its own storage."""

    host: Host
    sccache: Path
    port: int
    root: Path
    state: Path

    def prepare(self, settings: Cache = Cache(wrapper="sccache"), **more: Any) -> Wrapper:  # noqa: B008 - frozen
        """Prepare the wrapper with the sccache of the tests, wherever it lies."""
        return prepare(self.host, settings, self.root, self.state, **{"ci": False, "python": self.sccache, **more})

    def environ(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        environ = {**self.host.environ, **{k: v for k, v in changes.items() if v is not None}}
        return {name: value for name, value in environ.items() if changes.get(name, value) is not None}

    def start(self, env: Mapping[str, str | None], *arguments: str) -> subprocess.Popen[str]:
        """Start cargo as a person would, with changes to the environment of this host."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        return subprocess.Popen(["cargo", *(arguments or ("check",))], cwd=self.root, env=self.environ(env), **streams)

    def cargo(self, env: Mapping[str, str | None], *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run cargo to its end."""
        process = self.start(env, *arguments)
        try:
            stdout, stderr = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def count(self, wrapper: Wrapper) -> Counters:
        counters = snapshot(self.host, wrapper)
        assert counters is not None
        return counters

    def kill_servers(self) -> int:
        """Kill the servers that were started with the port of this host; return how many (Linux).

        Waits for their end, not for their program to be gone from /proc: the port takes connections a moment longer.
        """
        killed = 0
        for process in servers_on(self.port):
            with contextlib.suppress(OSError):
                end = os.pidfd_open(process)
                try:
                    os.kill(process, signal.SIGKILL)
                    select.select([end], [], [])
                finally:
                    os.close(end)
                killed += 1
        return killed


@pytest.fixture(scope="session")
def sccache(need: Callable[[str], Path]) -> Path:
    """Return sccache: beside the Python that runs the tests, where the extra puts it, or on PATH."""
    beside = Path(sys.executable).parent / "sccache"
    return beside if beside.exists() else need("sccache")


@pytest.fixture
def benches(tmp_path: Path, sccache: Path, need: Callable[[str], Path]) -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a `Bench` out of files and variables; its servers are gone when the test ends."""
    need("cargo")
    made: list[Bench] = []

    def make(files: Mapping[str, str] | None = None, **environ: str) -> Bench:
        port = int(environ.get("SCCACHE_SERVER_PORT") or free_port())
        root = tmp_path / "ws"
        base = {"SCCACHE_DIR": str(tmp_path / "sccache"), "SCCACHE_SERVER_PORT": str(port), "CARGO_TERM_COLOR": "never"}
        root.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        made.append(Bench(Host({**os.environ, **base, **environ}), sccache, port, root, root / ".buildopt"))
        return made[-1]

    yield make
    for bench in made:
        bench.kill_servers()


@pytest.fixture
def crates() -> Callable[..., dict[str, str]]:
    """Return a function that makes a workspace of small libraries, each but the first depending on one before it."""

    def make(count: int, *, body: int = 3, extra: str = "") -> dict[str, str]:
        files = {"Cargo.toml": f'[workspace]\nmembers = ["c*"]\nresolver = "2"\n{extra}'}
        salt = time.time_ns()  # a text that no cache has seen
        for number in range(count):
            parent = f'c{(number - 1) // 2} = {{ path = "../c{(number - 1) // 2}" }}\n' if number else ""
            files[f"c{number}/Cargo.toml"] = (
                f'[package]\nname = "c{number}"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n{parent}'
            )
            files[f"c{number}/src/lib.rs"] = f"// {salt}\n" + "".join(
                f"#[derive(Debug, Clone, PartialEq, Default)]\npub struct S{i} {{\n    pub a: Vec<u32>,\n}}\n"
                for i in range(body)
            )
        return files

    return make


@pytest.fixture
def port() -> int:
    """Return a port of the loopback that was free a moment ago."""
    return free_port()


@pytest.fixture
def redis(need: Callable[[str], Path]) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Return a function that starts a Redis on a port of the loopback, with the password `hush-hush`."""
    program = need("redis-server")
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> subprocess.Popen[bytes]:
        argv = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            [*argv, "--requirepass", "hush-hush"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        running.append(process)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return process
            time.sleep(0.02)
        raise AssertionError("redis-server does not listen")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def without_sccache(tmp_path: Path, need: Callable[[str], Path]) -> str:
    """Return a PATH on which cargo and rustc are found, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cargo", "rustc"):
        (folder / name).symlink_to(need(name))
    return str(folder)
