"""`ci caches`: weigh what this machine has built, as what CI will store of it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from buildopt.cargo.config import cargo_home
from buildopt.errors import MachineRefused, ProfileError
from buildopt.generate.ci.lanes import lanes
from buildopt.host import Host
from buildopt.host.trees import Status, walk
from buildopt.report.ci_caches import Built, Forecast, forecast, weigh
from buildopt.verbs.context import Context

__all__ = ["ci_caches"]

_SAMPLE = 16 << 20  # bytes that are compressed to see what compressing leaves
_LARGEST_SAMPLE = 4 << 20
_USUAL_RATIO = 0.3  # of what Cargo builds; used where there is nothing to measure
_LOCKED = re.compile(
    rb'^name = "(?P<name>[^"]+)"\r?\nversion = "(?P<version>[^"]+)"\r?\nsource = "registry', re.MULTILINE
)


def ci_caches(context: Context) -> Forecast:
    """Return what CI will store of this workspace, estimated from the target directory; ProfileError without `[ci]`."""
    profile, workspace = context.ci_profile, context.workspace
    if profile.ci is None:
        raise ProfileError("the profile declares no CI", hint="add [ci.github] or [ci.gitlab]")
    targets = {target.name for package in workspace.members for target in package.targets}
    own = frozenset(name.replace("-", "_") for name in targets | {package.name for package in workspace.members})
    built: dict[str, Built] = {}
    found: list[tuple[str, int]] = []
    for name in context.host.files.folders(workspace.target_directory):
        files = list(_files(str(workspace.target_directory / name)))
        built[name] = weigh(files, own)
        found += ((f"{workspace.target_directory}/{name}/{path}", size) for path, size, _ in files)
    return forecast(
        lanes(profile, workspace).lanes,
        profile.ci.cache,
        built,
        platforms=len(profile.ci.github.platforms) if profile.ci.github else 0,
        crates=_downloaded(context.host, context.root),
        ratio=_ratio(context.host, found),
        limit=profile.ci.cache_limit,
    )


def _files(folder: str) -> Iterator[tuple[str, int, bool]]:
    """Yield path, bytes, and whether it is a program, of every file in a Cargo profile's folder; a second name counts once."""
    seen: set[int] = set()

    def enter(directory: str, listing: Mapping[str, Status]) -> Mapping[str, Status] | None:
        return None if directory == f"{folder}/incremental" else listing

    for directory, listing in walk(folder, enter):
        for name, status in listing.items():
            if status.kind in ("file", "program") and status.inode not in seen:
                seen.add(status.inode)
                yield f"{directory}/{name}"[len(folder) + 1 :], status.size, status.kind == "program"


def _ratio(host: Host, files: list[tuple[str, int]]) -> float:
    """Return what zlib at its fastest leaves of a sample; zstd, which GitHub takes, leaves a little less."""
    fitting = [each for each in sorted(files) if 4096 < each[1] <= _LARGEST_SAMPLE]
    total = sum(size for _, size in fitting)
    step = max(1, -(-total // _SAMPLE))
    before = after = 0
    for path, _ in fitting[::step]:
        try:
            content = host.files.read(path) or b""
        except MachineRefused:
            continue
        before, after = before + len(content), after + len(zlib.compress(content, 1))
    return after / before if before else _USUAL_RATIO


def _downloaded(host: Host, root: Path) -> int:
    """Return the bytes of those crates in Cargo.lock that this machine has downloaded."""
    lock = host.files.read(root / "Cargo.lock") or b""
    names = [f"{match['name'].decode()}-{match['version'].decode()}.crate" for match in _LOCKED.finditer(lock)]
    cache = cargo_home(host) / "registry" / "cache"
    registries = [cache / name for name in host.files.folders(cache)]
    stamps = (host.files.stamp(registry / name) for registry in registries for name in names)
    return sum(stamp[0] for stamp in stamps if stamp is not None)
