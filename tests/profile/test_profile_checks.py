from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from profile_texts import lines_of, load_text

from buildopt.profile.checks import _RESERVED_PROFILES
from buildopt.profile.storage import storage_problem


def one(text: str) -> str:
    (line,) = lines_of(f"version = 1\n{text}\n")
    return line.removeprefix("buildopt.toml: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stages.a]\nrun=['check']\nrequires=['b']\n[stages.bb]\nrun=['test']", 'stages.a.requires: no such stage: "b"'),
        ("[stages.a]\nrun=['check']\nrequires=['a']", "stages.a.requires: the stage requires itself: a → a"),
        ("[stages.a]\ntimeout='1m'", "stages.a.run: missing"),
        ("[stages.a]\nrun=[]", "stages.a.run: at least one step"),
        ("[stages.sync]\nrun=['check']", "stages.sync: sync is a session of buildopt already"),
        ("[stages.'a b']\nrun=['check']", 'stages."a b": "a b" is no name for a stage'),
        ("[stages.-a]\nrun=['check']", 'stages.-a: "-a" is no name'),
        ("[stages.a]\nrun=['check']\nfeatures=['--all']", 'stages.a.features: "--all" is no Cargo feature'),
        ("[stages.a]\nrun=['check']\ncargo-profile='--x'", 'stages.a.cargo-profile: "--x" is no name for a Cargo profile'),
        ("[tests.a]\npackages=['../x']", 'tests.a.packages: "../x" is no package'),
        ("[tests.a]\npackages=['-p']", 'tests.a.packages: "-p" is no package'),
        ("[tests.a]\nfilter='--exact'", "tests.a.filter"),
        ("[tests.a]\nfilter=' '", "tests.a.filter"),
        ("[features.'a b']\nx=[]", 'features."a b"'),
        ("[features.a]\n'x y'=[]", 'features.a."x y"'),
        ("[features.a]\nx=['dep:']", "features.a.x"),
        ("[features.a]\nx=['${{ secrets }}']", "features.a.x"),
        ("[cargo]\njobs=0", "cargo.jobs: 0 is no number of jobs"),
        ("[cargo.profile.debug]\ninherits='dev'", "the default development profile is named dev"),
        ("[cargo.profile.target]\ninherits='dev'", 'Cargo keeps the name "target"'),
        ("[cargo.profile.'../x']\ninherits='dev'", "is no name for a Cargo profile"),
        ("[cargo.profile.x]\ndebug=0", "cargo.profile.x.inherits: missing"),
        ("[cargo.profile.x]\ninherits='deev'", 'no such Cargo profile: "deev" (did you mean "dev"?)'),
        ("[cargo.profile.dev]\ninherits='release'", "Cargo does not let dev inherit"),
        ("[cargo.profile.x]\ninherits='x'", "inherits itself: x → x"),
        ("[cargo.profile.dev.package.'a b']\nopt-level=1", 'cargo.profile.dev.package."a b"'),
        ("[cargo.profile.dev.package.a]\nlto=true", "cargo.profile.dev.package.a.lto: not allowed here"),
        ("[cargo.profile.dev.package.a]\ninherits='dev'", "cargo.profile.dev.package.a.inherits: not allowed here"),
        ("[cargo.profile.dev.package.a.package.b]\ndebug=0", "cargo.profile.dev.package.a.package: not allowed here"),
        ("[cargo.profile.dev.build-override]\npanic='abort'", "build-override.panic: not allowed here"),
        ("[cargo.profile.dev]\ncodegen-units=0", "expected a whole number from 1 to"),
        ("[affected]\nbase='--upload-pack=x'", "affected.base"),
        ("[affected]\nbase='a..b'", "affected.base"),
        ("[affected.paths]\n'/etc/**'=[]", 'affected.paths."/etc/**": no path inside'),
        ("[affected.paths]\n'../x'=[]", 'affected.paths."../x": no path inside'),
        ("[affected.paths]\n'a'=['$(id)']", "affected.paths.a"),
        ("[cache]\ndirectory='../x'", "cache.directory"),
        ('[cache]\ndirectory="a\\nb"', "cache.directory: the text holds U+000A"),
        ('[ide]\nfeatures=["a\\u202eb"]', "ide.features"),
        ("[stages]\n\"a\\u0000\" = {run=['check']}", "the key holds U+0000"),
        ("[budgets]\nclean-build='0s'", "expected a duration"),
    ],
)  # fmt: skip
def test_what_types_cannot_say_is_said(text: str, said: str) -> None:
    lines = lines_of(f"version = 1\n{text}\n")
    assert any(said in line for line in lines), lines
    assert len(lines) <= 2


