from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildopt.bench.arms import Arm, parse_arm, profile_settings, settings_arm
from buildopt.bench.config_lines import Ground
from buildopt.cargo.model import LinkerProbe, Toolchain
from buildopt.errors import ArgumentError
from buildopt.profile import load
from buildopt.testing import ScriptedHost

TRIPLE = "x86_64-unknown-linux-gnu"
MOLD = LinkerProbe("mold", Path("/usr/bin/mold"), True, False, ("-Clink-arg=-fuse-ld=mold",), "linked a trial program")
LLD = LinkerProbe("rust-lld", Path("/rust-lld"), True, True, (), "rustc uses it here without being told")
WILD = LinkerProbe("wild", None, False, False, (), "wild is not found on this host")


def ground(
    root: Path, text: str = "", *, config: str = "", environ: dict[str, str] | None = None, nightly: bool = False
) -> Ground:
    root.mkdir(exist_ok=True)
    (root / "buildopt.toml").write_text(f"version = 1\n{text}")
    if config:
        (root / ".cargo").mkdir()
        (root / ".cargo" / "config.toml").write_text(config)
    host = ScriptedHost({}, environ={"HOME": str(root / "home"), **(environ or {})})
    profile = load(root / "buildopt.toml", root=root, read=host.files.read, environ={}).profile
    found = Ground(host, root, root / ".buildopt", profile, Toolchain("1.95.0", "1.95.0", TRIPLE, nightly))
    found.__dict__["linkers"] = {probe.name: probe for probe in (MOLD, LLD, WILD)}
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Ground:
    return ground(tmp_path / "ws")


OWN = """
[cargo.profile.dev-fast]
inherits = "dev"
debug = 0
[cargo.profile.dev-fast.package."*"]
opt-level = 1
[cargo.profile.dev-fast.build-override]
codegen-units = 4
[cargo.profile.shipped]
inherits = "release"
lto = "thin"
[cargo.linker]
prefer = ["wild", "mold"]
[cargo]
jobs = 3
[cache]
wrapper = "sccache"
[stages.quick-check]
run = ["clippy"]
cargo-profile = "dev-fast"
"""


def test_the_default_is_cargos_own(plain: Ground) -> None:
    arm = parse_arm("default", plain)
    assert arm.arguments("leaf") == arm.arguments("release") == ()
    assert not arm.changes_parallelism


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("debug=0", "profile.dev.debug=0"),
        ("debug=line-tables-only", 'profile.dev.debug="line-tables-only"'),
        ('split-debuginfo="unpacked"', 'profile.dev.split-debuginfo="unpacked"'),
        ("package.*.debug=0", 'profile.dev.package."*".debug=0'),
        ("package.serde.opt-level=3", "profile.dev.package.serde.opt-level=3"),
        ("build-override.opt-level=1", "profile.dev.build-override.opt-level=1"),
        ("incremental=false", "profile.dev.incremental=false"),
        ("linker=mold", f'target.{TRIPLE}.rustflags=["-Clink-arg=-fuse-ld=mold"]'),
        ("jobs=1", "build.jobs=1"),
    ],
)
def test_a_single_setting_is_one_line(plain: Ground, text: str, line: str) -> None:
    arm = parse_arm(text, plain)
    assert arm.name == text
    assert arm.arguments("leaf") == ("--config", line)


def test_settings_are_joined_and_go_into_release_for_a_release_build(plain: Ground) -> None:
    arm = parse_arm("debug=0+strip=debuginfo+jobs=1", plain)
    assert arm.arguments("release")[1::2] == (
        "profile.release.debug=0",
        'profile.release.strip="debuginfo"',
        "build.jobs=1",
    )


@pytest.mark.parametrize(
    "text", ["jobs=1", "linker=mold", "codegen-units=16", "package.*.codegen-units=1", "wrapper=sccache"]
)
def test_what_changes_how_much_is_done_at_once_is_decided_by_wall_time(plain: Ground, text: str) -> None:
    assert parse_arm(text, plain).changes_parallelism
    assert not parse_arm("debug=0", plain).changes_parallelism


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("dev-fats", 'did you mean "dev-fast"?'),
        ("debgu=0", 'did you mean "debug"?'),
        ("debug", "write debug=VALUE"),
        ("debug=", "expected KEY=VALUE"),
        ("debug=7", "found 7"),
        ("linker=gold", "there are mold"),
        ("linker=wild", "wild is not found"),
        ("jobs=0", "other than 0"),
        ("jobs=many", "other than 0"),
        ("wrapper=ccache", "none or sccache"),
        ("package.*.panic=abort", "whole Cargo profile"),
        ("codegen-backend=cranelift", "nightly"),
        ("-Zthreads=8", "nightly"),
        ("-Cevil=1", "settings table"),
        ("rev:", "rev:main"),
        ("rev:--upload-pack=x", "rev:main"),
        ("none/such.toml", "no such file"),
        ("a.b.c.d.e=1", "keys are those"),
    ],
)
def test_what_is_no_arm_says_why_and_what_to_do(plain: Ground, text: str, word: str) -> None:
    with pytest.raises(ArgumentError) as found:
        parse_arm(text, plain)
    assert word in " ".join(found.value.lines())
    assert "--compare" in found.value.message


