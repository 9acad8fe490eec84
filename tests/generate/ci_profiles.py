"""Profiles with CI in them: a few by hand, and any number made by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generate_inputs import made_workspace
from hypothesis import assume
from hypothesis import strategies as st

from buildopt.cargo.model import Workspace
from buildopt.generate.ci.github import render as render_github
from buildopt.generate.ci.gitlab import render as render_gitlab
from buildopt.generate.ci.lanes import Pipeline, lanes
from buildopt.generate.ci.pins import shipped_pins
from buildopt.profile.checks import check_profile
from buildopt.profile.model import Cache, Cargo, Ci, GitHub, GitLab, Incremental, Profile, Requires, Stage, TestGroup

IMAGE = "rust:1.95-bookworm"
QUICK = Stage(run=("check", "clippy"), scope="affected", cargo_profile="dev-fast", timeout=120.0)
CORE = Stage(run=("build", "test"), requires=("quick-check",), scope="affected", cargo_profile="dev-fast")
FULL = Stage(run=("fmt", "build", "test", "doc"), requires=("core",), cargo_profile="dev-fast")
STAGES = {"quick-check": QUICK, "core": CORE, "full": FULL}
GROUPS = {
    "fast": TestGroup(packages=("a",), timeout=30.0),
    "all": TestGroup(shards=2, timeout="auto"),
    "release": TestGroup(packages=("b*",), cargo_profile="release"),
}
HOSTS = {"github": GitHub(platforms=("macos-15",)), "gitlab": GitLab(image=IMAGE, tags=("docker", "large"))}
SCCACHE = {kind: Cache(wrapper="sccache", storage=text) for kind, text in (
    ("local", "local"), ("gha", "gha"), ("redis", "redis://cache.example:6379"), ("s3", "s3://bucket/prefix?region=eu-1"),
    ("memcached", "memcached://cache.example:11211"), ("webdav", "webdav+https://cache.example/path"),
)}  # fmt: skip


def workspace(*rust_versions: str | None) -> Workspace:
    """Return a workspace with a package for each version that one declares."""
    names = [f"p{number}" for number in range(len(rust_versions) or 1)]
    made = made_workspace({f"{name}/Cargo.toml": f'[package]\nname = "{name}"\nversion = "0.1.0"\n' for name in names})
    packages = zip(made.packages, rust_versions or ("1.85",), strict=True)
    return made._replace(packages=tuple(package._replace(rust_version=version) for package, version in packages))


def profile(*, stages: Mapping[str, Stage] = STAGES, tests: Mapping[str, TestGroup] = GROUPS, **ci: Any) -> Profile:
    """Return a profile with lanes of every kind; `cargo_table`, `compiler_cache` and `requires` stand beside `ci`."""
    beside = {"cargo": ci.pop("cargo_table", None), "cache": ci.pop("compiler_cache", None)}
    requires = ci.pop("requires", Requires())
    values = {"msrv": True, "minimal_versions": True, **HOSTS, **ci}
    return Profile(version=1, stages=stages, tests=tests, requires=requires, ci=Ci(**values), **beside)


def pipeline(of: Profile, *rust_versions: str | None) -> Pipeline:
    return lanes(of, workspace(*rust_versions))


def github(of: Profile) -> str:
    assert of.ci is not None
    return render_github(of.ci.github or GitHub(), pipeline(of), shipped_pins())


def gitlab(of: Profile) -> str:
    assert of.ci is not None
    return render_gitlab(of.ci.gitlab or GitLab(image=IMAGE), pipeline(of), shipped_pins())


# Words that YAML reads as something else, and names that are as long or as odd as they may be.
ODD_NAMES = (
    "on",
    "Yes",
    "null",
    "true",
    "y",
    "N",
    "e1",
    "nan",
    "x-" * 31,
    "a_b-c",
    "plan",
    "drift",
    "required",
    "msrv",
)
names = st.sampled_from(ODD_NAMES) | st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True)
cargo_profiles = st.none() | st.sampled_from(("dev", "test", "bench", "release", "0day", "_x", "dev-fast"))
timeouts = st.none() | st.just("auto") | st.floats(0.5, 90_000)
branches = st.sampled_from(("main", "master", "release/1.x", "0", "_", "true", "1.95")) | st.from_regex(
    r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,40}", fullmatch=True
)
installs = st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 @:/._+=<>!~,\[\]#&%-]{0,60}", fullmatch=True)
runners = st.sampled_from(("ubuntu-24.04", "macos-15", "macos-15-intel", "self.hosted_1", "24.04", "on"))


@st.composite
def made_stages(draw: st.DrawFn) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name in draw(st.lists(names, max_size=4, unique_by=str.lower)):
        run = draw(
            st.lists(st.sampled_from(("fmt", "check", "clippy", "build", "test", "doc")), min_size=1, max_size=4)
        )
        required = draw(st.lists(st.sampled_from(list(stages)), unique=True)) if stages else []
        stages[name] = Stage(
            run=tuple(run),
            requires=tuple(required),
            scope=draw(st.sampled_from(("affected", "workspace"))),
            cargo_profile=draw(cargo_profiles),
            timeout=draw(timeouts),
        )
    return stages


@st.composite
def made_groups(draw: st.DrawFn, splits: bool) -> dict[str, TestGroup]:
    return {
        name: TestGroup(
            packages=tuple(draw(st.lists(st.sampled_from(("a", "b*", "[cd]")), max_size=2))),
            cargo_profile=draw(cargo_profiles),
            timeout=draw(timeouts),
            shards=draw(st.sampled_from((1, 1, 2, 64))) if splits else 1,
        )
        for name in draw(st.lists(names, max_size=4, unique_by=str.lower))
    }


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Return a profile that loads and that CI can be made of."""
    stages = draw(made_stages())
    runner = draw(st.sampled_from(("auto", "nextest", "cargo")))
    kept = draw(st.sampled_from(("dependencies", "workspace", "sccache", "none")))
    ci = Ci(
        github=GitHub(runner="ubuntu-22.04", platforms=tuple(draw(st.lists(runners, unique=True))) if stages else ()),
        gitlab=GitLab(
            image=IMAGE, tags=tuple(draw(st.lists(st.sampled_from(("docker", "1", "on", "a:b/c")), unique=True)))
        ),
        branch=draw(branches),
        stages=tuple(draw(st.lists(st.sampled_from(list(stages)), unique=True))) if stages else (),
        cache=kept,
        msrv=bool(stages) and draw(st.booleans()),
        minimal_versions=bool(stages) and draw(st.booleans()),
        install=draw(installs),
    )
    caches = st.sampled_from(list(SCCACHE.values()))
    made = Profile(
        version=1,
        stages=stages,
        tests=draw(made_groups(runner != "cargo")),
        cargo=Cargo(test_runner=runner),
        cache=draw(caches if kept == "sccache" else st.none() | caches),
        incremental=draw(st.none() | st.builds(Incremental, ci=st.booleans())),
        requires=Requires(cargo=draw(st.none() | st.just(">=1.85")), buildopt=draw(st.none() | st.just(">=0.1, <2"))),
        ci=ci,
    )
    assume(not list(check_profile(made)))
    return made
