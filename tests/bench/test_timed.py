from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildopt.bench.arms import Arm
from buildopt.bench.commands import Call, calls
from buildopt.bench.measured import Measured, joined
from buildopt.bench.scenarios import parse_scenario
from buildopt.bench.timed import DISK_FULL, run_calls
from buildopt.cargo.model import Components, Package, Target, Workspace
from buildopt.errors import ArgumentError
from buildopt.host import Command, Finished, Host
from buildopt.host.speed import Speed
from buildopt.profile.model import Profile, Stage
from buildopt.testing import ScriptedHost

ROOT = Path("/ws")
ALL = Components("1.95.0", "1.95.0", "0.9.128")


def member(name: str) -> Package:
    target = Target(name, ("lib",), f"/ws/{name}/src/lib.rs", True, True)
    return Package(f"path+file:///ws/{name}#0.1.0", name, "0.1.0", ROOT / name / "Cargo.toml", True, {}, (), (target,))


BASE, APP, OTHER = member("base"), member("app"), member("other")
WORKSPACE = Workspace(ROOT, ROOT / "target", (APP, BASE, OTHER), {APP.id: ((BASE.id, ("normal",)),)}, 0, True)


def argvs(
    arm: Arm, scenario: str, profile: Profile | None = None, *, components: Components = ALL, edited: Path | None = None
) -> list[str]:
    found = calls(
        arm, parse_scenario(scenario), WORKSPACE, components, profile or Profile(version=1),
        cargo="cargo", target=Path("/t"), edited=edited,
    )  # fmt: skip
    return [" ".join(call.argv) for call in found]


def test_a_task_is_one_call_for_the_whole_workspace_in_the_target_directory_of_the_arm() -> None:
    (line,) = argvs(Arm("debug=0", ("profile.dev.debug=0",)), "leaf/build")
    assert line.startswith("cargo build --target-dir /t --config profile.dev.debug=0 --workspace")
    assert "--timings" not in line


def test_a_release_build_has_the_settings_in_its_own_profile() -> None:
    (line,) = argvs(Arm("debug=0", ("profile.dev.debug=0",)), "release/build")
    assert "--config profile.release.debug=0" in line
    assert "--profile release" in line


def test_tests_are_built_and_then_run() -> None:
    assert [line.split()[1] for line in argvs(Arm("default"), "leaf/test")] == ["test", "nextest", "test"]
    assert len(argvs(Arm("default"), "leaf/test-no-run")) == 1
    without = argvs(Arm("default"), "leaf/test", components=ALL._replace(nextest=None))
    assert [line.split()[1] for line in without] == ["test", "test"]
    assert all("--target-dir /t" in line for line in without)


def test_a_cycle_is_clippy_and_tests() -> None:
    assert [line.split()[1] for line in argvs(Arm("default"), "leaf/cycle")] == ["clippy", "test", "nextest", "test"]


def test_plain_is_what_people_type() -> None:
    assert argvs(Arm("plain", kind="plain"), "leaf/cycle") == [
        "cargo check --target-dir /t --workspace --message-format=json-render-diagnostics",
        "cargo clippy --target-dir /t --workspace",
        "cargo test --target-dir /t --workspace",
    ]


def test_declared_runs_the_stages_up_to_the_tests_on_what_the_edit_affects() -> None:
    stages = {
        "quick": Stage(run=("fmt", "check", "clippy"), scope="affected"),
        "core": Stage(run=("test",), requires=("quick",), scope="affected", cargo_profile="release"),
        "full": Stage(run=("test",), requires=("core",)),
    }
    lines = argvs(
        Arm("declared", kind="declared"), "hub/cycle", Profile(version=1, stages=stages), edited=ROOT / "app/src/lib.rs"
    )
    assert [line.split()[1] for line in lines] == ["fmt", "clippy", "test", "nextest", "test"]
    assert all("other" not in line and "base" not in line for line in lines)
    assert "--target-dir" not in lines[0]
    assert "--profile release" in lines[2]
    assert "--cargo-profile release" in lines[3]


@pytest.mark.parametrize("kind", ["plain", "declared"])
def test_how_a_cycle_is_done_says_nothing_of_other_scenarios(kind: str) -> None:
    with pytest.raises(ArgumentError, match="leaf/build"):
        argvs(Arm(kind, kind=kind), "leaf/build")


def test_declared_needs_stages() -> None:
    with pytest.raises(ArgumentError, match="none"):
        argvs(Arm("declared", kind="declared"), "leaf/cycle")


