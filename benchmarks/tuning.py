"""What `buildopt tune` adopts on real workspaces, against Cargo's default, cargo-wizard's fast-compile template and dev-fast.

serde and what stands around it (procedural macros), RustCrypto (many small crates), sqlparser (one big crate). Tuning starts from
a Cargo profile that says nothing; what it writes is then compared side by side, in pairs that it has not seen; then the
loop as declared (stages, affected packages, clippy in place of check and clippy) with plain check, clippy and test; once more
with the doc tests, which plain Cargo runs, and the libraries that only they link, left to the stage `full`, and with the tests
of a binary in one process, as plain Cargo runs them, in place of nextest's one for each.
Call: python benchmarks/tuning.py FOLDER [--workspace serde rustcrypto sqlparser] [--budget 40m] [--pairs N] [--scenario …]
                                         [--time 10m] [--only-compare] [--nice]
FOLDER is where the workspaces are put together; what was measured stays there, and the same call goes on with it.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from published import assemble

# What waits in a workspace of libraries is the tests: a build of it links nothing.
WEIGHTS = {"clean/build": 1, "leaf/test-no-run": 2, "hub/build": 1}
SCENARIOS = [*WEIGHTS, "leaf/cycle"]
OTHERS = ["default", "wizard.toml", "dev-fast"]
_GOAL = 0.8
LOOPS = {
    "loop": (),
    "loop, core only tests, in one process, doc tests left to full": (
        "--set", "stages.core.doc-tests=false", "--set", 'stages.core.run=["test"]', "--set", 'cargo.test-runner="cargo"',
    ),
}  # fmt: skip

PROFILE = """\
version = 1
extends = ["stages"]

[cargo.profile.tuned]
inherits = "dev"

[stages.quick-check]
cargo-profile = "tuned"

[stages.core]
cargo-profile = "tuned"

[tune]
cargo-profile = "tuned"
may-change = ["debug", "package.*.debug", "strip"]

[tune.weights]
""" + "".join(f'"{name}" = {weight}\n' for name, weight in WEIGHTS.items())
# What an edit costs in a crate of a hundred lines is Cargo's own start: a larger one is edited.
LEAF = {"serde": '[bench]\nleaf = "serde_json"\n'}
# https://github.com/Kobzol/cargo-wizard 0.2.3, src/predefined.rs: fast_compile_template on the dev profile
WIZARD = """\
version = 1

