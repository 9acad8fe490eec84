"""Cargo's reasons are grouped by what a person can do about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from buildopt.cargo.stderr import StderrReader
from buildopt.host import Command, Host
from buildopt.record import UnitRow
from buildopt.report.reasons import RebuildGroup, advice_for, cause_of, group_rebuilds


def unit(package: str, reason: str | None, seconds: float | None = 1.0, *, fresh: bool = False) -> UnitRow:
    return UnitRow(package, "0.1.0", "lib", "check", fresh, reason, duration_seconds=seconds)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("the file `core/src/lib.rs` has changed (1750000000.1s, 2s after last build at 1750000000.0s)", "edited"),
        ("the file `src/a (1).rs` is missing", "edited"),
        ("the dependency `core` was rebuilt", "depends on core"),
        ("the dependency `serde_json` was rebuilt (1s, 2s after)", "depends on serde_json"),
        ("the env variable OPENSSL_DIR changed", "environment variable OPENSSL_DIR"),
        ("the environment variable `CC` changed", "environment variable CC"),
        ("the toolchain changed", "toolchain changed"),
        ("the rustflags changed", "compiler flags changed"),
        ("the list of features changed", "features changed"),
        ("the list of declared features changed", "features changed"),
        ("the profile configuration changed", "Cargo profile changed"),
        ("the config settings changed", "configuration changed"),
        ("the number of dependencies changed", "dependencies changed"),
        ("the path to the source changed", "source was moved"),
        ("the rerun-if-changed instructions changed", "build script instructions changed"),
        ("forced", "forced"),
        ("something that only a later Cargo says (with detail)", "something that only a later Cargo says"),
        ("", "not built before with these settings"),
        (None, "not built before with these settings"),
    ],
)
def test_each_reason_has_a_cause(reason: str | None, cause: str) -> None:
    assert cause_of(reason) == cause


def test_edits_come_first_then_what_took_longest() -> None:
    groups = group_rebuilds(
        [
            unit("api", "the dependency `core` was rebuilt", 3.0),
            unit("app", "the dependency `core` was rebuilt", 4.0),
            unit("core", "the file `core/src/lib.rs` has changed", 1.0),
            unit("core", "the file `core/src/main.rs` has changed", None),
            unit("ring", "the env variable CC changed", 60.0),
            unit("serde", None, 9.0, fresh=True),
        ]
    )
    assert groups == (
        RebuildGroup("edited", ("core",), 2, 1.0),
        RebuildGroup("environment variable CC", ("ring",), 1, 60.0),
        RebuildGroup("depends on core", ("api", "app"), 2, 7.0),
    )


def test_advice_is_given_for_what_is_not_an_edit() -> None:
    groups = group_rebuilds(
        [unit("ring", "the env variable CC changed"), unit("core", "the file `x` has changed", 9.0)]
    )
    assert "environment variable CC" in (advice_for(groups) or "")
    assert advice_for(group_rebuilds([unit("core", "the file `x` has changed")])) is None
    assert advice_for(()) is None


def test_the_reasons_that_cargo_really_gives_are_understood(
    host: Host, three_packages: Path, need: Callable[[str], Path]
) -> None:
    need("cargo")
    build_script = 'fn main() { println!("cargo:rerun-if-env-changed=SPELL"); }'
    (three_packages / "base" / "build.rs").write_text(build_script)

    def causes(**env: str) -> dict[str, str]:
        reader = StderrReader(three_packages)
        command = Command(("cargo", "check", "--workspace", "--offline", "-v"), three_packages, env=env)
        host.run(command, on_stderr=reader.feed)
        reader.flush()
        return {name: cause_of(reason) for (name, _), reason in reader.reasons.items()}

    assert set(causes().values()) <= {"not built before with these settings"}
    lib = three_packages / "api" / "src" / "lib.rs"
    lib.write_text(lib.read_text() + "pub fn more() {}\n")
    assert causes() == {"api": "edited", "app": "depends on api"}
    assert causes(SPELL="abracadabra")["base"] == "environment variable SPELL"
    manifest = three_packages / "app" / "Cargo.toml"
    manifest.write_text(manifest.read_text() + "\n[features]\nnew = []\n")
    assert causes(SPELL="abracadabra") == {"app": "features changed"}
