"""`report --slow` on a workspace that Cargo really builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildopt.cargo.crate_graph import query_crates
from buildopt.cargo.timings import TimedUnit, parse_timings
from buildopt.cargo.toolchain import probe_toolchain
from buildopt.host import Host
from buildopt.measure.critical_path import Need, critical_path
from buildopt.record import UnitRow
from buildopt.report.slow_units import jobs_of

PROFILE = """version = 1
[stages.core]
run = ["build"]
"""


def manifest(name: str, dependencies: str = "", *, version: str = "1.0.0", more: str = "") -> str:
    head = f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n{more}'
    return f"{head}\n[dependencies]\n{dependencies}"


FILES = {
    "buildopt.toml": PROFILE,
    ".gitignore": "target\n",
    "Cargo.toml": '[workspace]\nmembers = ["app", "watches", "writes"]\nresolver = "2"\n[profile.dev]\ndebug = 0\n',
    "app/Cargo.toml": manifest(
        "app", 'heavy = { path = "../vendor/heavy" }\nmade = { path = "../vendor/made" }\n'
    ),
    "app/src/lib.rs": "pub fn app() -> u32 { heavy::heavy() }\n",
    "app/src/main.rs": 'fn main() { println!("{}", app::app()); }\n',
    # A file that is never there makes Cargo run the script, and build all that depends on it, every time.
    "watches/Cargo.toml": manifest("watches", 'inner = { path = "../vendor/inner-2" }\n'),
    "watches/build.rs": 'fn main() { println!("cargo:rerun-if-changed=never-there.h"); }\n',
    "watches/src/lib.rs": "pub fn watches() -> u32 { inner::inner() }\n",
    # A script that says nothing runs again when a file of the package is new: here it writes one itself.
    "writes/Cargo.toml": manifest("writes"),
    "writes/build.rs": 'fn main() { std::fs::write("src/written.rs", "// again\\n").unwrap(); }\n',
    "writes/src/lib.rs": "pub fn writes() -> u32 { 1 }\n",
    "vendor/heavy/Cargo.toml": manifest("heavy", 'inner = { path = "../inner-1" }\n'),
    "vendor/heavy/src/lib.rs": "pub fn heavy() -> u32 { inner::inner() }\n",
    "vendor/inner-1/Cargo.toml": manifest("inner", version="1.0.0"),
    "vendor/inner-1/src/lib.rs": "pub fn inner() -> u32 { 1 }\n",
    "vendor/inner-2/Cargo.toml": manifest("inner", version="2.0.0"),
    "vendor/inner-2/src/lib.rs": "pub fn inner() -> u32 { 2 }\n",
    "vendor/made/Cargo.toml": manifest("made", more="[lib]\nproc-macro = true\n"),
    "vendor/made/src/lib.rs": "",
}  # fmt: skip
FILES["Cargo.toml"] = FILES["Cargo.toml"].replace("resolver", 'exclude = ["vendor"]\nresolver')


@pytest.fixture
def ws(tmp_path: Path, tree: Callable[[Path, Mapping[str, str]], Path], need: Callable[[str], Path]) -> Path:
    need("cargo")
    root = tree(tmp_path / "ws", FILES)
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, check=True)
    return root


def buildopt(root: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "buildopt", *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_is_wrong_with_a_real_workspace_is_found(ws: Path) -> None:
    empty = json.loads(buildopt(ws, "report", "--slow", "--json"))
    assert empty["build"] is None
    assert "CARGO_TARGET_DIR=target/slow buildopt run core --only --scope workspace" in empty["notes"][0]
    for _ in range(3):
        buildopt(ws, "run", "core", "--scope", "workspace")
    found: dict[str, Any] = json.loads(buildopt(ws, "report", "--slow", "--json"))
    assert found["build"]["newest"] is False
    assert found["build"]["units"]["fresh"] == 0
    assert any("the last build was mostly fresh" in note for note in found["notes"])
    assert found["critical_path"][-1]["unit"] in ('app bin "app"', "writes", "app")
    scripts = {row["package"]: row for row in found["build_scripts"]}
    assert scripts["watches"]["cause"] == "it watches watches/never-there.h, which does not exist"
    assert scripts["writes"]["cause"] == "it writes writes/src/written.rs, and does not say what it reads"
    (inner,) = found["duplicates"]
    assert (inner["name"], inner["versions"]) == ("inner", ["1.0.0", "2.0.0"])
    assert inner["through"] == ["app", "heavy"]
    heavy = next(row for row in found["dependencies"] if row["name"] == "heavy")
    assert heavy["pulled_in"] == ["inner 1.0.0"]
    # The lines that gate it are lines that sync takes, and that Cargo accepts.
    (ws / "buildopt.toml").write_text(PROFILE + "\n".join(heavy["gate"]) + "\n")
    assert '+heavy = { path = "../vendor/heavy", optional = true }' in buildopt(ws, "sync", "--dry-run")


@pytest.mark.slow
def test_the_path_is_the_one_that_cargo_itself_tells(ws: Path, host: Host) -> None:
    """Cargo's own page says which unit made which other one able to run: newer than what the record keeps, and never promised."""
    subprocess.run(["cargo", "test", "--no-run", "--timings", "--quiet"], cwd=ws, check=True, capture_output=True)
    (page,) = (path for path in (ws / "target" / "cargo-timings").iterdir() if path.name != "cargo-timing.html")
    html = page.read_text()
    rows, _ = json.JSONDecoder().raw_decode(html, html.index("UNIT_DATA = ") + len("UNIT_DATA = "))
    rows = [row for row in rows if row["start"] or row["duration"]]
    units = [_row(timed) for timed in parse_timings(html)]
    assert len(units) == len(rows) > 10
    jobs = jobs_of(units, query_crates(host, ws, probe_toolchain(host, ws, ws / ".buildopt").host))
    position = {row["i"]: at for at, row in enumerate(rows)}
    told: dict[int, Need] = {}
    for row in rows:
        for key, metadata in (("unblocked_units", False), ("unblocked_rmeta_units", True)):
            told.update(
                {position[other]: Need(position[row["i"]], metadata) for other in row[key] if other in position}
            )
    assert told
    for at, need in told.items():
        assert need in jobs[at].needs, f"{units[at]} waited for {units[need.job]}"
    chain = [max(range(len(jobs)), key=lambda at: (jobs[at].end, -at))]
    while chain[-1] in told:
        chain.append(told[chain[-1]].job)
    assert [link.job for link in critical_path(jobs)] == chain[::-1]


def _row(unit: TimedUnit) -> UnitRow:
    return UnitRow(unit.package, unit.version, unit.target, unit.mode, False, None, *unit[5:])