[cargo.profile.wizard]
inherits = "dev"
opt-level = 0
debug = 0
strip = "none"
lto = false
codegen-units = 256
incremental = true
"""


def buildopt(root: Path, *words: str, nice: bool) -> Any:
    """Run a verb of this checkout in `root` and return its document; its progress is shown."""
    argv = [
        *(["nice", "-n", "19"] if nice else []),
        sys.executable,
        "-m",
        "buildopt",
        *words,
        "--root",
        str(root),
        "--json",
    ]
    done = subprocess.run(argv, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=False)
    document = json.loads(done.stdout)
    if "error" in document:
        raise SystemExit(f"{' '.join(words)}: {document['error']['message']} {document['error']['hint'] or ''}")
    return document


def tune(root: Path, budget: str, *, nice: bool) -> None:
    """Tune, and print what was announced, what it took, and each setting with what it does."""
    began = time.monotonic()
    found = buildopt(root, "tune", "--budget", budget, nice=nice)
    spent = time.monotonic() - began
    plan, confirmation = found["plan"], found["confirmation"]
    print(
        f" tune: announced {plan['announced_seconds']:.0f} s, took {spent:.0f} s ({spent / plan['announced_seconds']:.2f});"
        f" clean build {plan['clean_build_seconds']:.1f} s, {len(plan['screened']) + len(plan['apart'])} settings,"
        f" {plan['rows']} builds, resolves {100 * plan['resolves']:.1f} %"
    )
    for each in found["candidates"]:
        print(
            f"  {each['setting']:34} {_ratio(each['weighted']):22} {each['outcome']:9} placebo {100 * each['placebo']:.1f} %"
        )
    if not found["chosen"]:
        print("  chosen: nothing", flush=True)
        return
    print(f"  chosen: {', '.join(found['chosen'])}: {_ratio(confirmation['weighted'])}", end="")
    print(f"; not adopted: {confirmation['why_not']}" if confirmation["why_not"] else "; adopted", flush=True)


def side_by_side(root: Path, limits: list[str], scenarios: list[str], *, nice: bool) -> None:
    """Print the adopted profile against each of the others: ratios below 1 say that it is cheaper."""
    words = ["bench", "--compare", ",".join(["current", *OTHERS]), *limits, "--scenario", *scenarios]
    found = buildopt(root, *words, nice=nice)["comparisons"]
    print(f" {'adopted, against':18}" + "".join(f"{name:>36}" for name in OTHERS) + "   (* decides)")
    inverse: dict[str, dict[str, float]] = {name: {} for name in OTHERS}
    for scenario in scenarios:
        for metric in ("cpu", "wall"):
            own = {
                each["candidate"]: each for each in found if (each["scenario"], each["metric"]) == (scenario, metric)
            }
            title = f"{scenario} {metric}"
            print(f"  {title:17}" + "".join(f"{_cell(own[name]):>36}" for name in OTHERS), flush=True)
            for name in OTHERS:
                if own[name]["ratio"] and own[name]["decides"]:
                    inverse[name][scenario] = 1 / own[name]["ratio"]
    for name in OTHERS:
        if WEIGHTS.keys() <= inverse[name].keys():
            total = sum(WEIGHTS.values())
            ratio = math.exp(sum(weight / total * math.log(inverse[name][each]) for each, weight in WEIGHTS.items()))
            goal = f" (goal {_GOAL})" if name == "default" else ""
            print(f"  weighted, against {name}: {ratio:.2f}{goal}")
    worse = [f"{e['scenario']} than {e['candidate']}" for e in found if e["decides"] and e["verdict"] == "faster"]
    print(f"  worse beyond the interval: {', '.join(worse) or 'nowhere'}", flush=True)


def loop(root: Path, limits: list[str], *, nice: bool) -> None:
    """Print the loop as declared against plain check, clippy and test, after the edit of a leaf."""
    words = ["bench", "--compare", "plain,declared", *limits, "--scenario", "leaf/cycle"]
    for name, more in LOOPS.items():
        for each in buildopt(root, *words, *more, nice=nice)["comparisons"]:
            if each["failure"]:
                print(f"  {name}: {each['failure']}")
            elif not each["ratio"]:
                print(f"  {name}, {each['metric']:4}: no pair in the time; the same call goes on")
            else:
                low, high = each["interval"]
                print(
                    f"  {name}, {each['metric']:4}: {each['baseline_seconds']:.2f} s plain, {each['candidate_seconds']:.2f} s declared: "
                    f"{1 / each['ratio']:.1f} times cheaper [{1 / high:.1f}, {1 / low:.1f}], {each['pairs']} pairs (goal 3)",
                    flush=True,
                )


def _cell(each: dict[str, Any]) -> str:
    if each["failure"] or not each["ratio"]:
        return "not measured"
    low, high = (1 / end for end in reversed(each["interval"]))
    verdict = {"faster": "slower", "slower": "faster"}.get(each["verdict"], each["verdict"])
    return f"{1 / each['ratio']:.2f} [{low:.2f}, {high:.2f}] {verdict}{'*' if each['decides'] else ' '}"


def _ratio(found: dict[str, Any] | None) -> str:
    return (
        "not measured"
        if found is None
        else f"{found['ratio']:.2f} [{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workspace", nargs="+", default=["serde", "rustcrypto", "sqlparser"])
    parser.add_argument("--budget", default="40m")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--time", help="of each comparison at most, as 10m; the same call goes on")
    parser.add_argument("--scenario", nargs="+", default=SCENARIOS)
    parser.add_argument("--only-compare", action="store_true", help="with the profile as an earlier call has tuned it")
    parser.add_argument("--nice", action="store_true", help="leave the processors to others")
    arguments = parser.parse_args()
    for name in arguments.workspace:
        root = assemble(name, arguments.folder)
        print(f"{name}:", flush=True)
        (root / "wizard.toml").write_text(WIZARD)
        if not arguments.only_compare:
            (root / "buildopt.toml").write_text(PROFILE + LEAF.get(name, ""))
            tune(root, arguments.budget, nice=arguments.nice)
        limits = ["--pairs", str(arguments.pairs)]
        limits += ["--time", arguments.time] if arguments.time else []
        side_by_side(root, limits, arguments.scenario, nice=arguments.nice)
        loop(root, limits, nice=arguments.nice)
