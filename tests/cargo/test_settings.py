from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from buildopt.cargo import conflicts, find_setting, known_profile_keys, load_config, probe_toolchain, refused, settings
from buildopt.cargo.model import Toolchain
from buildopt.host import Host
from buildopt.profile.model import Cache, Cargo, CargoProfile, Profile

LINUX = "x86_64-unknown-linux-gnu"


def toolchain(version: str = "1.95.0", *, nightly: bool = False, host: str = LINUX) -> Toolchain:
    return Toolchain(version, version, host, nightly)


SETTINGS = {setting.key: setting for setting in settings()}


# --- the table ---


def test_every_entry_says_what_a_person_needs():
    assert len(SETTINGS) == len(settings()), "a key stands twice"
    for setting in settings():
        assert setting.effect.endswith((".", "!.")), setting.key
        assert setting.source.startswith("https://"), setting.key
        assert setting.default, setting.key
        gated = setting.since or setting.values_since or setting.channel == "nightly" or setting.hosts
        assert (setting.unmet is not None) == bool(gated), setting.key
        assert bool(setting.places) == (setting.kind == "profile"), setting.key
        assert set(setting.values_since) <= {*map(str, setting.values), "default", "negative"}, setting.key
        for other in setting.conflicts:
            assert find_setting(*other.split(".")) is not None, (setting.key, other)


def test_table_knows_every_key_of_a_cargo_profile():
    fields = {name.replace("_", "-") for name in CargoProfile.__dataclass_fields__} - {"build-override", "package"}
    assert fields <= known_profile_keys()
    for field in fields:
        annotation = str(CargoProfile.__dataclass_fields__[field.replace("-", "_")].type)
        declared = SETTINGS[f"profile.*.{field}"].values
        assert all(
            repr(value) in annotation or f'"{value}"' in annotation or isinstance(value, bool) for value in declared
        ), field


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (("profile", "dev-fast", "debug"), "profile.*.debug"),
        (("profile", "dev", "build-override", "opt-level"), "profile.*.opt-level"),
        (("profile", "dev", "package", "*", "opt-level"), "profile.*.opt-level"),
        (("profile", "dev", "package", "a@1.2.3", "opt-level"), "profile.*.opt-level"),
        (("target", LINUX, "rustflags"), "target.*.rustflags"),
        (("target", "cfg(unix)", "linker"), "target.*.linker"),
        (("build", "jobs"), "build.jobs"),
        (("build", "analysis", "enabled"), "build.analysis.enabled"),
        (("-Clink-arg=-fuse-ld=mold",), "-Clink-arg=-fuse-ld=mold"),
        (("RUSTFLAGS",), "RUSTFLAGS"),
    ],
)
def test_setting_is_found_by_its_parts(key, found):
    setting = find_setting(*key)
    assert setting is not None
    assert setting.key == found


@pytest.mark.parametrize("key", [(), ("profile",), ("profile", "dev", "nonsense"), ("a", "b", "c", "d"), ("",)])
def test_unknown_key_is_no_setting(key):
    assert find_setting(*key) is None


@pytest.mark.parametrize(
    ("key", "value", "tools", "words"),
    [
        ("build.warnings", "deny", toolchain("1.95.0"), "needs Cargo 1.97: this is 1.95.0, and ignores it without a word"),
        ("build.warnings", "deny", toolchain("1.97.0"), None),
        ("build.warnings", "deny", toolchain("1.100.0"), None),
        ("build.warnings", "no", toolchain("1.97.0"), 'takes "allow", "warn", "deny": found "no"'),
        ("include", None, toolchain("1.93.1"), "needs Cargo 1.94"),
        ("include", None, toolchain("1.94.0"), None),
        ("profile.*.debug", "line-tables-only", toolchain("1.70.0"), 'takes "line-tables-only" since Cargo 1.71'),
        ("profile.*.debug", 1, toolchain("1.70.0"), None),
        ("profile.*.debug", 3, toolchain(), "takes false, true, 0, 1, 2"),
        ("profile.*.opt-level", True, toolchain(), "found true"),
        ("profile.*.opt-level", "3", toolchain(), 'found "3"'),
        ("profile.*.codegen-backend", "cranelift", toolchain(), "needs a nightly toolchain"),
        ("profile.*.codegen-backend", "cranelift", toolchain(nightly=True), None),
        ("build.jobs", -1, toolchain("1.63.0"), "since Cargo 1.64"),
        ("build.jobs", "default", toolchain("1.71.0"), "since Cargo 1.72"),
        ("build.jobs", 4, toolchain("1.40.0"), None),
        ("-Clinker-features=-lld", None, toolchain(host="aarch64-unknown-linux-gnu"), "is for x86_64-unknown-linux-gnu"),
        ("-Clink-arg=-fuse-ld=mold", None, toolchain(host="aarch64-apple-darwin"), "this host is aarch64-apple-darwin"),
        ("-Clinker-features=-lld", None, toolchain("1.89.0"), "needs rustc 1.90"),
        ("unstable.no-embed-metadata", None, toolchain("1.99.0", nightly=True), "ended with Cargo 1.99"),
    ],
)  # fmt: skip
def test_refusal_follows_version_channel_host_and_value(key, value, tools, words):
    reason = refused(SETTINGS[key], tools, value)
    assert (reason is None) if words is None else (reason is not None and words in reason), reason


