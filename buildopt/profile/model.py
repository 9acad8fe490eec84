"""The profile as types: one declaration that yields the parser, the JSON Schema and the reference page.

The text under each field is its documentation. Durations are seconds, sizes are bytes; people write `"2m"` and `"10GiB"`.
A field `opt_level` is the key `opt-level`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from buildopt.profile.bench_tables import Bench, Tune
from buildopt.profile.table import Duration, Size, Specifier, Table, Within, Without, table

__all__ = [
    "Affected", "Bench", "Budgets", "Cache", "Cargo", "CargoProfile", "Ci", "Condition", "Docker", "Duration", "GitHub", "GitLab", "Ide",
    "Incremental", "Linker", "Override", "Profile", "Record", "Requires", "Size", "Specifier", "Stage", "Step", "TestGroup",
    "Timeout", "Tune", "Watch",
]  # fmt: skip


Timeout = Duration | Literal["auto"]
Step = Literal["fmt", "check", "clippy", "build", "test", "doc"]
PackageSettings = Annotated[
    "CargoProfile",
    Without(
        ("inherits", "lto", "panic", "rpath", "build-override", "package"),
        "Cargo takes this key only for a whole Cargo profile, not for single packages or build scripts",
    ),
]
PartOfProfile = Annotated[
    Mapping[str, Any],
    Without(("version", "extends", "override"), "this key stands only at the top level of a file"),
]


@table
class Requires(Table):
    """Versions that must be there before anything runs, as packaging specifiers (`">=1.85"`)."""

    buildopt: Specifier | None = None
    """buildopt itself."""
    cargo: Specifier | None = None
    """Cargo, as `cargo --version` says."""
    rustc: Specifier | None = None
    """The compiler, as `rustc --version` says."""
    sccache: Specifier | None = None
    """The compiler cache; checked only while `cache.wrapper` names it."""
    nextest: Specifier | None = None
    """cargo-nextest."""
    nox: Specifier | None = None
    """nox."""
    python: Specifier | None = None
    """The Python that runs buildopt."""


@table
class CargoProfile(Table):
    """One Cargo profile: any key that Cargo's `[profile.*]` takes, under any name."""

    inherits: str | None = None
    """Cargo profile whose settings this one starts from; needed for a name that is not built in."""
    opt_level: Literal[0, 1, 2, 3, "s", "z"] | None = None
    """How hard the compiler optimizes."""
    debug: bool | Literal[0, 1, 2, "none", "line-directives-only", "line-tables-only", "limited", "full"] | None = None
    """How much debug information is written."""
    split_debuginfo: Literal["off", "packed", "unpacked"] | None = None
    """Where debug information is written."""
    strip: bool | Literal["none", "debuginfo", "symbols"] | None = None
    """What is removed from the binary after linking."""
    debug_assertions: bool | None = None
    """Whether `debug_assert!` is checked."""
    overflow_checks: bool | None = None
    """Whether integer overflow panics."""
    lto: bool | Literal["off", "thin", "fat"] | None = None
    """Link-time optimization."""
    panic: Literal["unwind", "abort"] | None = None
    """What a panic does."""
    incremental: bool | None = None
    """Whether the compiler keeps incremental state; `[incremental]` is the usual place to say so."""
    codegen_units: Annotated[int, Within(1, 2**32 - 1)] | None = None
    """How many parts a crate is split into for code generation."""
    rpath: bool | None = None
    """Whether rpath is set."""
    build_override: PackageSettings | None = None
    """Settings for build scripts, procedural macros and what they depend on."""
    package: Mapping[str, PackageSettings] = field(default_factory=dict)
    """Settings for single packages, by name; `"*"` means every package that is not a workspace member."""


@table
class Linker(Table):
    """Which linker is used. It is written as a rustflag: Cargo's `linker` key rebuilds every crate both ways."""

    prefer: tuple[Literal["mold", "lld", "rust-lld", "wild", "default"], ...] = ()
    """Linkers in order of preference: the first that this host really has is used."""


