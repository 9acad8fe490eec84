from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from buildopt.cargo import load_config
from buildopt.cargo.config import REGION_BEGIN, REGION_END, without_region
from buildopt.errors import ManifestError
from buildopt.host import Host

TRIPLE = "x86_64-unknown-linux-gnu"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a workspace two folders deep, with a Cargo home of its own that is not above it."""
    root = (tmp_path / "up" / "ws").resolve()
    (root / "src").mkdir(parents=True)
    (root / "Cargo.toml").write_text('[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n')
    (root / "src/lib.rs").write_text("")
    (tmp_path / "home").mkdir()
    return root


def host_of(root: Path, **environ: str) -> Host:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Host({**kept, "CARGO_HOME": str(root.parent.parent / "home"), **environ})


def flags_of(config) -> list[tuple[str, tuple[str, ...]]]:
    return [(flags.table, flags.flags) for flags in config.rustflags]


JOBS = "[build]\njobs = {}\n"
FLAGS = '[build]\nrustflags = ["--cfg", "{}"]\n'
CASES: dict[str, dict[str, str]] = {
    "nothing": {},
    "one file": {".cargo/config.toml": JOBS.format(1)},
    "nearest wins": {".cargo/config.toml": JOBS.format(1), "../.cargo/config.toml": JOBS.format(2)},
    "the one above counts": {"../.cargo/config.toml": JOBS.format(2) + "[term]\nquiet = false\n"},
    "home is last": {"../.cargo/config.toml": JOBS.format(2), "../../home/config.toml": JOBS.format(3)},
    "home alone": {"../../home/config.toml": JOBS.format(3)},
    "without a suffix": {".cargo/config": JOBS.format(4), ".cargo/config.toml": JOBS.format(5)},
    "including file wins": {
        ".cargo/config.toml": 'include = ["x.toml"]\n' + JOBS.format(1),
        ".cargo/x.toml": JOBS.format(2) + "[profile.dev]\ndebug = 1\n",
    },
    "later include wins": {
        ".cargo/config.toml": 'include = ["x.toml", { path = "y.toml" }]\n',
        ".cargo/x.toml": JOBS.format(2),
        ".cargo/y.toml": JOBS.format(3),
    },
    "nested and optional": {
        ".cargo/config.toml": '[[include]]\npath = "sub/x.toml"\n[[include]]\npath = "none.toml"\noptional = true\n',
        ".cargo/sub/x.toml": 'include = ["../y.toml", {path = "none.toml", optional = true}]\n[net]\nretry = 1\n',
        ".cargo/y.toml": JOBS.format(9) + "[net]\nretry = 2\n",
    },
    "include in the file above": {
        ".cargo/config.toml": "[net]\nretry = 5\n",
        "../.cargo/config.toml": 'include = ["x.toml"]\n',
        "../.cargo/x.toml": JOBS.format(7) + "[net]\nretry = 6\n",
    },
    "flags join": {
        ".cargo/config.toml": 'include = ["x.toml", "y.toml"]\n' + FLAGS.format("own"),
        ".cargo/x.toml": FLAGS.format("x"),
        ".cargo/y.toml": FLAGS.format("y"),
        "../.cargo/config.toml": FLAGS.format("above"),
        "../../home/config.toml": FLAGS.format("home"),
    },
}


@pytest.mark.parametrize("files", CASES.values(), ids=CASES.keys())
def test_values_are_those_that_cargo_sees(place, tree, files):
    tree(place, files)
    host = host_of(place, RUSTC_BOOTSTRAP="1")
    argv = ["cargo", "-Zunstable-options", "config", "get", "--format", "json"]
    said = subprocess.run(argv, cwd=place, env=dict(host.environ), capture_output=True, check=True).stdout
    theirs = json.loads(said)
    config = load_config(host, place)
    for key in (("build", "jobs"), ("net", "retry"), ("profile", "dev", "debug"), ("term", "quiet")):
        expected = theirs
        for part in key:
            expected = expected.get(part, {})
        found = config.get(*key)
        assert (found.value if found else {}) == expected, key
    # Cargo puts the flags of the winner last, so that they win on rustc's command line.
    joined = [flag for flags in reversed(config.rustflags) for flag in flags.flags]
    assert joined == theirs.get("build", {}).get("rustflags", [])


@pytest.mark.parametrize("given", ["", "--cfg env"])
@pytest.mark.parametrize("name", ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"])
def test_flags_in_the_environment_hide_all_others_as_in_cargo(place, tree, name, given):
    """Even an empty variable does: the first of our list is what Cargo takes."""
    tree(place, {".cargo/config.toml": FLAGS.format("file") + f'[target.{TRIPLE}]\nrustflags = ["--cfg", "table"]\n'})
    host = host_of(place, **{name: given.replace(" ", "\x1f") if "ENCODED" in name else given})
    said = subprocess.run(
        ["cargo", "check", "-v"], cwd=place, env=dict(host.environ), capture_output=True, text=True, check=True
    ).stderr
    config = load_config(host, place)
    assert config.rustflags[0].table == "environment"
    assert config.rustflags[0].where == f"${name}"
    assert config.rustflags[0].flags == tuple(given.split())
    assert "--cfg file" not in said
    assert "--cfg table" not in said
    assert ("--cfg env" in said) == bool(given)


def test_target_tables_come_before_build(place, tree):
    tree(
        place,
        {
            ".cargo/config.toml": (
                '[build]\nrustflags = "-Ca=1  -Cb=2"\n[target.\'cfg(unix)\']\nrustflags = ["-Cc=3"]\nlinker = "clang"\n'
            )
        },
    )
    config = load_config(host_of(place), place)
    assert flags_of(config) == [("target.'cfg(unix)'", ("-Cc=3",)), ("build", ("-Ca=1", "-Cb=2"))]
    assert [flags.form for flags in config.rustflags] == ["array", "string"]
    assert [linker.dotted for linker in config.linkers] == ["target.'cfg(unix)'.linker"]
    assert {flags.where for flags in config.rustflags} == {".cargo/config.toml"}


def test_environment_wins_over_files(place, tree):
    tree(place, {".cargo/config.toml": '[build]\nrustc-wrapper = "sccache"\njobs = 3\n'})
    config = load_config(
        host_of(
            place,
            RUSTC_WRAPPER="",
            CARGO_BUILD_JOBS="2",
            CARGO_INCREMENTAL="1",
            CARGO_PROFILE_DEV_FAST_BUILD_OVERRIDE_OPT_LEVEL="1",
            CARGO_PROFILE_RELEASE_DEBUG="true",
            CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER="clang",
            CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Cx=1",
            CARGO_TARGET_DIR="/t",
        ),
        place,
    )
    assert config.rustc_wrapper is not None
    assert (config.rustc_wrapper.value, config.rustc_wrapper.where) == ("", "$RUSTC_WRAPPER")
    assert config.get("build", "jobs").value == "2"
    assert config.get("build", "incremental").where == "$CARGO_INCREMENTAL"
    assert config.get("profile", "dev-fast", "build-override", "opt-level").value == "1"
    assert config.get("profile", "release", "debug").value == "true"
    assert config.get("build", "target-dir").value == "/t"
    assert config.linkers[0].key == ("target", TRIPLE, "linker")
    assert flags_of(config) == [(f"target.{TRIPLE}", ("-Cx=1",))]


def test_what_buildopt_wrote_is_told_apart(place, tree):
    tree(
        place,
        {
            ".cargo/config.toml": (
                'include = ["buildopt.toml"]\n[build]\njobs = 1\n'
                f"{REGION_BEGIN}\n[profile.dev]\ndebug = 1\n{REGION_END}\n[net]\nretry = 3\n"
            ),
            ".cargo/buildopt.toml": (
                'include = [{ path = "buildopt.host.toml", optional = true }]\n[profile.dev]\nopt-level = 1\n[build]\njobs = 5\n'
            ),
            ".cargo/buildopt.host.toml": '[build]\nrustflags = ["-Clink-arg=-fuse-ld=mold"]\n',
        },
    )
    config = load_config(host_of(place), place)
    assert config.get("profile", "dev", "debug").ours
    assert config.get("profile", "dev", "opt-level").ours
    assert not config.get("net", "retry").ours
    assert config.get("build", "jobs").value == 1
    assert config.get("build", "jobs", ours=True).value == 5
    assert [flags.ours for flags in config.rustflags] == [True]
    assert config.files == (".cargo/config.toml", ".cargo/buildopt.toml", ".cargo/buildopt.host.toml")


def test_region_that_cannot_be_taken_out_is_the_users(place, tree):
    tree(place, {".cargo/config.toml": f'a = """\n{REGION_BEGIN}\n"""\n[build]\njobs = 1\n'})
    assert not load_config(host_of(place), place).get("build", "jobs").ours


def test_region_is_taken_out_whole():
    text = f"a = 1\n{REGION_BEGIN}\nb = 1\n{REGION_END}\nc = 1\n"
    assert without_region(text) == "a = 1\nc = 1\n"


def test_file_that_cargo_passes_over_is_named(place, tree):
    tree(place, {".cargo/config": "[build]\njobs = 1\n", ".cargo/config.toml": "[build]\njobs = 2\n"})
    assert load_config(host_of(place), place).shadowed == (".cargo/config.toml",)


BROKEN = {
    "not TOML": ({".cargo/config.toml": "[build\n"}, r"\.cargo/config\.toml"),
    "not text": ({".cargo/config.toml": b"\xff\xfe"}, r"\.cargo/config\.toml"),
    "broken above": ({"../.cargo/config.toml": "x = \n"}, r"up/\.cargo/config\.toml"),
    "broken include": ({".cargo/config.toml": 'include = ["x.toml"]', ".cargo/x.toml": "= 1"}, r"\.cargo/x\.toml"),
    "include that is not there": ({".cargo/config.toml": 'include = ["x.toml"]'}, "does not exist"),
    "include that is no list": ({".cargo/config.toml": 'include = "x.toml"'}, "expected a list"),
    "include without suffix": ({".cargo/config.toml": 'include = ["x.txt"]'}, r"end in \.toml"),
    "include in a circle": (
        {".cargo/config.toml": 'include = ["x.toml"]', ".cargo/x.toml": 'include = ["../.cargo/x.toml"]'},
        "circle",
    ),
    "longer circle": (
        {
            ".cargo/config.toml": 'include = ["x.toml"]',
            ".cargo/x.toml": 'include = ["y.toml"]',
            ".cargo/y.toml": 'include = ["x.toml"]',
        },
        "circle",
    ),
}


@pytest.mark.parametrize(("files", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_file_that_cargo_refuses_is_named(place, files, words):
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    host = host_of(place)
    refused = subprocess.run(
        ["cargo", "metadata", "--no-deps", "-q"], cwd=place, env=dict(host.environ), capture_output=True, check=False
    )
    assert refused.returncode != 0
    with pytest.raises(ManifestError, match=words):
        load_config(host, place)


@pytest.mark.parametrize(
    "text",
    ["build = 3", 'target = "x"', "[build]\nrustflags = 3", "[target]\nx = 1", "[[build]]\na = 1", "unstable = []"],
)
def test_values_of_a_wrong_type_are_no_traceback(place, tree, text):
    tree(place, {".cargo/config.toml": text + "\n"})
    load_config(host_of(place), place)