class Clocked(ScriptedHost):
    """Two processors, busy for as long as a test says."""

    busy = 100.0

    @property
    def cores(self) -> int:
        return 2

    def busy_seconds(self) -> float | None:
        return self.busy

    def costs(self, wall: float, cpu: float, *, others: float = 0.0, **said: str) -> Finished:
        self.time += wall
        self.busy += cpu + others
        code = int(said.get("code", "0"))
        return Finished(code, wall, cpu, 1 << 20, said.get("out", "").encode(), said.get("err", "").encode())


ARTIFACT = {
    "reason": "compiler-artifact",
    "package_id": BASE.id,
    "target": {"kind": ["lib"], "name": "base"},
    "filenames": [],
}
TOLD = "".join(json.dumps({**ARTIFACT, "fresh": fresh}, separators=(",", ":")) + "\n" for fresh in (True, False, False))


def timed(host: Clocked, *run: Call, complete: bool = True):
    return run_calls(
        host, run or (Call(("cargo", "build"), True, False),), ROOT, {}, timeout_seconds=60, complete=complete
    )


def test_costs_are_added_and_units_counted() -> None:
    host = Clocked({"cargo": lambda _command: host.costs(2.0, 3.0, out=TOLD)})
    found = timed(host, Call(("cargo", "build"), True, False), Call(("cargo", "test"), False, True)).measured
    assert (found.wall_seconds, found.cpu_seconds, found.rebuilt, found.test_seconds) == (4.0, 6.0, 2, 2.0)
    assert (found.external_share, found.lock_wait, found.result) == (0.0, False, "success")


def test_what_others_used_of_the_processors_is_told() -> None:
    host = Clocked({"cargo": lambda _command: host.costs(10.0, 5.0, others=5.0)})
    assert timed(host).measured.external_share == pytest.approx(0.25)


def test_what_tells_the_speed_of_the_machine_is_no_other_process() -> None:
    class Known(Clocked):
        def speed(self) -> Speed:
            speed = Speed()
            speed.cpu_seconds = 2.0
            return speed

    host = Known({"cargo": lambda _command: host.costs(10.0, 5.0, others=2.0)})
    assert timed(host).measured.external_share == 0.0


def test_how_fast_the_machine_was_is_known_of_a_run_that_is_long_enough(tmp_path: Path) -> None:
    def run(seconds: str) -> Measured:
        return run_calls(Host(), (Call(("sleep", seconds), False, False),), tmp_path, {}, timeout_seconds=60).measured

    assert run("0.1").unit_seconds is None
    unit = run("8").unit_seconds
    assert unit is not None
    assert 0 < unit < 1
    before = run("0")
    both = joined(before._replace(unit_seconds=unit), before._replace(unit_seconds=3 * unit))
    assert both.unit_seconds == pytest.approx(2 * unit)
    assert joined(before, before._replace(unit_seconds=unit)).unit_seconds is None


def test_it_is_unknown_where_a_server_works_too() -> None:
    host = Clocked({"cargo": lambda _command: host.costs(10.0, 5.0, others=5.0)})
    found = timed(host, complete=False).measured
    assert found.external_share is None
    assert not found.cpu_complete


def test_waiting_for_another_cargo_is_told() -> None:
    words = "    Blocking waiting for file lock on build directory\n"
    host = Clocked({"cargo": lambda _command: host.costs(1.0, 1.0, err=words)})
    assert timed(host).measured.lock_wait


def test_the_first_failure_ends_it_with_the_line_that_says_why() -> None:
    words = "   Compiling base\n\x1b[1;31merror[E0308]\x1b[0m: mismatched types\nnote: more\n"
    host = Clocked({"cargo": lambda _command: host.costs(1.0, 1.0, err=words, code="101")})
    found = timed(host, Call(("cargo", "build"), True, False), Call(("cargo", "test"), False, True))
    assert found.words == "error[E0308]: mismatched types"
    assert found.measured.result == "failure"
    assert len(host.commands) == 1


def test_a_failing_test_is_named() -> None:
    out = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n"
    host = Clocked({"cargo": lambda _command: host.costs(1.0, 1.0, out=out, err="error: test failed\n", code="101")})
    assert timed(host, Call(("cargo", "test"), False, True)).words == "test a::c ... FAILED"


def test_a_full_disk_is_told_apart() -> None:
    words = f"error: failed to write /t/x: {DISK_FULL} (os error 28)\n"
    host = Clocked({"cargo": lambda _command: host.costs(1.0, 1.0, err=words, code="101")})
    assert timed(host).words == DISK_FULL


def test_a_build_that_hangs_is_a_failure() -> None:
    def hang(_command: Command) -> Finished:
        return Finished(-9, 60.0, 1.0, 0, b"", b"", timed_out=True)

    found = timed(Clocked({"cargo": hang}))
    assert found.words == "it took more than 60 s"
