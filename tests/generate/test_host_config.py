from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from generate_inputs import MOLD, NO_CONFIG, flags, made

from buildopt.cargo.model import ConfigValue, LinkerProbe
from buildopt.generate.cfg import matches
from buildopt.profile.model import Cargo, Linker, Profile

APP = {"Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'}
HOST = "x86_64-unknown-linux-gnu"
OURS = ["-Clink-arg=-fuse-ld=mold"]
LINKER = Profile(version=1, cargo=Cargo(linker=Linker(prefer=("wild", "mold", "rust-lld"))))
BROKEN = LinkerProbe("wild", None, False, False, (), "wild is not found")
USUAL = LinkerProbe("rust-lld", None, True, True, (), "rustc uses it anyway")


def host_file(profile: Profile, **changes: object) -> tuple[dict, tuple[str, ...]]:
    result = made(profile, APP, **changes)
    content = result.files[".cargo/buildopt.host.toml"]
    return tomllib.loads(content.decode()) if content else {}, result.notes


def test_the_first_linker_that_works_is_used() -> None:
    table, notes = host_file(LINKER, linkers={"wild": BROKEN, "mold": MOLD, "rust-lld": USUAL})
    assert table == {"target": {HOST: {"rustflags": OURS}}}
    assert notes == ()


@pytest.mark.parametrize("prefer", [("rust-lld", "mold"), ("default", "mold"), ()])
def test_the_default_linker_writes_nothing(prefer: tuple) -> None:
    profile = Profile(version=1, cargo=Cargo(linker=Linker(prefer=prefer)))
    assert host_file(profile, linkers={"mold": MOLD, "rust-lld": USUAL}) == ({}, ())


def test_no_linker_that_works_is_told() -> None:
    table, notes = host_file(LINKER, linkers={"wild": BROKEN})
    assert table == {}
    assert "wild is not found; mold was not looked for" in notes[0]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ([flags("build", "--cfg=a")], {"build": {"rustflags": OURS}}),
        ([flags(f"target.{HOST}", "--cfg=a")], {"target": {HOST: {"rustflags": OURS}}}),
        ([flags("target.'cfg(unix)'", "--cfg=a")], {"target": {HOST: {"rustflags": OURS}}}),
        ([flags("target.'cfg(unix)'", "--cfg=a"), flags("build", "--cfg=b")], {"target": {HOST: {"rustflags": OURS}}}),
        ([flags("target.'cfg(windows)'", "--cfg=a"), flags("build", "--cfg=b")], {"build": {"rustflags": OURS}}),
        ([flags("target.'cfg(unix)'"), flags("build", "--cfg=b")], {"build": {"rustflags": OURS}}),
        ([flags("target.aarch64-apple-darwin", "--cfg=a")], {"target": {HOST: {"rustflags": OURS}}}),
        ([flags("build", "--cfg=a", form="string")], {}),
        ([flags(f"target.{HOST}", "--cfg=a", form="string")], {}),
        ([flags("build", "--cfg=a", form="string", where="$CARGO_BUILD_RUSTFLAGS")], {"build": {"rustflags": OURS}}),
        ([flags("environment", "--cfg=a", where="$RUSTFLAGS")], {"target": {HOST: {"rustflags": OURS}}}),
        ([flags("build", "--cfg=a")._replace(ours=True)], {"target": {HOST: {"rustflags": OURS}}}),
    ],
)
def test_our_flag_goes_where_it_hides_none_of_the_users(theirs: list, expected: dict) -> None:
    config = NO_CONFIG._replace(rustflags=tuple(theirs))
    table, notes = host_file(LINKER, linkers={"mold": MOLD}, config=config)
    assert table == expected
    assert bool(notes) == (expected == {} or theirs[0].table == "environment")