def test_all_problems_of_all_layers_come_at_once() -> None:
    lines = lines_of(
        "version = 1\nextends = ['a.toml', '/nope']\ncach = 1\n[stages.a]\nrun = []\n[cache]\nwrapper = 3\n",
        files={"a.toml": "version = 1\n[budgets]\nclean-build = 'soon'\n"},
        environ={"BUILDOPT_X": "1"},
        call=["y=1"],
    )
    assert sorted(line.partition(": ")[0] for line in lines) == [
        "--set", "BUILDOPT_X", "a.toml", *["buildopt.toml"] * 4
    ]  # fmt: skip


def test_what_an_unread_file_may_have_is_not_said_to_be_missing() -> None:
    text = "extends = ['zn']\n[stages.core]\ntimeout = '1m'\nrequires = ['quick-check']\ncargo-profile = 'dev-fast'"
    assert one(text).startswith('extends: no such preset: "zn"')


def test_a_circle_of_stages_is_printed_as_a_chain() -> None:
    stages = "".join(f"[stages.{a}]\nrun=['check']\nrequires=['{b}']\n" for a, b in ("ab", "bc", "cb"))
    assert one(stages).startswith("stages.b.requires: the stage requires itself: b → c → b")


def test_a_graph_of_many_paths_is_checked_quickly() -> None:
    """Each layer requires both of the layer before: as many paths as there are subsets of layers."""
    layers = "".join(
        f"[stages.{side}{n}]\nrun=['check']\nrequires={[f'{s}{n - 1}' for s in 'lr'] if n else []}\n"
        for n in range(60)
        for side in "lr"
    )
    assert len(load_text(f"version = 1\n{layers}").profile.stages) == 120


@pytest.mark.parametrize(
    "storage",
    [
        "local", "gha", "redis://cache:6379", "rediss://cache.example:6380/1", "redis://[::1]:6379", "memcached://h:11211",
        "s3://bucket/prefix?region=eu-central-1&endpoint=https://minio", "webdav+https://host/path",
    ],
)  # fmt: skip
def test_a_storage_of_a_known_kind_is_accepted(storage: str) -> None:
    assert storage_problem(storage) is None


@pytest.mark.parametrize(
    "storage",
    [
        "redis://user:hunter2@cache", "redis://:hunter2@cache:6379", "s3://bucket?secret_access_key=hunter2",
        "s3://bucket?X-Amz-Signature=hunter2", "s3://bucket/a?region=eu&token=hunter2", "ftp://hunter2", "redis://", "redis://h:99999",
        "redis://h:hunter2", "hunter2", "redis:/hunter2", "s3://hunter2;rm -rf", "s3://b/../hunter2", "s3://b/$(hunter2)", "",
        "redis://h/`hunter2`", "webdav+https://h/${{ hunter2 }}", "file:///hunter2", "redis://hunter2#x", "postgres://hunter2",
    ],
)  # fmt: skip
def test_a_storage_with_a_credential_or_of_no_known_kind_is_refused_without_being_repeated(storage: str) -> None:
    line = one(f"[cache]\nstorage = '{storage}'")
    assert line.startswith("cache.storage: ")
    assert "hunter2" not in line


def test_a_value_of_the_wrong_type_is_shown_without_its_secrets() -> None:
    line = one("[cache]\nstorage = ['redis://:hunter2@cache', 'a:hunter2@b']")
    assert "hunter2" not in line


def test_names_that_cargo_refuses_are_those_that_we_refuse(tmp_path: Path, need: Callable[[str], Path]) -> None:
    """Ask the Cargo of this machine, in Cargo.toml, where it checks names."""
    cargo = need("cargo")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").write_text("")
    manifest = '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n'
    refused = {*_RESERVED_PROFILES, "cargo-x"} - {"debug"}  # which Cargo 1.99 has built in, and older ones refuse
    accepted = {"dev-fast", "ci", "release_small", "x1", "doc2", "clippy", "fuzz"}
    for name in refused | accepted:
        (tmp_path / "Cargo.toml").write_text(f'{manifest}[profile.{name}]\ninherits = "dev"\n')
        done = subprocess.run(
            [cargo, "metadata", "--no-deps", "--offline", "--format-version=1"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert (done.returncode == 0) == (name in accepted), (name, done.stderr)
