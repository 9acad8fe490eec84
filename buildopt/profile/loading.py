"""Load a profile: read, merge layer by layer, check the whole; every problem of every layer in one error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt.errors import Problem, ProfileError
from buildopt.profile.checks import check_profile, check_text
from buildopt.profile.documents import Document, Read, Resolved, lay, resolve
from buildopt.profile.fault import Fault
from buildopt.profile.layers import Setting, from_call, from_environment
from buildopt.profile.model import Profile
from buildopt.profile.reader import Reading, build, read_document
from buildopt.profile.shapes import PROFILE
from buildopt.profile.wording import dotted

__all__ = ["Given", "Loaded", "Origin", "load"]

_MOST_PROBLEMS = 50

Layer = Literal["default", "preset", "file", "override", "environment", "call"]


class Origin(NamedTuple):
    """Where a value comes from."""

    layer: Layer
    source: str
    """The file as shown to people, the name of the variable, or `--set`."""


class Given(NamedTuple):
    """A value that a layer gave, whether or not a higher one replaced it."""

    origin: Origin
    value: Any


class Loaded(NamedTuple):
    """A profile, and where each of its values comes from."""

    profile: Profile
    origins: Mapping[str, Origin]
    """By dotted key, for each leaf that some layer gave."""
    warnings: tuple[Problem, ...]
    """Unknown keys, when they are not errors."""
    fingerprint: str
    """Digest of everything that went in: texts, variables, `--set`, and whether this is CI and on which system."""
    documents: tuple[tuple[str, dict[str, Any]], ...]
    """File as shown and parsed table, lowest layer first."""
    given: Mapping[str, tuple[Given, ...]]
    """By dotted key, what each layer said, lowest first."""
    texts: Mapping[str, str]
    """Text of each document, by file as shown."""

    @property
    def build_fingerprint(self) -> str:
        """Return a digest of what decides how the workspace is built: equal for profiles whose build times may be compared.

        Budgets, timeouts, comments, and what is generated for editors and CI leave it as it is.
        """
        found, bench = self.profile, self.profile.bench
        limits = ("timeout", "budget")
        named = [*found.stages.items(), *found.tests.items()]
        work = [(name, [each for each in vars(table).items() if each[0] not in limits]) for name, table in named]
        edits = (bench.leaf, bench.hub, bench.binary, bench.edit, bench.features, bench.revision)
        shape = (found.cargo, found.cache, found.incremental, found.features, work, edits)
        return hashlib.blake2b(repr(shape).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def load(
    path: Path,
    *,
    root: Path,
    read: Read,
    environ: Mapping[str, str],
    call: Sequence[str] = (),
    ci: bool = False,
    system: str = "linux",
    strict: bool = True,
) -> Loaded:
    """Return the profile at `path` with presets, overrides, variables and `--set` applied.

    Tables merge, lists and plain values replace. An override stands directly above the file that it is written in.
    Raises ProfileError with all problems at once; unknown keys are warnings unless `strict`.
    """
    resolved = resolve(path, root=root, read=read)
    merge = _Merge(ci=ci, system=system)
    for document in resolved.documents:
        merge.add_document(document)
    for setting in from_environment(environ, merge.tree):
        merge.add_setting(setting, "environment")
    for setting in from_call(call):
        merge.add_setting(setting, "call")
    profile, checked = merge.finish(whole=not resolved.problems)
    problems = [*resolved.problems, *merge.problems, *checked, *(merge.unknown if strict else ())]
    if problems:
        raise _error(list(dict.fromkeys(problems)))
    given = {dotted(key): tuple(values) for key, values in merge.leaves()}
    return Loaded(
        profile=profile,
        origins={key: values[-1].origin for key, values in given.items()},
        warnings=tuple(merge.unknown),
        fingerprint=_fingerprint(resolved, environ, call, (ci, system)),
        documents=tuple((document.file, document.table) for document in resolved.documents),
        given=given,
        texts={document.file: document.text.decode("utf-8-sig") for document in resolved.documents},
    )


class _Merge:
    """Lays one layer over the other, and remembers who said what."""

    def __init__(self, *, ci: bool, system: str) -> None:
        self.facts = {"ci": ci, "os": system}
        self.tree: dict[str, Any] = {}
        self.given: dict[tuple[str, ...], list[Given]] = {}
        self.problems: list[Problem] = []
        self.unknown: list[Problem] = []

    def add_document(self, document: Document) -> None:
        reading = read_document(document.table, document.file)
        self._collect(reading)
        self.problems.extend(check_text(document.table, document.file))
        tree = dict(reading.tree)
        overrides = tree.pop("override", [])
        if document.layer == "preset":  # these two say something about their own file only
            tree.pop("version", None)
            tree.pop("extends", None)
        elif overrides:
            tree["override"] = overrides
        self._lay(tree, Origin(document.layer, document.file))
        for override in overrides:
            if all(self.facts[key] == value for key, value in override.get("when", {}).items()):
                self._lay(override.get("set", {}), Origin("override", document.file))

    def add_setting(self, setting: Setting, layer: Literal["environment", "call"]) -> None:
        self._collect(setting.reading)
        self.problems.extend(check_text(setting.reading.tree, setting.source))
        self._lay(setting.reading.tree, Origin(layer, setting.source))

    def finish(self, *, whole: bool) -> tuple[Profile, list[Problem]]:
        """Return the profile, and what is wrong with all of it; unless `whole`, what is absent may be in an unread file."""
        problems: list[Problem] = []
        faults: list[Fault] = []
        sources = {key: values[-1].origin.source for key, values in self.given.items()}
        told = {problem.key for problem in self.problems}

        def missing(path: tuple[str, ...]) -> None:
            if path != ("version",):  # each file is asked for its own
                faults.append(Fault(path, "missing, here and in everything that is extended", absent=True))

        profile: Profile = build(PROFILE, self.tree, missing)
        for fault in chain(faults, check_profile(profile)):
            key = dotted(fault.path)
            if key not in told:  # what is wrong in itself is not told again for what follows from it
                told.add(key)
                if fault.absent and not whole:
                    continue
                source = _source(fault.path, sources)
                problems.append(Problem(fault.message, file=source, key=key, hint=fault.hint))
            if len(problems) > _MOST_PROBLEMS:
                break
        return profile, problems

    def leaves(self) -> Iterator[tuple[tuple[str, ...], list[Given]]]:
        """Yield each leaf of the merged tree; a table that was empty in one layer and is not in the whole is none."""
        tables = {key[:length] for key in self.given for length in range(1, len(key))}
        return ((key, values) for key, values in self.given.items() if key not in tables)

    def _lay(self, over: dict[str, Any], origin: Origin) -> None:
        lay(self.tree, over, lambda key, value: self.given.setdefault(key, []).append(Given(origin, value)))

    def _collect(self, reading: Reading) -> None:
        self.problems.extend(reading.problems)
        self.unknown.extend(reading.unknown)


def _error(problems: list[Problem]) -> ProfileError:
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    hint = f"only the first {_MOST_PROBLEMS} are shown" if len(problems) > _MOST_PROBLEMS else None
    return ProfileError(f"the profile has {count}", problems=tuple(problems[:_MOST_PROBLEMS]), hint=hint)


def _source(path: tuple[str, ...], sources: Mapping[tuple[str, ...], str]) -> str | None:
    """Return who gave the value at `path`, or else the last who gave anything beside or below it."""
    for length in range(len(path), 0, -1):
        if path[:length] in sources:
            return sources[path[:length]]
        below = [source for key, source in sources.items() if key[:length] == path[:length]]
        if below:
            return below[-1]
    return None


def _fingerprint(resolved: Resolved, environ: Mapping[str, str], call: Sequence[str], facts: tuple[bool, str]) -> str:
    parts: list[bytes] = [repr(facts).encode()]
    for document in resolved.documents:
        parts += [document.file.encode("utf-8", "surrogateescape"), document.text]
    settings = [f"{name}={value}" for name, value in sorted(environ.items()) if name.upper().startswith("BUILDOPT_")]
    parts += [text.encode("utf-8", "surrogateescape") for text in (*settings, *call)]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()