@table
class Cargo(Table):
    """What Cargo is told."""

    profile: Mapping[str, CargoProfile] = field(default_factory=dict)
    """Cargo profiles, by name."""
    linker: Linker | None = None
    """Which linker is used on this host."""
    jobs: Annotated[int, Within(-1024, 1024)] | None = None
    """Parallel rustc processes on this host; a negative number counts down from the number of processors."""
    memory_per_job: Size | None = None
    """Fewer jobs are run when this host has less memory than this for each of them."""
    test_runner: Literal["auto", "nextest", "cargo"] = "auto"
    """What runs tests: `auto` is cargo-nextest where it is there and `cargo test` where not. Some tests share files or ports
    and pass only under `cargo test`, which runs those of one binary in one process."""


@table
class Cache(Table):
    """The compiler cache."""

    wrapper: Literal["none", "sccache"] = "none"
    """Which wrapper is put before rustc while buildopt runs Cargo; a plain `cargo build` is never touched."""
    storage: str = "local"
    """Where compiled units are kept: `local`, `redis://host:port`, `s3://bucket/prefix?region=…`, `memcached://host:port`,
    `gha` or `webdav+https://host/path`. Credentials never stand here: sccache takes them from the environment."""
    size: Size | None = None
    """How large the local storage may grow."""
    directory: str | None = None
    """Folder of the local storage; sccache's own default when absent. `~` is the home folder."""


@table
class Incremental(Table):
    """Whether rustc keeps incremental state, by where the build runs."""

    local: bool = True
    """On a developer's machine."""
    ci: bool = False
    """In a CI job (the environment variable `CI` is set)."""


@table
class Stage(Table):
    """One stage of the pipeline: steps in order, with what they cover and what they may cost."""

    run: tuple[Step, ...]
    """Steps, in order. `check` before `clippy` is done once, by clippy, which reports what check reports; `build` before `test`
    is done by the test where there are libraries only, which it compiles anyhow."""
    requires: tuple[str, ...] = ()
    """Stages that must have passed before."""
    features: Literal["default", "all", "none"] | tuple[str, ...] = "default"
    """Cargo features: those listed are added to the default ones, in each package that has them."""
    scope: Literal["affected", "workspace"] = "workspace"
    """`affected`: packages changed since the merge base and in the work tree, and what depends on them."""
    cargo_profile: str | None = None
    """Cargo profile to build with; Cargo's own choice when absent."""
    all_targets: bool = False
    """Whether check, clippy and build also cover tests, benches and examples."""
    doc_tests: bool = True
    """Whether `test` also runs the examples of the documentation, each of which is compiled and linked by itself. Where that is
    most of what an edit costs, a stage that runs less often can have them. Without them, and without `build` and examples, a
    library that no other test links is not compiled."""
    timeout: Timeout | None = None
    """When the stage is killed, with every process it started. `auto` is three times the 95th percentile of what the record
    knows of it on machines of this class, at least one minute and at most an hour."""
    budget: Duration | None = None
    """What the stage should cost in wall time; going over is reported."""


@table
class TestGroup(Table):
    """A group of tests that `dev-test` can be asked for by name, and that CI gives a lane."""

    packages: tuple[str, ...] = ()
    """Packages, by name or glob; all members when empty."""
    filter: str | None = None
    """Only tests whose name contains this text."""
    features: Literal["default", "all", "none"] | tuple[str, ...] = "default"
    """Cargo features, as in a stage."""
    cargo_profile: str | None = None
    """Cargo profile to build with; Cargo's own choice when absent."""
    timeout: Timeout | None = None
    """When the group is killed, with every process it started; `auto` as in a stage."""
    budget: Duration | None = None
    """What the group should cost in wall time."""
    shards: Annotated[int, Within(1, 64)] = 1
    """Over how many CI jobs the tests are split, by how long each took before. It needs cargo-nextest."""


