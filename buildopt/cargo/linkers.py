"""Which linkers this host really has: each is tried with rustc, and the program it made is asked who linked it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.config import load_config
from buildopt.cargo.kept import read_kept, write_kept
from buildopt.cargo.model import CargoConfig, LinkerProbe, Toolchain
from buildopt.cargo.toolchain import toolchain_identity
from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Host
from buildopt.host.files import digest

__all__ = ["linkers"]

_PROGRAMS = ("mold", "ld.lld", "ld64.lld", "wild", "clang", "gcc", "cc", "ld")
_TIMEOUT_SECONDS = 60.0


class _Way(NamedTuple):
    """One way to have a linker used, and what that linker leaves in the program."""

    program: Path
    rustflags: tuple[str, ...]
    mark: bytes


def linkers(host: Host, root: Path, toolchain: Toolchain, state: Path) -> Mapping[str, LinkerProbe]:
    """Return `mold`, `lld`, `rust-lld` and `wild` as this host has them, by name.

    Each is tried with rustc on an empty program, with the compiler driver that Cargo's configuration names. The result
    is kept in `state` until one of the programs involved, the toolchain or that configuration changes.
    """
    driver = _configured_driver(load_config(host, root), toolchain.host, root)
    key = digest(repr((toolchain_identity(host, root), toolchain, driver, _stamps(host, driver))).encode())
    kept_key, kept = read_kept(host, state, "linkers")
    if kept_key == key and isinstance(kept, list):
        return {row[0]: _revive(row) for row in kept}
    try:
        probes = _Trial(host, root, toolchain, state, driver).all_probes()
    except MachineRefused as error:
        why = f"not tried: {error.message}"
        return {name: LinkerProbe(name, None, False, False, (), why) for name in ("mold", "lld", "rust-lld", "wild")}
    rows = [(p.name, p.path and str(p.path), *p[2:]) for p in probes]
    write_kept(host, state, "linkers", key, rows)
    return {probe.name: probe for probe in probes}


def _revive(row: list[object]) -> LinkerProbe:
    name, path, works, default, rustflags, why = row
    flags = tuple(str(flag) for flag in rustflags) if isinstance(rustflags, list) else ()
    return LinkerProbe(str(name), Path(str(path)) if path else None, works is True, default is True, flags, str(why))


def _stamps(host: Host, driver: str | None) -> list[object]:
    paths = [host.which(name) for name in (*_PROGRAMS, *([driver] if driver else []))]
    return [(path, path and host.files.stamp(path)) for path in paths]


def _configured_driver(config: CargoConfig, triple: str, root: Path) -> str | None:
    """Return the program that `target.<triple>.linker` names: rustc calls it in place of `cc`."""
    value = config.get("target", triple, "linker")
    if value is None or not isinstance(value.value, str):
        return None
    named = value.value
    return named if os.path.basename(named) == named else os.path.normpath(root / named)


class _Trial:
    """The trials of one probe; nothing of them is left behind."""

    def __init__(self, host: Host, root: Path, toolchain: Toolchain, state: Path, driver: str | None) -> None:
        self._host = host
        self._root = root
        self._toolchain = toolchain
        self._driver = (f"-Clinker={driver}",) if driver else ()
        self._folder = Path(os.path.abspath(state)) / "cache" / f"linker-trial.{os.getpid()}"

    def all_probes(self) -> list[LinkerProbe]:
        """Try every linker."""
        source = self._folder / "trial.rs"
        try:
            self._host.files.make_directory(self._folder)
            self._host.files.write(source, b"fn main() {}\n", flush=False)
            usual, _ = self._link(())
            return [
                self._probe("mold", self._mold(), usual, linux_only=True),
                self._probe("lld", self._lld(), usual),
                self._probe("rust-lld", self._rust_lld(), usual),
                self._probe("wild", self._wild(), usual, linux_only=True),
            ]
        finally:
            with contextlib.suppress(MachineRefused):
                for name in ("trial.rs", "trial"):
                    self._host.files.remove(self._folder / name)
            self._host.files.remove_empty_directory(self._folder)

    def _probe(self, name: str, ways: Iterable[_Way], usual: bytes | None, *, linux_only: bool = False) -> LinkerProbe:
        if linux_only and self._host.system != "linux":
            return LinkerProbe(name, None, False, False, (), f"{name} links programs for Linux only")
        path, why = None, f"{name} is not found on this host"
        for way in ways:
            path = way.program
            if way.mark and usual is not None and way.mark in usual:
                return LinkerProbe(name, path, True, True, (), "rustc uses it here without being told")
            made, said = self._link(way.rustflags)
            if made is not None and way.mark in made:
                return LinkerProbe(name, path, True, False, way.rustflags, f"linked a trial program: {path}")
            why = said if made is None else f"{' '.join(way.rustflags)} is accepted, and another linker is used"
        return LinkerProbe(name, path, False, False, (), why)

    def _link(self, rustflags: tuple[str, ...]) -> tuple[bytes | None, str]:
        """Return the program that rustc made, or None and why it could not."""
        out = self._folder / "trial"
        argv = ("rustc", str(self._folder / "trial.rs"), "-o", str(out), "--edition=2021", *self._driver, *rustflags)
        self._host.files.remove(out)
        finished = self._host.run(Command(argv, cwd=self._root, timeout_seconds=_TIMEOUT_SECONDS))
        made = self._host.files.read(out) if finished.returncode == 0 else None
        if made is None:
            return None, _reason(finished.stderr.decode(errors="replace"))
        try:
            ran = self._host.run(Command((str(out),), cwd=self._root, timeout_seconds=_TIMEOUT_SECONDS))
        except (MachineRefused, ToolMissing) as error:
            return None, f"the trial program does not start: {error.message}"
        return (made, "") if ran.returncode == 0 else (None, f"the trial program exits with {ran.returncode}")

    def _mold(self) -> Iterable[_Way]:
        found = self._host.which("mold")
        if found is not None:
            yield _Way(found, ("-Clink-arg=-fuse-ld=mold",), b"mold ")
            yield from self._through_clang(found, "-Clink-arg=-fuse-ld=mold", b"mold ")

    def _lld(self) -> Iterable[_Way]:
        found = self._host.which("ld64.lld" if self._host.system == "macos" else "ld.lld")
        if found is None:
            return
        mark = self._lld_mark(found)
        # Where rustc brings its own lld, that one is found first: it has to be switched off.
        if self._toolchain.host == "x86_64-unknown-linux-gnu" and _minor(self._toolchain) >= 90:
            yield _Way(found, ("-Clinker-features=-lld", "-Clink-arg=-fuse-ld=lld"), mark)
        yield _Way(found, ("-Clink-arg=-fuse-ld=lld",), mark)
        yield from self._through_clang(found, "-Clink-arg=-fuse-ld=lld", mark)

    def _rust_lld(self) -> Iterable[_Way]:
        finished = self._host.run(Command(("rustc", "--print", "sysroot"), cwd=self._root, timeout_seconds=60.0))
        tools = Path(finished.stdout.decode(errors="replace").strip()) / "lib/rustlib" / self._toolchain.host / "bin"
        program = tools / ("rust-lld.exe" if self._host.system == "windows" else "rust-lld")
        if finished.returncode != 0 or self._host.files.stamp(program) is None or self._host.system == "macos":
            return
        if self._host.system == "windows":
            yield _Way(program, ("-Clinker=rust-lld",), b"")
            return
        finished = self._host.run(Command((str(program), "-flavor", "gnu", "--version"), self._root))
        mark = _mark(finished.stdout)
        yield _Way(program, (f"-Clink-arg=-B{tools / 'gcc-ld'}", "-Clink-arg=-fuse-ld=lld"), mark)

    def _wild(self) -> Iterable[_Way]:
        found = self._host.which("wild")
        if found is not None:
            yield from self._through_clang(found, f"-Clink-arg=--ld-path={found}", b"Wild ")

    def _through_clang(self, program: Path, flag: str, mark: bytes) -> Iterable[_Way]:
        """Gcc knows `-fuse-ld=mold` since 12.1 and `wild` not at all; clang knows both."""
        if not self._driver:
            yield _Way(program, ("-Clinker=clang", flag), mark)

    def _lld_mark(self, program: Path) -> bytes:
        if self._host.system != "linux":
            return b""
        return _mark(self._host.run(Command((str(program), "--version"), self._root, timeout_seconds=60.0)).stdout)


def _mark(version: bytes) -> bytes:
    """Return what lld of this version writes into the section `.comment`."""
    found = re.search(rb"LLD \d+\.\d+\.\d+", version)
    return found.group(0) if found else b"LLD "


def _minor(toolchain: Toolchain) -> int:
    return int(toolchain.rustc.split(".")[1])


def _reason(stderr: str) -> str:
    """Return the line of the compiler driver that says why a link failed."""
    lines = [line.strip().removeprefix("= note: ") for line in stderr.splitlines()]
    for words in (r"cannot find|not found|unrecognized|invalid linker|fatal error", r"^error"):
        for line in lines:
            if re.search(words, line):
                return line[:200]
    return "rustc could not link a trial program with it"