@pytest.mark.parametrize(
    ("cargo", "cores", "memory", "jobs"),
    [
        (Cargo(jobs=4), 8, None, 4),
        (Cargo(jobs=-2), 8, None, 6),
        (Cargo(jobs=-9), 8, None, 1),
        (Cargo(memory_per_job=2 * 2**30), 8, 16 * 2**30, None),
        (Cargo(memory_per_job=4 * 2**30), 8, 16 * 2**30, 4),
        (Cargo(memory_per_job=64 * 2**30), 8, 16 * 2**30, 1),
        (Cargo(memory_per_job=4 * 2**30), 8, None, None),
        (Cargo(jobs=2, memory_per_job=4 * 2**30), 8, 16 * 2**30, 2),
    ],
)
def test_jobs_follow_processors_and_memory(cargo: Cargo, cores: int, memory: int | None, jobs: int | None) -> None:
    table, _ = host_file(Profile(version=1, cargo=cargo), cores=cores, memory_bytes=memory)
    assert table == ({} if jobs is None else {"build": {"jobs": jobs}})


def test_jobs_that_the_user_sets_win_and_that_is_told() -> None:
    config = NO_CONFIG._replace(values=(ConfigValue(("build", "jobs"), 3, ".cargo/config.toml", False),))
    _, notes = host_file(Profile(version=1, cargo=Cargo(jobs=2)), config=config)
    assert notes == (".cargo/config.toml sets build.jobs itself, and wins",)


@pytest.mark.parametrize(
    ("expression", "triple", "expected"),
    [
        ("cfg(unix)", HOST, True),
        ("cfg(unix)", "aarch64-apple-darwin", True),
        ("cfg(windows)", HOST, False),
        ('cfg(all(target_os = "linux", not(target_env = "musl")))', HOST, True),
        ('cfg(all(target_os = "linux", not(target_env = "musl")))', "x86_64-unknown-linux-musl", False),
        ('cfg(any(target_arch="aarch64", target_os="macos"))', "aarch64-apple-darwin", True),
        ('cfg(target_env = "gnu")', "arm-unknown-linux-gnueabihf", True),
        ("cfg(all())", HOST, True),
        ("cfg(any())", HOST, False),
        ('cfg(target_pointer_width = "32")', "i686-pc-windows-msvc", True),
        ('cfg(feature = "x")', HOST, False),
        ("cfg(", HOST, False),
        ("cfg(maybe(unix))", HOST, False),
    ],
)
def test_platform_expressions(expression: str, triple: str, expected: bool) -> None:
    assert matches(expression, triple) is expected


USERS = {
    "none": "",
    "build": '[build]\nrustflags = ["--cfg=user"]\n',
    "target": '[target.x86_64-unknown-linux-gnu]\nrustflags = ["--cfg=user"]\n',
    "cfg": "[target.'cfg(unix)']\nrustflags = [\"--cfg=user\"]\n",
    "other cfg": '[build]\nrustflags = ["--cfg=user"]\n[target.\'cfg(windows)\']\nrustflags = ["--cfg=other"]\n',
    "string": '[build]\nrustflags = "--cfg=user"\n',
    "target string": '[target.x86_64-unknown-linux-gnu]\nrustflags = "--cfg=user"\n',
}


@pytest.mark.parametrize("user", USERS)
def test_cargo_uses_our_flag_and_the_users(
    user: str, tmp_path: Path, tree: Callable, sync: Callable, run_cargo: Callable
) -> None:
    files = {**APP, "src/lib.rs": "", ".cargo/config.toml": USERS[user]}
    root = tree(tmp_path / "ws", {name: text for name, text in files.items() if text or name.endswith(".rs")})
    result = sync(root, LINKER)
    output = run_cargo(root, "check", "-v").stderr.decode()
    assert ("--cfg=user" in output) == bool(USERS[user])
    assert (OURS[0] in output) == ("string" not in user)
    assert bool(result.notes) == ("string" in user)
    assert sync(root, LINKER).files == result.files