@table
class Budgets(Table):
    """What whole scenarios should cost in wall time."""

    clean_build: Duration | None = None
    """A build with an empty target directory."""
    incremental_build: Duration | None = None
    """A build after a small edit."""
    test_suite: Duration | None = None
    """All tests."""
    ci_pipeline: Duration | None = None
    """The CI pipeline from start to end."""
    enforce: bool = False
    """Whether a stage over its budget fails (exit code 1); otherwise it is only said."""
    scenarios: Mapping[str, Duration] = field(default_factory=dict)
    """By scenario (as in `bench.scenarios`), what it should cost; `gate` holds it."""
    target_size: Size | None = None
    """How large the target directory of a clean build may be; `gate` holds it."""
    artifacts: Mapping[str, Size] = field(default_factory=dict)
    """By file, relative to the target directory and with globs (`wasm32-unknown-unknown/release/*.wasm`), how large it may be;
    `gate` holds it."""
    crates: Annotated[int, Within(1, 100_000)] | None = None
    """How many packages a build of the workspace may consist of, its own and those of others; `gate` holds it."""
    critical: Annotated[int, Within(100, 10_000)] = 125
    """From how many percent of a budget on `gate` fails; up to there it warns."""


@table
class Affected(Table):
    """How changed files are mapped to packages."""

    base: str | None = None
    """Branch or revision that changes are counted from; the default branch of `origin` when absent."""
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Files by glob, relative to the workspace root, and the packages that a change in them affects; an empty list means none."""


@table
class Ide(Table):
    """What rust-analyzer is told, in `.vscode/settings.json`."""

    features: Literal["default", "all", "none"] | tuple[str, ...] = "default"
    """Cargo features that the editor analyses with."""
    check: Literal["check", "clippy"] = "check"
    """Command that the editor runs on save."""
    build_directory: Literal["own", "shared"] = "own"
    """`own`: the editor builds in a directory of its own, so that editor and terminal never wait for each other's lock."""


@table
class Watch(Table):
    """What `watch` does after an edit. Without this table it does what the defaults say."""

    stages: tuple[str, ...] = ()
    """Stages that an edit starts, each after those that it requires; when empty, all stages of the profile, in its order."""
    quiet: Mapping[str, Duration] = field(default_factory=dict)
    """By stage: how long no edit may have come before it starts. Where nothing is said, the first starts at once, the second
    after one second, and each further one after ten."""
    clear: bool = True
    """Whether the terminal is cleared and shows one status above the diagnostics; otherwise lines follow each other."""
    notify: tuple[Literal["failure", "recovery"], ...] = ()
    """When the desktop is told: `failure` when a stage fails that had not, `recovery` when all pass again."""
    locations: str | None = None
    """File in the workspace that lists where errors and warnings are, one a line, for editors; bacon's is `.bacon-locations`.
    `.buildopt/locations` when absent."""
    poll: Duration | None = None
    """Look for edits this often instead of being told by the system: network file systems tell nothing."""


@table
class GitHub(Table):
    """A workflow for GitHub Actions, in `.github/workflows/buildopt.yml`."""

    runner: str = "ubuntu-24.04"
    """Image that jobs run on; a name that moves, such as `ubuntu-latest`, is refused: it would change cache keys by itself."""
    platforms: tuple[str, ...] = ()
    """More images; each gets a lane that runs the last of the stages for the whole workspace."""


@table
class GitLab(Table):
    """Jobs for GitLab CI, in `.gitlab/buildopt.yml`; your own `.gitlab-ci.yml` includes it by one line."""

    image: str
    """Container image that jobs run in, with a tag or, better, a digest (`rust:1.95-bookworm@sha256:…`). It has rustup, git, and
    Python 3.11 or later."""
    tags: tuple[str, ...] = ()
    """Tags that a runner must have; any runner when empty."""