# --- the table against the real Cargo ---

SWITCHES = "[unstable]\n" + "".join(
    f"{one.switch} = true\n" for one in settings() if one.switch and one.kind == "profile"
)


@pytest.fixture(scope="session")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crate")
    (root / "src").mkdir()
    (root / ".cargo").mkdir()
    (root / "Cargo.toml").write_text('[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n')
    (root / "src/lib.rs").write_text("")
    return root


@pytest.fixture(scope="session")
def real(crate: Path) -> Toolchain:
    return probe_toolchain(Host(), crate, crate / "state")


def check(crate: Path, text: str, *arguments: str) -> tuple[str, str]:
    """Return how Cargo takes a configuration, and what it says."""
    tomllib.loads(text)
    (crate / ".cargo/config.toml").write_text(text)
    done = subprocess.run(["cargo", "check", *arguments], cwd=crate, capture_output=True, text=True, check=False)
    return "error" if done.returncode else "warning" if "warning" in done.stderr else "silence", done.stderr


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


SAMPLES: dict[str, object] = {"codegen-units": 4, "inherits": "dev", "trim-paths": "all", "rustflags": ["--cfg=x"]}


def samples(setting) -> list[object]:
    # cranelift is a component of its own, which a nightly need not have
    return [value for value in setting.values if value != "cranelift"] or [SAMPLES[setting.key.rpartition(".")[2]]]


@pytest.mark.parametrize("turn", range(10))
def test_cargo_takes_every_value_of_the_table(crate, real, turn, need):
    need("cargo")
    lines = []
    for setting in settings():
        values = samples(setting) if setting.kind == "profile" else []
        value = values[turn % len(values)] if values else None
        if value is not None and setting.key != "profile.*.inherits" and refused(setting, real, value) is None:
            lines.append(f"{setting.key.rpartition('.')[2]} = {toml(value)}")
    text = SWITCHES * real.nightly + "[profile.own]\ninherits = 'dev'\n" + "\n".join(lines)
    reaction, said = check(crate, text, "--profile", "own")
    assert reaction == "silence", said


@pytest.mark.parametrize("place", ["package.a", "build-override"])
@pytest.mark.parametrize("key", sorted(key for key in known_profile_keys() if key != "inherits"))
def test_cargo_takes_a_key_only_where_the_table_says(crate, real, key, place, need):
    need("cargo")
    setting = SETTINGS[f"profile.*.{key}"]
    if refused(setting, real) is not None:
        return
    reaction, said = check(
        crate, SWITCHES * real.nightly + f"[profile.dev.{place}]\n{key} = {toml(samples(setting)[0])}\n"
    )
    assert (reaction == "silence") == (place.partition(".")[0] in setting.places), said


REFUSABLE = {
    "profile.*.codegen-backend": '[profile.dev]\ncodegen-backend = "cranelift"',
    "profile.*.rustflags": '[profile.dev]\nrustflags = ["--cfg=x"]',
    "profile.*.trim-paths": '[profile.dev]\ntrim-paths = "all"',
    "profile.*.hint-mostly-unused": "[profile.dev]\nhint-mostly-unused = true",
    "build.warnings": '[build]\nwarnings = "allow"',
    "build.build-dir": '[build]\nbuild-dir = "other"',
    "resolver.feature-unification": '[resolver]\nfeature-unification = "workspace"',
    "build.analysis.enabled": "[build.analysis]\nenabled = true",
    "target-applies-to-host": "target-applies-to-host = false",
    "unstable.checksum-freshness": "[unstable]\nchecksum-freshness = true",
    "unstable.panic-abort-tests": "[unstable]\npanic-abort-tests = true",
    "unstable.gc": "[unstable]\ngc = true",
}


@pytest.mark.parametrize("key", REFUSABLE)
def test_cargo_reacts_as_the_table_says_to_what_it_does_not_honour(crate, real, tmp_path, key, need):
    need("cargo")
    if refused(SETTINGS[key], real) is None:
        return
    reaction, said = check(crate, REFUSABLE[key] + "\n", "--target-dir", str(tmp_path))  # it speaks when it compiles
    assert reaction == SETTINGS[key].unmet, said


# --- settings that fight ---


def found(
    tmp_path, text: str = "", profile: Profile | None = None, tools: Toolchain | None = None, **environ: str
) -> list[str]:
    (tmp_path / ".cargo").mkdir(exist_ok=True)
    (tmp_path / ".cargo/config.toml").write_text(text)
    host = Host({"CARGO_HOME": str(tmp_path / "home"), "PATH": os.defpath, **environ})
    manifest_profiles = ("dev",)
    all_of_them = conflicts(
        profile, load_config(host, tmp_path), tools or toolchain(), host.environ, manifest_profiles=manifest_profiles
    )
    for conflict in all_of_them:
        assert all(conflict), conflict
    return [conflict.what for conflict in all_of_them]


