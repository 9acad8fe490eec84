"""What a stage will run: its steps as Cargo command lines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from buildopt.cargo.model import Components, Package, Target, Workspace
from buildopt.errors import ToolMissing
from buildopt.measure.shards import DOC_TESTS, TestName
from buildopt.pipeline.sharding import Shard, choose_tests
from buildopt.profile.model import CargoProfile, Profile, Stage, Step

__all__ = [
    "Further", "Invocation", "PlannedStage", "PlannedStep", "Selection", "Tools", "Work", "feature_notes", "plan_stage",
]  # fmt: skip

# Their cost is below what can be measured (a no-op build: 89 ms without, 91 ms with), so they are always on.
_MEASURED = ("-v", "--timings", "--message-format=json-render-diagnostics")
# What `cargo build` links for itself; `cargo test` may leave it out.
_LINKED = frozenset({"bin", "cdylib", "dylib", "staticlib"})


class Invocation(NamedTuple):
    """One call of Cargo."""

    argv: tuple[str, ...]
    measured: bool
    """Whether Cargo tells of every unit (JSON messages on stdout, timings, reasons on stderr)."""
    timed: bool = False
    """Whether it is a run of nextest, which can tell how long each test took."""
    charged_to: TestName | None = None
    """The test that its CPU time is recorded for, where nobody tells the times of the tests it runs."""
    then: Callable[[bytes], Further] | None = None
    """What is run next, out of what it printed, which is then not shown."""


class Further(NamedTuple):
    """What one call leads to."""

    invocations: tuple[Invocation, ...]
    note: str


class PlannedStep(NamedTuple):
    """A step and the calls it takes; none when it is skipped."""

    step: str
    invocations: tuple[Invocation, ...]
    skipped: str | None = None
    """Why nothing is run for it."""


class PlannedStage(NamedTuple):
    """A stage, ready to run."""

    name: str
    steps: tuple[PlannedStep, ...]
    packages: tuple[str, ...]
    total_packages: int
    why: str
    timeout_seconds: float | None
    budget_seconds: float | None
    skipped: str | None = None


class Selection(NamedTuple):
    """The packages that a stage covers. `whole` means all members."""

    packages: tuple[Package, ...]
    whole: bool
    why: str
    head: str | None = None
    """The commit that is checked out, where git was asked what is affected."""
    dirty: bool | None = None
    """Whether anything differs from that commit, where it is known."""


class Work(NamedTuple):
    """What a stage or a test group asks for."""

    name: str
    run: tuple[Step, ...]
    features: str | tuple[str, ...]
    cargo_profile: str | None
    all_targets: bool
    timeout: float | None
    budget: float | None
    test_filter: str | None = None
    shard: Shard | None = None
    """The part of the tests that is run; all when absent."""
    doc_tests: bool = True
    """Whether the step `test` runs them, too."""

    @classmethod
    def of(cls, name: str, stage: Stage, timeout: float | None) -> Work:
        """Return what the stage `name` of a profile asks for; `timeout` in seconds."""
        asked = (name, stage.run, stage.features, stage.cargo_profile, stage.all_targets, timeout, stage.budget)
        return cls(*asked, doc_tests=stage.doc_tests)


class Tools(NamedTuple):
    """What the command lines are made from, beside the stage itself."""

    cargo: str
    nextest: bool
    config: tuple[str, ...]
    """`--config` arguments for Cargo profiles that are declared but not yet written by a sync."""


def plan_stage(
    work: Work,
    selection: Selection,
    workspace: Workspace,
    components: Components,
    *,
    cargo: str,
    profile: Profile | None,
) -> PlannedStage:
    """Return the stage `work` over `selection` as command lines.

    `profile` is given when its Cargo profiles are not in Cargo's configuration yet: they are then passed by `--config`.
    Raises ToolMissing when a step needs a component that the toolchain lacks.
    """
    _check_components(work.run, components)
    config = _config_arguments(profile, work.cargo_profile)
    tools = Tools(cargo, components.nextest is not None, config)
    steps = []
    for position, step in enumerate(work.run):
        if step == "check" and "clippy" in work.run[position + 1 :]:
            steps.append(PlannedStep(step, (), "covered by clippy, which reports what check reports"))
        elif step == "build" and "test" in work.run[position + 1 :] and _tests_compile_it(work, selection):
            steps.append(PlannedStep(step, (), "covered by test, which compiles these libraries"))
        else:
            steps.append(PlannedStep(step, _invocations(step, work, selection, tools)))
    members = len(workspace.members)
    names = tuple(package.name for package in selection.packages)
    return PlannedStage(work.name, tuple(steps), names, members, selection.why, work.timeout, work.budget)


def _tests_compile_it(work: Work, selection: Selection) -> bool:
    """Return whether `cargo test` compiles all that `cargo build` would: libraries that documentation or other tests link.

    Built first, a library is compiled a second time wherever a dev-dependency asks more features of what it stands on.
    """
    if work.all_targets:
        return False
    for package in selection.packages:
        kinds = {kind for target in package.targets for kind in target.kinds}
        if kinds & _LINKED or not any(target.doctest or _is_tested(target) for target in package.targets):
            return False
    return True


def _is_tested(target: Target) -> bool:
    return "test" in target.kinds and target.test and not target.required_features


def feature_notes(work: Work, workspace: Workspace, profile: Profile) -> tuple[str, ...]:
    """Return a line for each listed feature that no package of the workspace has."""
    if isinstance(work.features, str):
        return ()
    notes = []
    for feature in work.features:
        if not any(_has(package, feature) for package in workspace.members):
            declared = any(feature in gates for package, gates in profile.features.items() if package != "*")
            todo = "run sync first" if declared else "it is left out"
            notes.append(f"{work.name}: no package has the feature {feature!r}: {todo}")
    return tuple(notes)


def _check_components(run: tuple[Step, ...], components: Components) -> None:
    for step, version, component in (("clippy", components.clippy, "clippy"), ("fmt", components.rustfmt, "rustfmt")):
        if step in run and version is None:
            raise ToolMissing(
                f"the step {step!r} needs {component}, which this toolchain lacks",
                hint=f"rustup component add {component}",
            )


def _invocations(step: Step, work: Work, selection: Selection, tools: Tools) -> tuple[Invocation, ...]:
    cargo, config = tools.cargo, tools.config
    chosen = (*_selected(selection), *_features(work.features, selection))
    profile = ("--profile", work.cargo_profile) if work.cargo_profile else ()
    targets = ("--all-targets",) if work.all_targets else ()
    match step:
        case "fmt":
            # cargo-fmt knows packages by their names alone.
            named = (part for package in selection.packages for part in ("--package", package.name))
            packages = ("--all",) if selection.whole else tuple(named)
            return (Invocation((cargo, "fmt", *packages, "--check"), measured=False),)
        case "check" | "clippy" | "build":
            return (Invocation((cargo, step, *chosen, *profile, *targets, *config, *_MEASURED), measured=True),)
        case "doc":
            return (Invocation((cargo, "doc", "--no-deps", *chosen, *profile, *config, *_MEASURED), measured=True),)
        case "test":
            compile_first = (
                cargo,
                "test",
                "--no-run",
                *_test_targets(work, selection),
                *chosen,
                *profile,
                *config,
                *_MEASURED,
            )
            return (Invocation(compile_first, measured=True), *_test_runs(work, selection, tools, chosen))


def _test_targets(work: Work, selection: Selection) -> tuple[str, ...]:
    """Return which targets `cargo test` compiles: without doc tests a library that no other test links is not needed.

    In one big crate it is half of what an edit costs. A stage with `build` compiles it all the same, and so does one with
    examples: `cargo test` compiles them, and names for targets cannot ask for that.
    """
    examples = any("example" in target.kinds for package in selection.packages for target in package.targets)
    return () if work.doc_tests or examples or "build" in work.run else ("--tests",)


def _test_runs(work: Work, selection: Selection, tools: Tools, chosen: tuple[str, ...]) -> tuple[Invocation, ...]:
    """Run what `test --no-run` has built: with nextest and `--doc` where nextest is there, else with `cargo test`."""
    cargo, config = tools.cargo, tools.config
    profile = ("--profile", work.cargo_profile) if work.cargo_profile else ()
    names = ("--", work.test_filter) if work.test_filter else ()
    if not tools.nextest:
        targets = () if work.doc_tests else ("--tests",)
        return (Invocation((cargo, "test", *targets, *chosen, *profile, *config, *names), measured=False),)
    nextest_profile = ("--cargo-profile", work.cargo_profile) if work.cargo_profile else ()
    selected = (*_test_targets(work, selection), *chosen, *nextest_profile, *config)
    tests = _nextest_run((cargo, "nextest", "run", *selected), names)
    if work.shard is not None:
        tests = _shard(cargo, selected, work.shard)
    documented = tuple(package for package in selection.packages if any(target.doctest for target in package.targets))
    if not documented or not work.doc_tests or (work.shard is not None and work.shard.number != 1):
        return (tests,)
    doc = Selection(documented, whole=False, why="")
    chosen_doc = (*_selected(doc), *_features(work.features, doc))
    doctests = (cargo, "test", "--doc", *chosen_doc, *profile, *config, *names)
    group = work.name if work.shard is None else work.shard.group
    return (tests, Invocation(doctests, measured=False, charged_to=(DOC_TESTS, group)))


def _nextest_run(run: tuple[str, ...], more: tuple[str, ...]) -> Invocation:
    return Invocation((*run, "--no-tests=pass", *more), measured=False, timed=True)


def _shard(cargo: str, selected: tuple[str, ...], shard: Shard) -> Invocation:
    """Return what runs a part of the tests: by their names once they are listed, or as nextest deals them out."""
    run = (cargo, "nextest", "run", *selected)
    if not shard.seconds:
        return _nextest_run(run, shard.slice)
    listing = (cargo, "nextest", "list", *selected, "--message-format", "json")
    return Invocation(listing, measured=False, then=partial(_listed, run=run, shard=shard))


def _listed(listing: bytes, *, run: tuple[str, ...], shard: Shard) -> Further:
    chosen = choose_tests(listing, shard)
    return Further(tuple(_nextest_run(run, arguments) for arguments in chosen.arguments), chosen.note)


def _selected(selection: Selection) -> tuple[str, ...]:
    if selection.whole:
        return ("--workspace",)
    return tuple(part for package in selection.packages for part in ("--package", package.spec))


def _features(features: str | tuple[str, ...], selection: Selection) -> tuple[str, ...]:
    if isinstance(features, str):
        return {"all": ("--all-features",), "none": ("--no-default-features",)}.get(features, ())
    names = [
        f"{package.name}/{feature.rpartition('/')[2]}"
        for package in selection.packages
        for feature in features
        if _has(package, feature)
    ]
    return ("--features", ",".join(names)) if names else ()


def _has(package: Package, feature: str) -> bool:
    """Return whether a feature, listed as `name` or `package/name`, is one of `package`."""
    owner, _, name = feature.rpartition("/")
    return owner in ("", package.name) and name in package.features


def _config_arguments(profile: Profile | None, name: str | None) -> tuple[str, ...]:
    """Return `--config` arguments that define the Cargo profile `name` and those it inherits from."""
    arguments: list[str] = []
    declared = profile.cargo.profile if profile is not None and profile.cargo is not None else {}
    while name is not None and name in declared:
        arguments += _config_lines(f"profile.{name}", declared[name])
        name = declared[name].inherits
    return tuple(part for line in arguments for part in ("--config", line))


def _config_lines(prefix: str, settings: CargoProfile) -> list[str]:
    lines = []
    for field, value in vars(settings).items():
        key = f"{prefix}.{field.replace('_', '-')}"
        if isinstance(value, CargoProfile):
            lines += _config_lines(key, value)
        elif isinstance(value, Mapping):
            for package, inner in value.items():
                lines += _config_lines(f"{key}.{_quoted(package)}", inner)
        elif value is not None:
            lines.append(f"{key}={_toml(value)}")
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a TOML basic string; the profile has refused control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
