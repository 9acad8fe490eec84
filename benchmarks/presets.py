"""The preset dev-fast and the dev-fast of the preset zen, line by line, against Cargo's default dev profile.

Clean build, edit of a leaf crate, edit of the crate that most depend on; CPU and wall seconds, in ABBA pairs, with the
default against itself as the first row: what a difference of nothing looks like on this machine.
Each arm builds in a target directory of its own; settings go by --config; every edit is another one, and is taken back.
Call: python benchmarks/presets.py FOLDER [--workspace ripgrep serde] [--pairs N] [--scenario clean leaf hub] [--lines]
FOLDER is where the workspaces are put together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tomllib
from pathlib import Path
from typing import NamedTuple

from pairs import Cost, abba, measure
from published import PUBLISHED, assemble

from buildopt.cargo import load_workspace
from buildopt.cargo.model import Package, Workspace
from buildopt.host import Host
from buildopt.measure.sequential import decide

PROFILES = Path(__file__).parents[1] / "profiles"
_SCENARIOS = ["clean", "leaf", "hub"]
_edits = itertools.count(1)


class Arm(NamedTuple):
    """One way to build."""

    name: str
    config: tuple[str, ...]


def settings(preset: str) -> dict[str, object]:
    """Return the keys of the Cargo profile dev-fast of a preset."""
    table = tomllib.loads((PROFILES / f"{preset}.toml").read_text())["cargo"]["profile"]["dev-fast"]
    return {key: value for key, value in table.items() if key != "inherits"}


def arm(name: str, keys: dict[str, object]) -> Arm:
    """Return an arm that sets `keys` in Cargo's own dev profile, so that nothing but they differs."""
    return Arm(
        name,
        tuple(part for key, value in keys.items() for part in ("--config", f"profile.dev.{key}={json.dumps(value)}")),
    )


def build(root: Path, way: Arm, target: Path) -> Cost:
    """Build the workspace once and return its cost."""
    return measure(["cargo", "build", "--workspace", "--quiet", *way.config, "--target-dir", str(target)], root)


def clean(root: Path, way: Arm, target: Path) -> Cost:
    """Build with an empty target directory."""
    shutil.rmtree(target, ignore_errors=True)
    return build(root, way, target)


def edited(root: Path, way: Arm, target: Path, source: Path) -> Cost:
    """Build after an edit that no build has seen before; the file is as it was afterwards, and built so."""
    before = source.read_bytes()
    number = next(_edits)
    try:
        source.write_bytes(before + f"\n#[doc(hidden)]\npub fn edit_{number}() -> u64 {{ {number} }}\n".encode())
        return build(root, way, target)
    finally:
        source.write_bytes(before)


def leaf_and_hub(workspace: Workspace) -> tuple[Package, Package]:
    """Return a library that nobody depends on (or the fewest do), and the one that most depend on."""
    above: dict[str, set[str]] = {package.id: set() for package in workspace.members}
    for _ in workspace.members:
        for package in workspace.members:
            for below, kinds in workspace.edges.get(package.id, ()):
                if below in above and set(kinds) != {"dev"}:
                    above[below] |= {package.id, *above[package.id]}
    libraries = [p for p in workspace.members if any("lib" in target.kinds for target in p.targets)]
    ordered = sorted(libraries, key=lambda package: (len(above[package.id]), package.name))
    return ordered[0], ordered[-1]


def source_of(package: Package) -> Path:
    """Return the root file of the library."""
    return Path(next(target.src_path for target in package.targets if "lib" in target.kinds))


def row(name: str, a: list[Cost], b: list[Cost]) -> None:
    """Print one comparison: ratios to the default, with their 99 % intervals."""
    cells = []
    for pick in (1, 0):
        found = decide([(x[pick], y[pick]) for x, y in zip(a, b, strict=True)], final=True)
        cells.append(f"{found.ratio:5.2f} [{found.low:.2f}, {found.high:.2f}] {found.verdict:10}")
    print(f"  {name:34} {cells[0]}  {cells[1]}", flush=True)


def compare(root: Path, pairs: int, wanted: list[str], *, lines: bool) -> None:
    """Print the table of one workspace."""
    host = Host()
    workspace = load_workspace(host, root, root / ".buildopt")
    leaf, hub = leaf_and_hub(workspace)
    fast, zen = settings("dev-fast"), settings("zen")
    ways = [arm("default again (A/A)", {}), arm("dev-fast", fast), arm("zen's dev-fast", zen)]
    if len(fast) > 1:
        ways += [arm(f"  dev-fast: {key} = {value}", {key: value}) for key, value in fast.items()]
    if lines:
        ways += [arm(f"  zen: {key} = {value}", {key: value}) for key, value in zen.items()]
    default, target = arm("default", {}), root.parent / f"{root.name}-targets"
    scenarios = {
        "clean": ("clean build", None),
        "leaf": (f"edit of {leaf.name} (leaf)", leaf),
        "hub": (f"edit of {hub.name} (hub)", hub),
    }
    clean(root, default, target / "a")
    for number, way in enumerate(ways):
        build(root, way, target / str(number))
    print(
        f"{root.name}: {len(workspace.members)} packages; ratio to the default: CPU, then wall, each [99 % interval] verdict"
    )
    for name, package in (scenarios[scenario] for scenario in wanted):
        print(f" {name}, {pairs} pairs")
        for number, way in enumerate(ways):
            ours, theirs = target / "a", target / str(number)
            if package is None:
                a, b = abba(lambda o=ours: clean(root, default, o), lambda w=way, t=theirs: clean(root, w, t), pairs)
            else:
                source = source_of(package)
                a, b = abba(
                    lambda o=ours, s=source: edited(root, default, o, s),
                    lambda w=way, t=theirs, s=source: edited(root, w, t, s),
                    pairs,
                )
            row(way.name, a, b)
    shutil.rmtree(target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workspace", nargs="+", choices=PUBLISHED, default=list(PUBLISHED))
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--scenario", nargs="+", choices=_SCENARIOS, default=_SCENARIOS)
    parser.add_argument("--lines", action="store_true", help="each line of zen's dev-fast by itself, too")
    arguments = parser.parse_args()
    for name in arguments.workspace:
        compare(assemble(name, arguments.folder), arguments.pairs, arguments.scenario, lines=arguments.lines)