@table
class Ci(Table):
    """Lanes of CI: the stages and test groups of this profile as jobs. `[ci.github]` and `[ci.gitlab]` say for which host."""

    github: GitHub | None = None
    """A workflow for GitHub Actions."""
    gitlab: GitLab | None = None
    """Jobs for GitLab CI."""
    branch: str = "main"
    """Branch that changes are merged into: what is pushed to it writes the caches, and nothing else does."""
    stages: tuple[str, ...] = ()
    """Stages that become jobs; all when empty."""
    cache: Literal["dependencies", "workspace", "sccache", "none"] = "dependencies"
    """What is kept between jobs: compiled `dependencies`; all of the target directory, the crates of the `workspace` with it,
    made valid again by content (`buildopt cache restore`); what `sccache` keeps, in the storage of `[cache]`; or nothing."""
    cache_limit: Size = 10 * 1024**3
    """What the host keeps for free. `buildopt ci caches` compares it with what will be stored."""
    msrv: bool = False
    """Whether a lane checks with the oldest toolchain that the packages declare (`rust-version`)."""
    minimal_versions: bool = False
    """Whether a lane checks with the oldest versions of direct dependencies that the manifests allow."""
    install: str | None = None
    """What pip installs in a job; `buildopt` in the versions that `[requires]` allows, when absent."""


@table
class Docker(Table):
    """A `Dockerfile` and a `.dockerignore`: dependencies in a layer of their own, a runtime image without a compiler."""

    image: str
    """Image to build in, with a digest or at least a tag that does not move: `rust:1.95-slim-bookworm@sha256:…`."""
    runtime: str
    """Image to run in, likewise: `debian:bookworm-slim@sha256:…`."""
    binaries: tuple[str, ...] = ()
    """Binaries that are copied into the runtime image, the first as its entry point; every one of the workspace when empty."""
    cargo_profile: str = "release"
    """Cargo profile to build with."""
    features: Literal["default", "all", "none"] | tuple[str, ...] = "default"
    """Cargo features, as in a stage."""


@table
class Record(Table):
    """What is kept of past runs."""

    keep_runs: Annotated[int, Within(1, 1_000_000)] = 1000
    """How many runs the record keeps."""


@table
class Condition(Table):
    """When an override holds; all keys given must match."""

    ci: bool | None = None
    """Whether this is a CI job."""
    os: Literal["linux", "macos", "windows"] | None = None
    """Operating system of the host."""


@table
class Override(Table):
    """Values that hold only under a condition."""

    when: Condition
    """The condition."""
    set: PartOfProfile
    """Tables and keys of the profile, as they would stand at its top level."""


@table
class Profile(Table):
    """A build profile: how one Cargo workspace is built. A table that is present is switched on; an absent one generates nothing."""

    version: Literal[1]
    """Version of this format."""
    extends: tuple[str, ...] = ()
    """Presets by name, or paths of other profiles inside the workspace; later ones win, and this file wins over all."""
    requires: Requires = Requires()
    """Versions that must be there before anything runs."""
    cargo: Cargo | None = None
    """What Cargo is told."""
    cache: Cache | None = None
    """The compiler cache."""
    incremental: Incremental | None = None
    """Incremental compilation, by where the build runs."""
    features: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Feature gates: by package, the features and what each turns on; `dep:x` makes the dependency `x` optional.
    The package `"*"` means every member, each with those of the dependencies that it has."""
    stages: Mapping[str, Stage] = field(default_factory=dict)
    """Stages of the pipeline, by name."""
    tests: Mapping[str, TestGroup] = field(default_factory=dict)
    """Test groups, by name."""
    budgets: Budgets = Budgets()
    """What whole scenarios should cost."""
    affected: Affected = Affected()
    """How changed files are mapped to packages."""
    ide: Ide | None = None
    """What the editor is told."""
    watch: Watch = Watch()
    """What `watch` does after an edit."""
    bench: Bench = Bench()
    """What is measured."""
    tune: Tune = Tune()
    """What tuning may try."""
    ci: Ci | None = None
    """Lanes of CI."""
    docker: Docker | None = None
    """A container image."""
    record: Record = Record()
    """What is kept of past runs."""
    override: tuple[Override, ...] = ()
    """Values that hold only under a condition."""
