"""What types cannot say: names that must exist, circles, characters, paths. Each check yields, none raises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from buildopt.errors import Problem
from buildopt.profile.bench_checks import check_measured
from buildopt.profile.ci_checks import check_ci, check_docker
from buildopt.profile.fault import Fault
from buildopt.profile.model import CargoProfile, Profile, Stage, TestGroup, Watch
from buildopt.profile.storage import storage_problem
from buildopt.profile.wording import did_you_mean, dotted, shown, unsafe_characters

__all__ = ["BUILT_IN_PROFILES", "check_profile", "check_text"]

BUILT_IN_PROFILES = ("dev", "release", "test", "bench")
_LONGEST_TEXT = 4096

_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
_CARGO_PROFILE = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
_PACKAGE = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}"
_PACKAGE_GLOB = r"[A-Za-z0-9_*?\[][A-Za-z0-9_*?\[\]!-]{0,127}"
_PACKAGE_SPEC = rf"\*|{_PACKAGE}([@:][0-9][0-9A-Za-z.+-]{{0,63}})?"
_FEATURE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"
_STAGE_FEATURE = rf"({_PACKAGE}/)?{_FEATURE}"
_GATE = rf"dep:{_PACKAGE}|({_PACKAGE}\??/)?{_FEATURE}"
_REVISION = r"[A-Za-z0-9_.@][A-Za-z0-9_./@{}^~+#-]{0,254}"
_FILE = r"[^\\:|<>\"*?]{1,255}"
_PATH_GLOB = r"[^\\:|<>\"]{1,1024}"

# Names that Cargo refuses for a [profile.*] table (restricted_names in Cargo; tried with 1.95; `debug` from 1.99 on).
_RESERVED_PROFILES = frozenset({
    "build", "build-override", "check", "clean", "config", "debug", "fetch", "fix", "install", "metadata", "package",
    "publish", "report", "root", "run", "rust", "rustc", "rustdoc", "target", "tmp", "uninstall",
})  # fmt: skip
# Sessions and verbs that buildopt has already.
_RESERVED_STAGES = frozenset({
    "bench-build-times", "bench-development-cycle", "bench-incremental", "ci-matrix", "dev-quick", "dev-test", "dev-watch",
    "doctor", "drift", "gate", "report", "rollback", "sync", "tune",
})  # fmt: skip


def check_profile(profile: Profile) -> Iterator[Fault]:
    """Yield everything in the merged profile that its types cannot say, one by one: a suggestion costs time."""
    yield from _check_cargo_profiles(profile.cargo.profile if profile.cargo else {})
    yield from _check_stages(profile.stages)
    yield from _check_tests(profile.tests)
    yield from _check_gates(profile.features)
    yield from _check_affected(profile)
    yield from _check_watch(profile.watch, profile.stages)
    yield from check_measured(profile.bench, profile.tune, profile.budgets)
    if profile.ide:
        yield from _check_features(("ide",), profile.ide.features)
    if profile.cargo and profile.cargo.jobs == 0:
        yield Fault(("cargo", "jobs"), "0 is no number of jobs", "leave the key out for one job a processor")
    if profile.cache:
        yield from _check_cache(profile.cache.storage, profile.cache.directory)
    if profile.ci:
        yield from check_ci(profile.ci, profile.stages)
    if profile.docker:
        yield from check_docker(profile.docker)
        yield from _check_features(("docker",), profile.docker.features)
        yield from _check_profile_name(("docker",), profile.docker.cargo_profile)


def check_text(value: Any, file: str, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Yield each key and text of a document that holds a control character, a line break, or far too much."""
    if isinstance(value, str):
        if found := unsafe_characters(value):
            yield Problem(f"the text holds {found}, which is not allowed", file=file, key=dotted(path))
        elif len(value) > _LONGEST_TEXT:
            yield Problem(f"longer than {_LONGEST_TEXT} characters", file=file, key=dotted(path))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if found := unsafe_characters(key):
                yield Problem(f"the key holds {found}, which is not allowed", file=file, key=dotted((*path, key)))
            yield from check_text(item, file, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_text(item, file, (*path, index))


def _matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits; a pattern is compiled (and kept by `re`) when a profile first needs it."""
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _check_cargo_profiles(profiles: Mapping[str, CargoProfile]) -> Iterator[Fault]:
    for name, profile in profiles.items():
        here = ("cargo", "profile", name)
        if not _matches(_CARGO_PROFILE, name):
            yield Fault(here, f"{shown(name)} is no name for a Cargo profile", "letters, digits, - and _")
        elif name.lower() in _RESERVED_PROFILES or name.lower().startswith("cargo"):
            hint = "the default development profile is named dev" if name.lower() == "debug" else "choose another name"
            yield Fault(here, f"Cargo keeps the name {shown(name)} for itself", hint)
        yield from _check_inherits(name, profile, profiles)
        for package in profile.package:
            if not _matches(_PACKAGE_SPEC, package):
                yield Fault(
                    (*here, "package", package), f"{shown(package)} is no package", 'a name, name@version, or "*"'
                )
    for circle in _circles({name: [profile.inherits] for name, profile in profiles.items() if profile.inherits}):
        yield Fault(
            ("cargo", "profile", circle[0], "inherits"), f"inherits itself: {' → '.join(circle)}", "break the circle"
        )


def _check_inherits(name: str, profile: CargoProfile, profiles: Mapping[str, CargoProfile]) -> Iterator[Fault]:
    here = ("cargo", "profile", name, "inherits")
    known = [*profiles, *BUILT_IN_PROFILES]
    if profile.inherits is None:
        if name not in BUILT_IN_PROFILES:
            yield Fault(
                here,
                "missing; Cargo wants it for every profile that is not built in",
                'most inherit "dev" or "release"',
                absent=True,
            )
    elif name in ("dev", "release"):
        yield Fault(here, f"Cargo does not let {name} inherit", "remove this line")
    elif profile.inherits not in known:
        hint = did_you_mean(profile.inherits, known) or f"there are {', '.join(known)}"
        yield Fault(here, f"no such Cargo profile: {shown(profile.inherits)}", hint, absent=True)


def _check_stages(stages: Mapping[str, Stage]) -> Iterator[Fault]:
    for name, stage in stages.items():
        here = ("stages", name)
        yield from _check_name(here, "stage")
        if name in _RESERVED_STAGES:
            yield Fault(here, f"{name} is a session of buildopt already", "choose another name for the stage")
        if not stage.run:
            yield Fault((*here, "run"), "at least one step is expected", None)
        for required in stage.requires:
            if required not in stages:
                hint = did_you_mean(required, stages) or f"there are {', '.join(stages)}"
                yield Fault((*here, "requires"), f"no such stage: {shown(required)}", hint, absent=True)
        yield from _check_features(here, stage.features)
        yield from _check_profile_name(here, stage.cargo_profile)
    for circle in _circles({name: stage.requires for name, stage in stages.items()}):
        yield Fault(
            ("stages", circle[0], "requires"), f"the stage requires itself: {' → '.join(circle)}", "break the circle"
        )


def _check_tests(tests: Mapping[str, TestGroup]) -> Iterator[Fault]:
    for name, group in tests.items():
        here = ("tests", name)
        yield from _check_name(here, "test group")
        for package in group.packages:
            if not _matches(_PACKAGE_GLOB, package):
                yield Fault((*here, "packages"), f"{shown(package)} is no package", "a name, or a glob with * ? [ ]")
        if group.filter is not None and (not group.filter.strip() or group.filter.startswith("-")):
            yield Fault(
                (*here, "filter"), f"{shown(group.filter)} is no part of a test name", "leave the key out for all tests"
            )
        if group.shards > 1 and group.filter is not None:
            yield Fault((*here, "shards"), "a group with a filter is not split", "leave one of the two keys out")
        yield from _check_features(here, group.features)
        yield from _check_profile_name(here, group.cargo_profile)


def _check_name(path: tuple[str, ...], what: str) -> Iterator[Fault]:
    if not _matches(_NAME, path[-1]):
        yield Fault(path, f"{shown(path[-1])} is no name for a {what}", "a letter first, then letters, digits, - and _")


def _check_profile_name(here: tuple[str, ...], name: str | None) -> Iterator[Fault]:
    """Whether there is a Cargo profile of that name only Cargo's own files can say: they declare some too."""
    if name is not None and not _matches(_CARGO_PROFILE, name):
        yield Fault(
            (*here, "cargo-profile"), f"{shown(name)} is no name for a Cargo profile", "letters, digits, - and _"
        )


def _check_features(here: tuple[str, ...], features: str | tuple[str, ...]) -> Iterator[Fault]:
    for feature in features if isinstance(features, tuple) else ():
        if not _matches(_STAGE_FEATURE, feature):
            yield Fault((*here, "features"), f"{shown(feature)} is no Cargo feature", "a name, or package/name")


def _check_gates(gates: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[Fault]:
    for package, features in gates.items():
        if package != "*" and not _matches(_PACKAGE, package):
            yield Fault(
                ("features", package), f"{shown(package)} is no package", 'the name of a member, or "*" for all'
            )
        for feature, turned_on in features.items():
            here = ("features", package, feature)
            if not _matches(_FEATURE, feature):
                yield Fault(here, f"{shown(feature)} is no name for a feature", "letters, digits, _ - + and .")
            for entry in turned_on:
                if not _matches(_GATE, entry):
                    yield Fault(
                        here,
                        f"{shown(entry)} turns nothing on",
                        "a feature, dep:name, package/feature or package?/feature",
                    )


def _check_affected(profile: Profile) -> Iterator[Fault]:
    base = profile.affected.base
    if base is not None and (not _matches(_REVISION, base) or ".." in base):
        yield Fault(("affected", "base"), f"{shown(base)} is no branch or revision", "for example origin/main")
    for glob, packages in profile.affected.paths.items():
        here = ("affected", "paths", glob)
        if glob.startswith(("/", "~")) or ".." in glob.split("/") or not _matches(_PATH_GLOB, glob):
            yield Fault(here, "no path inside the workspace", "write it from the workspace root, with / and without ..")
        for package in packages:
            if not _matches(_PACKAGE_GLOB, package):
                yield Fault(here, f"{shown(package)} is no package", "a name, or a glob with * ? [ ]")


def _check_watch(watch: Watch, stages: Mapping[str, Stage]) -> Iterator[Fault]:
    for key, names in (("stages", watch.stages), ("quiet", watch.quiet)):
        for name in names:
            if name not in stages:
                here = ("watch", key) if key == "stages" else ("watch", key, name)
                hint = did_you_mean(name, stages) or f"there are {', '.join(stages)}"
                yield Fault(here, f"no such stage: {shown(name)}", hint, absent=True)
    path = watch.locations
    if path is not None and (
        path.startswith(("/", "~")) or ".." in re.split(r"[/\\]", path) or not _matches(_FILE, path)
    ):
        yield Fault(
            ("watch", "locations"), f"{shown(path)} is no file inside the workspace", 'such as ".bacon-locations"'
        )


def _check_cache(storage: str, directory: str | None) -> Iterator[Fault]:
    if problem := storage_problem(storage):
        yield Fault(("cache", "storage"), *problem)
    if directory is not None and (not directory.strip() or ".." in re.split(r"[/\\]", directory)):
        yield Fault(
            ("cache", "directory"), f"{shown(directory)} is no folder", "a path without .., ~ is the home folder"
        )


def _circles(edges: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the circles of a graph, each as a chain that ends where it began. Depth first, without recursion."""
    done: set[str] = set()
    for start in edges:
        chain: dict[str, None] = {}  # a dict, because membership is asked for each edge
        pending = [(start, 0)]
        while pending:
            node, depth = pending.pop()
            while len(chain) > depth:
                done.add(chain.popitem()[0])
            if node in chain:
                nodes = list(chain)
                yield (*nodes[nodes.index(node) :], node)
            elif node not in done:
                chain[node] = None
                pending += [(after, depth + 1) for after in reversed(list(edges.get(node, ())))]
        done.update(chain)
