from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from profile_texts import load_text

from buildopt.errors import ProfileError
from buildopt.profile import enforce, preset_names, read_preset
from buildopt.profile.documents import parse
from buildopt.profile.reader import read_document

NAMES = preset_names()


def alone(name: str, **how: Any) -> Any:
    return load_text(f'version = 1\nextends = ["{name}"]\n', **how)


def test_the_promised_presets_are_there() -> None:
    assert {"ci", "debuggable", "dev-fast", "release-fast", "release-small", "zen"} <= set(NAMES)


@pytest.mark.parametrize("ci", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_preset_loads_alone(name: str, ci: bool) -> None:
    loaded = alone(name, ci=ci)
    enforce(loaded)
    assert not loaded.warnings


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_opens_with_what_it_is_for(name: str) -> None:
    text = read_preset(name).decode()
    head = text.partition("version = 1")[0]
    assert head.startswith(f"# {name}: ")
    for word in ("# Intent ", "# Trade-off ", "# Source"):
        assert word in head
    assert all(line.startswith("#") for line in head.splitlines())
    assert max(len(line) for line in text.splitlines()) <= 140
    assert not read_document(parse(text.encode(), name), name).problems


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_preset_can_be_overridden_in_the_file(name: str) -> None:
    other = {bool: lambda v: not v, int: lambda _: 2, str: lambda v: v, list: lambda v: v}
    for key, origin in alone(name).origins.items():
        if origin.layer != "preset":
            continue
        value = alone(name).given[key][-1].value
        new = other[type(value)](value)
        text = repr(new).lower() if isinstance(new, bool) else repr(new)
        loaded = load_text(f'version = 1\nextends = ["{name}"]\n{key} = {text}\n')
        assert loaded.origins[key] == ("file", "buildopt.toml")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_preset_says(name: str, snapshot: Any) -> None:
    assert {key: given[-1].value for key, given in alone(name).given.items()} == snapshot


def test_dev_fast_has_no_line_that_measured_slower() -> None:
    (profile,) = alone("dev-fast").profile.cargo.profile.values()
    assert profile.inherits == "dev"
    assert profile.debug == "line-tables-only"
    assert profile.opt_level is profile.codegen_units is profile.strip is profile.build_override is None
    assert alone("dev-fast").profile.incremental.local
    assert alone("dev-fast").profile.cache is None


def test_zen_is_the_strategy_that_the_project_started_from() -> None:
    profile = alone("zen").profile
    fast = profile.cargo.profile["dev-fast"]
    assert (fast.opt_level, fast.debug, fast.codegen_units, fast.incremental) == (1, 1, 256, True)
    assert set(profile.features["*"]) >= {"basic", "gpu", "dataframes", "vulkano", "full", "development", "default"}
    assert profile.features["*"]["gpu"] == ("dep:wgpu", "dep:vulkano")
    assert [stage.timeout for stage in profile.stages.values()] == [120, 300, 900]
    assert [group.timeout for group in profile.tests.values()] == [30, 120, 300]
    assert list(profile.tests) == ["core", "gpu", "ml"]
    budgets = profile.budgets
    assert (budgets.clean_build, budgets.incremental_build, budgets.test_suite, budgets.ci_pipeline) == (
        30,
        10,
        300,
        480,
    )
    assert profile.stages["full"].features == "all"
    assert (profile.stages["quick-check"].features, profile.stages["quick-check"].scope) == (
        ("development",),
        "affected",
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_names_no_package_that_a_workspace_may_not_have(name: str) -> None:
    profile = alone(name).profile
    assert all("*" in glob for group in profile.tests.values() for glob in group.packages)
    assert set(profile.features) <= {"*"}
    assert not profile.cargo or all(set(settings.package) <= {"*"} for settings in profile.cargo.profile.values())


def test_ci_turns_the_cache_on_in_ci_only() -> None:
    assert alone("ci", ci=True).profile.cache.wrapper == "sccache"
    assert alone("ci", ci=False).profile.cache is None


def test_presets_combine() -> None:
    everything = ", ".join(f'"{name}"' for name in NAMES)
    load_text(f"version = 1\nextends = [{everything}]\n")


@pytest.mark.parametrize("name", ["../pyproject", "", "dev-fast.toml", "/etc/passwd", "DEV-FAST", "\0"])
def test_only_a_name_that_is_listed_is_read(name: str) -> None:
    with pytest.raises(ProfileError):
        read_preset(name)


def test_cargo_accepts_every_cargo_profile_of_the_presets(tmp_path: Path, need: Callable[[str], Path]) -> None:
    cargo = need("cargo")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").write_text("")
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n')
    for name in NAMES:
        cargo_table = alone(name).profile.cargo
        for profile, settings in (cargo_table.profile if cargo_table else {}).items():
            lines = [
                f"profile.{profile}.{key.replace('_', '-')}={str(value).lower() if isinstance(value, (bool, int)) else repr(value)}"
                for key, value in vars(settings).items()
                if value not in (None, {})
            ]
            arguments = [part for line in lines for part in ("--config", line)]
            done = subprocess.run(
                [cargo, "check", "--offline", "--quiet", "--profile", profile, *arguments],
                cwd=tmp_path, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, ""), lines