def cargo_profile(name: str = "dev", **keys: object) -> Profile:
    return Profile(version=1, cargo=Cargo(profile={name: CargoProfile(**keys)}))  # type: ignore[arg-type]


BUILD = '[build]\nrustflags = ["-Cbuild=1"]\n'
TARGET = f'[target.{LINUX}]\nrustflags = ["-Ctarget=1"]\n'
SCCACHE = Profile(version=1, cache=Cache(wrapper="sccache"))


def test_quiet_configuration_has_no_conflict(tmp_path):
    assert found(tmp_path, BUILD + "jobs = 2\n", cargo_profile(debug="line-tables-only")) == []


def test_rustflags_of_the_environment_hide_the_configured_ones(tmp_path):
    assert found(tmp_path, BUILD + TARGET, RUSTFLAGS="-Dwarnings") == [
        f"RUSTFLAGS hides target.{LINUX}.rustflags, build.rustflags"
    ]


def test_empty_rustflags_hide_the_configured_ones_too(tmp_path):
    assert found(tmp_path, BUILD, RUSTFLAGS="") == ["RUSTFLAGS hides build.rustflags"]


def test_rustflags_that_hide_nothing_are_no_conflict(tmp_path):
    assert found(tmp_path, "", RUSTFLAGS="-Dwarnings") == []


@pytest.mark.parametrize("table", [LINUX, "'cfg(unix)'", "'cfg(target_os = \"linux\")'", "'cfg(all())'"])
def test_target_flags_replace_build_flags(tmp_path, table):
    text = f'{BUILD}[target.{table}]\nrustflags = ["-Cx=1"]\n'
    assert found(tmp_path, text) == [f"target.{table}.rustflags hides build.rustflags"]


@pytest.mark.parametrize(
    "table",
    ["aarch64-apple-darwin", "'cfg(windows)'", "'cfg(target_os = \"macos\")'", "'cfg(target_arch = \"wasm32\")'"],
)
def test_flags_of_another_target_replace_nothing(tmp_path, table):
    assert found(tmp_path, f'{BUILD}[target.{table}]\nrustflags = ["-Cx=1"]\n') == []


def test_empty_target_flags_replace_nothing(tmp_path):
    assert found(tmp_path, f"{BUILD}[target.{LINUX}]\nrustflags = []\n") == []


@pytest.mark.parametrize("variable", ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"])
def test_incremental_variable_beside_sccache(tmp_path, variable):
    value = "1" if variable == "CARGO_INCREMENTAL" else "true"
    expected = [f"{variable}={value} beside sccache"]
    assert found(tmp_path, "", SCCACHE, **{variable: value}) == expected
    assert found(tmp_path, '[build]\nrustc-wrapper = "/opt/sccache"\n', **{variable: value}) == expected
    assert found(tmp_path, "", **{variable: value}) == []
    assert found(tmp_path, "", SCCACHE, **{variable: "0"}) == []


def test_two_wrappers(tmp_path):
    assert found(tmp_path, '[build]\nrustc-wrapper = "kache"\n', SCCACHE) == [
        "two compiler wrappers: kache and sccache"
    ]
    assert found(tmp_path, '[build]\nrustc-wrapper = "sccache"\n', SCCACHE) == []


def test_linker_key(tmp_path):
    assert found(tmp_path, f'[target.{LINUX}]\nlinker = "clang"\n') == [f"target.{LINUX}.linker = clang"]


def test_nightly_keys_on_stable(tmp_path):
    text = '[unstable]\ngc = true\nnew-thing = 1\n[build]\nwarnings = "deny"\n'
    what = [
        f"{key} is not honoured by this toolchain" for key in ("unstable.gc", "unstable.new-thing", "build.warnings")
    ]
    assert found(tmp_path, text) == what
    assert found(tmp_path, text, tools=toolchain("1.98.0", nightly=True)) == []


def test_profile_called_debug(tmp_path):
    assert found(tmp_path, "", cargo_profile("debug", inherits="dev")) == ["a Cargo profile called debug"]
    assert found(tmp_path, "", cargo_profile("debug", inherits="dev"), toolchain("1.99.0")) == []


def test_fast_profile_that_is_slow(tmp_path):
    assert found(tmp_path, "", cargo_profile("dev-fast", inherits="dev", opt_level=1)) == [
        "cargo.profile.dev-fast.opt-level = 1 in a profile called fast"
    ]
    assert found(tmp_path, "", cargo_profile("dev-fast", inherits="dev", opt_level=0)) == []
    assert found(tmp_path, "", cargo_profile("release-fast", inherits="release", opt_level=3)) == []


def test_build_override(tmp_path):
    assert found(tmp_path, "", cargo_profile(build_override=CargoProfile(opt_level=3))) == [
        "cargo.profile.dev.build-override.opt-level = 3"
    ]


def test_profile_that_is_said_twice(tmp_path):
    assert found(tmp_path, "[profile.dev]\ndebug = 1\n") == ["[profile.dev] is said twice"]


def test_file_without_suffix(tmp_path):
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config").write_text("")
    assert found(tmp_path, "") == [".cargo/config.toml is not read"]
