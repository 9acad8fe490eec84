"""The doctor says what is there, what is missing and how to get it, and what works against itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildopt.cache import Wrapper
from buildopt.cargo.model import LinkerProbe, Toolchain
from buildopt.errors import ManifestError, Problem, ProfileError, ToolMissing
from buildopt.host import Host
from buildopt.profile import model
from buildopt.profile.model import Cache, Cargo, Linker, Profile, Requires, Stage
from buildopt.record import Health, Record, RunRow
from buildopt.report.doctor import Finding, Machine, Tool, as_json, as_text, diagnose, examine
from buildopt.testing import ScriptedHost, finished

TOOLCHAIN = Toolchain("1.95.0", "1.95.0", "x86_64-unknown-linux-gnu", False)
VERSIONS = {
    "cargo": "1.95.0", "rustc": "1.95.0", "clippy": "0.1.95", "rustfmt": "1.9.0", "nextest": "0.9.143",
    "git": "2.47.3", "sccache": "0.16.0", "nox": "2026.10.20", "python": "3.11.7",
}  # fmt: skip
LINKERS = (
    LinkerProbe("mold", Path("/usr/bin/mold"), True, False, ("-Clink-arg=-fuse-ld=mold",), "linked a trial program"),
    LinkerProbe("rust-lld", None, True, True, (), "rustc uses it here without being told"),
    LinkerProbe("wild", None, False, False, (), "not found"),
)
HEALTHY = Health(".buildopt/record.sqlite", True, True, True, 12, 40_960, None, ())
PROFILE = Profile(
    version=1,
    requires=Requires(cargo=">=1.85"),
    cache=Cache(wrapper="sccache"),
    cargo=Cargo(linker=Linker(prefer=("wild", "mold"))),
    stages={"quick-check": Stage(run=("check", "clippy"), scope="affected"), "full": Stage(run=("fmt", "test"))},
)
BROKEN = finished("", stderr="cannot execute", returncode=127)
WORKING = Wrapper(active=True, env={}, why="", version="0.16.0")


def machine(*missing: str, **fields: Any) -> Machine:
    tools = tuple(
        Tool(name, None if name in missing else version, f"{name} things", f"get {name}", f"/bin/{name}")
        for name, version in VERSIONS.items()
    )
    found = Machine(tools, LINKERS, TOOLCHAIN, None, "linux x86_64", 8, 32 * 2**30, 200 * 2**30)
    return found._replace(**fields)


def findings(
    seen: Machine, profile: Profile | None = PROFILE, health: Health = HEALTHY, **more: Any
) -> dict[str, Finding]:
    return {
        finding.about: finding for finding in diagnose(seen, profile, health, **{"wrapper": WORKING, **more}).findings
    }


def test_a_machine_that_lacks_nothing_is_told_so() -> None:
    diagnosis = diagnose(machine(), PROFILE, HEALTHY, wrapper=WORKING, drift=[])
    assert diagnosis.exit_code == 0
    assert {finding.severity for finding in diagnosis.findings} == {"ok", "note"}
    assert "nothing stands in the way of a build" in as_text(diagnosis)


def test_without_a_toolchain_that_is_the_problem() -> None:
    error = ToolMissing("cargo is not found on PATH", hint="install Rust from https://rustup.rs, then open a new shell")
    seen = machine("cargo", "rustc", "clippy", "rustfmt", "nextest", toolchain=None, toolchain_error=error, linkers=())
    diagnosis = diagnose(seen, PROFILE, HEALTHY)
    assert diagnosis.exit_code == 3
    assert diagnosis.findings[0] == Finding("problem", "cargo", error.message, error.hint)
    assert len([finding for finding in diagnosis.findings if finding.severity == "problem"]) == 1


@pytest.mark.parametrize(
    ("missing", "severity", "todo"),
    [
        ("clippy", "problem", "rustup component add clippy"),
        ("rustfmt", "problem", "rustup component add rustfmt"),
        ("nextest", "note", "cargo install --locked cargo-nextest"),
        ("git", "warning", "install git with the package manager of the system"),
        ("nox", "note", "pip install nox"),
    ],
)
def test_what_is_missing_comes_with_the_way_to_get_it(missing: str, severity: str, todo: str) -> None:
    found = findings(machine(missing))[missing]
    assert (found.severity, found.todo) == (severity, todo)
    assert diagnose(machine(missing), PROFILE, HEALTHY, wrapper=WORKING).exit_code == (
        3 if severity == "problem" else 0
    )


def test_a_tool_that_no_stage_needs_is_a_note_or_not_worth_a_word() -> None:
    profile = Profile(version=1, stages={"core": Stage(run=("build",))})
    found = findings(machine("clippy", "rustfmt", "nextest", "git", "sccache"), profile, wrapper=None)
    assert found["clippy"].severity == found["rustfmt"].severity == "note"
    assert not {"nextest", "git", "sccache"} & found.keys()
    assert "nextest" in findings(machine("nextest"), Profile(version=1, tests={"gpu": model.TestGroup()}))


def test_the_compiler_cache_is_reported_as_a_run_would_use_it() -> None:
    assert findings(machine())["sccache"].severity == "ok"
    off = Wrapper(
        active=False, env={}, why="sccache is not used: its port is taken; the build goes on without the cache"
    )
    assert findings(machine(), wrapper=off)["sccache"] == Finding("warning", "sccache", off.why)
    assert findings(machine("sccache"), wrapper=off)["sccache"].todo is not None
    assert findings(machine("sccache"), wrapper=None)["sccache"].severity == "warning"


def test_the_linker_is_the_first_preferred_one_that_works() -> None:
    found = findings(machine())["linker"]
    assert found.message == "mold links on this machine: wild is not used (not found)"
    assert found.todo == "install wild with the package manager of the system"
    first = Profile(version=1, cargo=Cargo(linker=Linker(prefer=("mold", "wild"))))
    assert "linker" not in findings(machine(), first)
    none = Profile(version=1, cargo=Cargo(linker=Linker(prefer=("wild",))))
    assert findings(machine(), none)["linker"].message.startswith("the default linker is used: wild is not used")


def test_requirements_that_do_not_hold_are_problems() -> None:
    unmet = [Problem("rustc >=2.0 is required, found 1.95.0", key="requires.rustc", hint="rustup update")]
    diagnosis = diagnose(machine(), PROFILE, HEALTHY, unmet=unmet)
    assert diagnosis.findings[0] == Finding("problem", "requires.rustc", unmet[0].message, "rustup update")
    assert diagnosis.exit_code == 3
    assert "requires" not in {finding.about for finding in diagnosis.findings}
    assert findings(machine())["requires"].severity == "ok"
    assert "requires" not in findings(machine(), Profile(version=1))


def test_drift_is_named_by_its_files_and_by_what_mends_it() -> None:
    assert findings(machine(), drift=["a", "b"])["sync"] == Finding(
        "warning", "sync", "not what the profile says: a, b", "buildopt sync writes them; --dry-run only shows the diff"
    )
    assert findings(machine(), drift=list("abcdef"))["sync"].message.endswith("a, b, c, d and 2 more")
    assert findings(machine(), drift=[])["sync"].severity == "ok"
    assert "sync" not in findings(machine(), drift=None)


def test_the_record_is_looked_after() -> None:
    assert findings(machine())["record"].message == "12 runs, 40 KiB"
    newer = HEALTHY._replace(usable=False, note="the record has format 9 of a newer buildopt", runs=0)
    assert findings(machine(), health=newer)["record"].severity == "warning"
    aside = HEALTHY._replace(set_aside=("record.sqlite.damaged-1",))
    told = [finding for finding in diagnose(machine(), PROFILE, aside).findings if finding.about == "record"]
    assert [finding.severity for finding in told] == ["note", "ok"]
    assert told[0].message == "damaged earlier and set aside: record.sqlite.damaged-1"
    assert "record" not in findings(machine(), health=HEALTHY._replace(exists=False, runs=0))


def test_too_little_room_is_said() -> None:
    found = findings(machine(free_bytes=2**30, memory_bytes=4 * 2**30))
    assert found["disk"].severity == found["memory"].severity == "warning"
    assert not {"disk", "memory"} & findings(machine(free_bytes=None, memory_bytes=None)).keys()


def test_no_profile_is_no_mistake_and_a_broken_one_is() -> None:
    nothing = ProfileError("there is no buildopt.toml", hint="buildopt init writes one")
    assert findings(machine(), None)["profile"].severity == "note"
    assert findings(machine(), None, trouble=nothing)["profile"].severity == "note"
    assert diagnose(machine(), None, HEALTHY, trouble=nothing).exit_code == 0
    broken = ProfileError(
        "the profile has 1 problem",
        problems=(Problem("unknown key", file="buildopt.toml", key="stags", hint='did you mean "stages"?'),),
    )
    diagnosis = diagnose(machine(), None, HEALTHY, trouble=broken)
    assert diagnosis.findings[0] == Finding(
        "problem", "profile", "buildopt.toml: stags: unknown key", 'did you mean "stages"?'
    )
    assert diagnosis.exit_code == 2
    refused = ManifestError("cargo does not accept the workspace", hint="mend Cargo.toml")
    assert diagnose(machine(), PROFILE, HEALTHY, trouble=refused).exit_code == 2
    assert diagnose(machine("clippy"), PROFILE, HEALTHY, trouble=refused).exit_code == 3, "what is missing comes first"
    assert diagnose(machine(), PROFILE, HEALTHY, trouble=ToolMissing("is told elsewhere")).exit_code == 0


def test_the_gravest_comes_first_and_each_says_what_to_do() -> None:
    diagnosis = diagnose(
        machine("clippy", "git", "nextest", free_bytes=1),
        PROFILE,
        HEALTHY._replace(note="damaged"),
        conflicts=[Finding("warning", ".cargo/config.toml", "flags hide flags", "join them")],
        drift=["a"],
    )
    order = ["problem", "warning", "note", "ok"]
    ranks = [order.index(finding.severity) for finding in diagnosis.findings]
    assert ranks == sorted(ranks)
    assert all(finding.todo for finding in diagnosis.findings if finding.severity != "ok")


def test_the_text_for_people(snapshot: Any) -> None:
    diagnosis = diagnose(
        machine("clippy", "sccache"),
        PROFILE,
        HEALTHY,
        conflicts=[Finding("warning", ".cargo/config.toml", "target.rustflags hides build.rustflags: Cargo does not join the two, and the flags of [build] are lost", "move them into one table")],
        drift=[".cargo/buildopt.toml"],
        wrapper=None,
    )  # fmt: skip
    plain = as_text(diagnosis, 90)
    assert plain == snapshot
    assert max(map(len, plain.splitlines())) <= 90
    assert re.sub(r"\x1b\[\d+m", "", as_text(diagnosis, 90, color=True)) == plain


def test_the_json_has_the_keys_that_scripts_rely_on() -> None:
    document = json.loads(json.dumps(as_json(diagnose(machine("sccache"), PROFILE, HEALTHY))))
    assert document["version"] == 1
    assert document["exit_code"] == 0
    assert document["tools"][0] == {
        "name": "cargo",
        "version": "1.95.0",
        "status": "ok",
        "path": "/bin/cargo",
        "purpose": "cargo things",
        "get": "get cargo",
    }
    assert {tool["name"]: tool["status"] for tool in document["tools"]}["sccache"] == "missing"
    assert {"severity", "about", "message", "todo"} == document["findings"][0].keys()
    assert document["linkers"][0]["path"] == "/usr/bin/mold"
    assert document["machine"] == {
        "system": "linux x86_64",
        "cores": 8,
        "memory_bytes": 32 * 2**30,
        "free_bytes": 200 * 2**30,
    }


def test_a_machine_with_nothing_on_it_is_examined_all_the_same(tmp_path: Path) -> None:
    diagnosis = examine(ScriptedHost({"sccache": BROKEN}), tmp_path, tmp_path / ".buildopt", PROFILE)
    assert diagnosis.exit_code == 3
    assert diagnosis.findings[0].about == "cargo"
    assert not (tmp_path / ".buildopt").exists()


def test_a_tool_that_fails_when_it_is_asked_counts_as_missing(tmp_path: Path) -> None:
    seen = examine(ScriptedHost({"git": BROKEN, "sccache": BROKEN}), tmp_path, tmp_path / ".buildopt", None).machine
    assert seen.version("git") is None
    assert seen.version("sccache") is None


def test_this_machine_and_a_workspace_with_settings_that_fight(
    host: Host, three_packages: Path, need: Callable[[str], Path]
) -> None:
    need("cargo")
    (three_packages / ".cargo").mkdir()
    (three_packages / ".cargo" / "config.toml").write_text(
        '[build]\nrustflags = ["-Cdebuginfo=1"]\n[target.\'cfg(all())\']\nrustflags = ["-Copt-level=0"]\n[profile.dev]\ndebug = 0\n'
    )
    manifest = three_packages / "Cargo.toml"
    manifest.write_text(manifest.read_text() + "[profile.dev]\ndebug = 1\n")
    state = three_packages / ".buildopt"
    with Record.open(host, state) as record:
        record.begin_run(RunRow("run-1", "run core", 1.0))
        record.finish_run("success", wall_seconds=1.0)
    profile = Profile(version=1, requires=Requires(cargo=">=1.60", rustc=">=99"))
    diagnosis = examine(host, three_packages, state, profile, drift=None)
    said = "\n".join(finding.message for finding in diagnosis.findings)
    assert diagnosis.exit_code == 3
    assert "rustc >=99 is required" in said
    assert "hides build.rustflags" in said
    assert "[profile.dev] is said twice" in said
    assert "1 run, " in said
    assert diagnosis.machine.version("cargo") is not None
    assert diagnosis.machine.free_bytes is not None


def test_a_cargo_configuration_that_is_broken_is_a_problem(
    host: Host, three_packages: Path, need: Callable[[str], Path]
) -> None:
    need("cargo")
    (three_packages / ".cargo").mkdir()
    (three_packages / ".cargo" / "config.toml").write_text("[build\n")
    diagnosis = examine(host, three_packages, three_packages / ".buildopt", None)
    assert "config.toml" in "\n".join(
        finding.message for finding in diagnosis.findings if finding.severity == "problem"
    )