def test_current_is_the_profile_as_it_is_today(tmp_path: Path) -> None:
    arm = parse_arm("current", ground(tmp_path / "ws", OWN))
    assert set(arm.arguments("leaf")[1::2]) == {
        "profile.dev.debug=0",
        'profile.dev.package."*".opt-level=1',
        "profile.dev.build-override.codegen-units=4",
        "build.jobs=3",
        f'target.{TRIPLE}.rustflags=["-Clink-arg=-fuse-ld=mold"]',
    }
    assert arm.wrapper == "sccache"
    assert 'profile.release.lto="thin"' in arm.arguments("release")
    assert "profile.release.debug=0" not in arm.arguments("release")


def test_a_declared_profile_wins_over_the_preset_of_its_name_and_what_inherits_release_is_that(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws", OWN)
    assert "profile.dev.debug=0" in parse_arm("dev-fast", here).config
    shipped = parse_arm("shipped", here).config
    assert "profile.dev.opt-level=3" in shipped
    assert 'profile.dev.lto="thin"' in shipped
    other = ground(tmp_path / "other")
    assert parse_arm("dev-fast", other).config == ('profile.dev.debug="line-tables-only"',)


def test_more_settings_can_be_put_over_a_named_arm(tmp_path: Path) -> None:
    arm = parse_arm("dev-fast+debug=1", ground(tmp_path / "ws"))
    assert arm.config == ("profile.dev.debug=1",)


def test_a_path_is_another_profile(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws")
    (here.root / "other.toml").write_text('version = 1\n[cargo.profile.dev-fast]\ninherits = "dev"\ndebug = 2\n')
    assert parse_arm("other.toml", here).config == ("profile.dev.debug=2",)


def test_a_revision_is_built_with_the_settings_of_today(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws", '[cargo.profile.dev-fast]\ninherits = "dev"\ndebug = 0\n')
    arm = parse_arm("rev:main", here)
    assert (arm.revision, arm.config) == ("main", ("profile.dev.debug=0",))


def test_declared_gives_its_stages_the_machine_and_leaves_them_their_profiles(tmp_path: Path) -> None:
    arm = parse_arm("declared", ground(tmp_path / "ws", OWN))
    assert arm.kind == "declared"
    assert not any(line.startswith("profile.") for line in arm.config)
    assert "build.jobs=3" in arm.config
    assert parse_arm("plain", ground(tmp_path / "other", OWN)) == Arm("plain", kind="plain")


def test_compiler_flags_join_those_of_the_user(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws", config='[build]\nrustflags = ["-Cdebuginfo=1"]\n')
    assert parse_arm("linker=mold", here).config[0].startswith("build.rustflags=")


def test_a_linker_that_the_environment_hides_is_refused(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws", environ={"RUSTFLAGS": "-Cdebuginfo=1"})
    with pytest.raises(ArgumentError, match="RUSTFLAGS"):
        parse_arm("linker=mold", here)


def test_the_environment_does_not_decide_what_the_arm_says(plain: Ground) -> None:
    assert parse_arm("incremental=false", plain).env == {"CARGO_INCREMENTAL": None}
    assert parse_arm("debug=0", plain).env == {}


def test_nightly_settings_bring_their_switch(tmp_path: Path) -> None:
    here = ground(tmp_path / "ws", nightly=True)
    assert "unstable.codegen-backend=true" in parse_arm("codegen-backend=cranelift", here).config
    assert parse_arm("-Zthreads=8", here).config == (f'target.{TRIPLE}.rustflags=["-Zthreads=8"]',)


@pytest.mark.parametrize("evil", ['x"\ny', "a\\b", "é]", "$(true)"])
def test_a_value_cannot_leave_its_quotes(plain: Ground, evil: str) -> None:
    import tomllib

    settings: dict[str, Any] = {f"package.{evil}.opt-level": 1}
    (line,) = settings_arm("evil", settings, plain).config
    assert tomllib.loads(line) == {"profile": {"dev": {"package": {evil.strip("\"'"): {"opt-level": 1}}}}}


def test_what_is_inherited_is_part_of_it(tmp_path: Path) -> None:
    here = ground(
        tmp_path / "ws",
        '[cargo.profile.base]\ninherits = "dev"\ndebug = 1\n[cargo.profile.top]\ninherits = "base"\nstrip = "symbols"\n',
    )
    assert profile_settings(here.profile, "top", here) == {"debug": 1, "strip": "symbols"}
