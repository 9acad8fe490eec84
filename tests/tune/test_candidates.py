"""What may be tried: what is legal here, and nothing that changes the program without a word."""

from __future__ import annotations

from typing import Any

import pytest

from buildopt.cargo.model import LinkerProbe, Toolchain
from buildopt.cargo.settings import settings
from buildopt.errors import ProfileError
from buildopt.profile.bench_tables import Tune
from buildopt.profile.model import Cargo, CargoProfile, Profile, Stage
from buildopt.tune.candidates import Candidates, Surroundings, choose_candidates, tuned_profile

STABLE = Toolchain("1.95.0", "1.95.0", "x86_64-unknown-linux-gnu", nightly=False)
NIGHTLY = STABLE._replace(cargo="1.97.0", rustc="1.97.0", nightly=True)
LINKERS = {
    "mold": LinkerProbe("mold", None, True, False, ("-Clink-arg=-fuse-ld=mold",), "found"),
    "lld": LinkerProbe("lld", None, False, False, (), "cc does not find it"),
    "rust-lld": LinkerProbe("rust-lld", None, True, True, (), "the default"),
}
EVERYTHING = ("debug", "package.*.debug", "strip", "opt-level", "package.*.opt-level", "panic", "debug-assertions",
              "overflow-checks", "codegen-backend")  # fmt: skip


def chosen(today: dict[str, Any] | None = None, *, toolchain: Toolchain = STABLE, sccache: bool = True,
           scenarios: tuple[str, ...] = ("clean/build", "leaf/build"), **tune: Any) -> Candidates:  # fmt: skip
    profile = Profile(version=1, tune=Tune(**tune))
    return choose_candidates(profile, today or {}, Surroundings(toolchain, LINKERS, 2, sccache, scenarios))


def names(found: Candidates) -> list[str]:
    return [each.name for each in found.chosen]


def test_what_changes_the_program_is_tried_only_where_the_profile_says_so():
    found = chosen()
    assert names(found) == [
        "build-override.opt-level=1", 'split-debuginfo="unpacked"', "incremental=false", "codegen-units=16", 'linker="mold"', "jobs=3",
    ]  # fmt: skip
    changing = {setting.key.rpartition(".")[2] for setting in settings() if setting.changes == "artifact"}
    free = {setting.key.rpartition(".")[2] for setting in settings() if setting.same_program} | {"linker", "jobs"}
    for each in found.chosen:
        assert each.key.startswith("build-override.") or each.key not in changing or each.key in free
    assert any("tune.may-change" in text and "debug, package.*.debug" in text for text in found.left_out)
    assert "debug=0" in names(chosen(may_change=("debug",)))


def test_large_effects_stand_apart():
    apart = {each.key for each in chosen(may_change=EVERYTHING).chosen if each.apart}
    assert apart == {"opt-level", "package.*.opt-level", "build-override.opt-level", "incremental"}


def test_what_holds_today_is_no_candidate_and_its_opposite_is():
    found = names(
        chosen({"opt-level": 1, "incremental": False, "codegen-units": 16, "linker": "mold"}, may_change=EVERYTHING)
    )
    assert {"opt-level=0", "incremental=true", "codegen-units=256"} <= set(found)
    assert not {"opt-level=1", "incremental=false", "codegen-units=16", 'linker="mold"'} & set(found)


@pytest.mark.parametrize(
    ("today", "tried"),
    [
        ({}, ['"line-tables-only"', "0"]),
        ({"debug": "line-tables-only"}, ["0"]),
        ({"debug": 0}, []),
        ({"debug": False}, []),
    ],
)
def test_only_levels_beyond_todays_are_tried(today, tried):
    found = [name for name in names(chosen(today, may_change=("debug",))) if name.startswith("debug=")]
    assert found == [f"debug={value}" for value in tried]


def test_nightly_settings_need_a_nightly_toolchain_and_are_only_advised():
    assert not any("codegen-backend" in name for name in names(chosen(may_change=EVERYTHING)))
    assert any("-Zthreads" in text for text in chosen().left_out)
    nightly = {each.name: each for each in chosen(toolchain=NIGHTLY, may_change=EVERYTHING).chosen}
    assert {'codegen-backend="cranelift"', "-Zthreads=8"} <= nightly.keys()
    assert not nightly["-Zthreads=8"].held
    assert nightly["-Zthreads=8"].apart
    assert nightly["-Zthreads=8"].parallel
    assert nightly["debug=0"].held


def test_a_compiler_cache_is_tried_with_and_without_incremental_where_builds_can_hit_it():
    with_cache = chosen(scenarios=("warm-cache/build", "leaf/build"))
    assert [name for name in names(with_cache) if "sccache" in name] == [
        'wrapper="sccache"',
        'wrapper="sccache"+incremental=false',
    ]
    assert not any("sccache" in name for name in names(chosen()))
    assert any(
        text.startswith("wrapper: sccache is not found")
        for text in chosen(sccache=False, scenarios=("warm-cache/build",)).left_out
    )


def test_named_candidates_are_all_that_is_tried():
    found = chosen(
        candidates=(
            "debug=0",
            "linker=mold",
            "linker=lld",
            "build-override.opt-level=3",
            "incremental=false+wrapper=sccache",
        )
    )
    assert names(found) == [
        "debug=0",
        'linker="mold"',
        "build-override.opt-level=3",
        'incremental=false+wrapper="sccache"',
    ]
    assert [each.apart for each in found.chosen] == [False, False, True, True]
    assert found.left_out == ('linker="lld" cannot be used here: cc does not find it',)


def test_what_cannot_be_read_is_named_with_its_place_and_a_suggestion():
    with pytest.raises(ProfileError) as caught:
        chosen(candidates=("debug", "debgu=0", "opt-level=1"))
    first, second = caught.value.problems
    assert (first.key, second.key) == ("tune.candidates[0]", "tune.candidates[1]")
    assert "debug" in str(second)


def profile(stage: str | None = None, **profiles: CargoProfile) -> Profile:
    return Profile(
        version=1, cargo=Cargo(profile={name.replace("_", "-"): value for name, value in profiles.items()}),
        stages={"quick": Stage(run=("check",), cargo_profile=stage)},
    )  # fmt: skip


def test_the_cargo_profile_of_the_first_stage_is_tuned():
    assert tuned_profile(profile("fast", fast=CargoProfile(inherits="dev"))) == "fast"
    assert tuned_profile(profile(fast=CargoProfile(inherits="dev"))) == "dev-fast"
    named = profile("fast", fast=CargoProfile(inherits="dev"), other=CargoProfile(inherits="fast"))
    assert tuned_profile(named.__class__(version=1, cargo=named.cargo, tune=Tune(cargo_profile="other"))) == "other"


def test_a_release_profile_is_not_tuned():
    with pytest.raises(ProfileError, match="no Cargo profile to tune"):
        tuned_profile(profile("ship", ship=CargoProfile(inherits="release")))


def test_every_value_that_the_table_offers_is_one_that_the_setting_takes_there():
    offered = [setting for setting in settings() if setting.tries]
    assert {setting.key for setting in offered} >= {
        "profile.*.debug",
        "profile.*.codegen-units",
        "profile.*.incremental",
    }
    for setting in offered:
        assert set(setting.tries) <= {"flag", *setting.places}, setting.key
        assert set(setting.apart) <= set(setting.tries), setting.key
        for values in setting.tries.values():
            assert not setting.values or all(value in setting.values for value in values), setting.key
        assert setting.in_dev is None or not setting.values or setting.in_dev in setting.values, setting.key
