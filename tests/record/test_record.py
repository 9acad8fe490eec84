"""What is written to the record comes back, and what is asked of it is answered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median_high

import pytest
from hypothesis import given
from hypothesis import strategies as st

import buildopt
from buildopt.host import Host
from buildopt.record import CacheRow, CrateCost, Record, RunRow, StageRow, StepRow, UnitRow, host_class, new_run_id
from buildopt.testing import ScriptedHost

PROJECT = Path(buildopt.__file__).parents[1]
RUN = RunRow(
    id="20260822T101500123Z-1a2b3c4d",
    verb="run quick-check",
    started_at=1_787_393_700.123,
    cargo="1.95.0",
    rustc="1.95.0",
    profile_fingerprint="f00d",
    git_sha="0" * 40,
    dirty=True,
    host_class="linux-2c-24g",
    cores=2,
    ci=True,
)
CACHE = CacheRow(12, 3, 1, {"crate-type": 4, "incremental": 2}, "Local disk")
STAGE = StageRow(
    "quick-check", "failure", 4.2, 6.1, 2**33, ("core", "api"), 1, 1, 5.0, 120.0, True, "clippy: exit code 101", CACHE
)
STEP = StepRow(
    "quick-check", "clippy", ("cargo", "clippy", "--package", "core"), "failure", 4.1, 6.0, 2**33, True, "exit code 101"
)
UNITS = (
    UnitRow(
        "core",
        "0.1.0",
        "lib",
        "check",
        False,
        "the file `core/src/lib.rs` has changed",
        0.1,
        1.2,
        1.0,
        0.2,
        "quick-check",
        "clippy",
    ),
    UnitRow("serde", "1.0.219", "lib", "check", True, stage="quick-check", step="clippy"),
)


def write(record: Record, run: RunRow = RUN, units: tuple[UnitRow, ...] = UNITS) -> bool:
    record.begin_run(run)
    record.add_stage(STAGE)
    record.add_step(STEP)
    record.add_units("quick-check", "clippy", units)
    record.add_note("sccache is not used: it was not found on PATH")
    return record.finish_run("failure", wall_seconds=4.3, cpu_seconds=6.2)


def test_a_run_comes_back_as_it_was_written(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        assert write(record)
    with Record.open(host, state) as record:
        assert record.runs() == (RUN._replace(result="failure", wall_seconds=4.3, cpu_seconds=6.2),)
        assert record.stages(RUN.id) == (STAGE,)
        assert record.steps(RUN.id) == (STEP,)
        assert record.units(RUN.id) == UNITS
        assert record.notes(RUN.id) == ("sccache is not used: it was not found on PATH",)
        assert record.last_stage("quick-check") == (record.runs()[0], STAGE)
        assert record.note is None


def test_nothing_is_created_by_looking(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        assert record.runs() == ()
        assert record.units("none") == ()
        assert record.usual_seconds("quick-check") is None
        assert record.last_stage("quick-check") is None
        assert not record.health().exists
    assert not state.exists()


def test_the_state_folder_ignores_itself_in_git(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        write(record)
    assert (state / ".gitignore").read_text() == "*\n"


def test_a_finished_run_leaves_one_file_behind(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        write(record)
    assert sorted(path.name for path in state.iterdir()) == [".gitignore", "record.sqlite"]


def test_an_unfinished_run_is_not_seen(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        record.begin_run(RUN)
        record.add_stage(STAGE)
    with Record.open(host, state) as record:
        assert record.runs() == ()
        assert not record.finish_run("success", wall_seconds=1.0)


def test_the_newest_run_comes_first(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    ids = [write_run(number) for number in (3, 1, 2)]
    with Record.open(host, state) as record:
        assert [run.id for run in record.runs(2)] == [ids[0], ids[2]]


def test_an_id_is_never_used_twice(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        assert write(record)
        assert not write(record)
        assert record.note is not None
        assert len(record.runs()) == 1
        assert len(record.units(RUN.id)) == len(UNITS)


def test_run_ids_sort_by_time_and_differ() -> None:
    ids = [new_run_id(moment) for moment in (0.0, 0.001, 1_787_393_700.123, 1_787_393_700.124, 4_000_000_000.0)]
    assert ids == sorted(ids)
    assert ids[2].startswith("20260822T101500123Z-") or ids[2].startswith("20260822T101500122Z-")
    assert len({new_run_id(5.0) for _ in range(200)}) == 200


def test_machines_of_one_class_have_the_same_name() -> None:
    host = ScriptedHost({})
    assert host_class(host) == host_class(ScriptedHost({}))
    assert host_class(host).startswith(f"{host.system}-{host.cores}c")


def test_slowest_packages_are_medians_over_runs_of_sums_over_units(
    host: Host, state: Path, write_run: Callable[..., str]
) -> None:
    def unit(package: str, seconds: float | None, *, fresh: bool = False) -> UnitRow:
        return UnitRow(package, "1.0.0", "lib", "build", fresh, duration_seconds=seconds, frontend_seconds=seconds)

    write_run(1, units=(unit("syn", 2.0), unit("syn", 1.0), unit("core", 9.0)))
    write_run(2, units=(unit("syn", 5.0), unit("core", None, fresh=True)))
    write_run(3, units=(unit("syn", 4.0), unit("libc", None)))
    write_run(4, units=(unit("syn", None, fresh=True),))
    with Record.open(host, state) as record:
        assert record.slowest() == (
            CrateCost("core", ("1.0.0",), 9.0, 9.0, None, 1),
            CrateCost("syn", ("1.0.0",), 4.0, 4.0, None, 3),
        )
        assert record.slowest(1)[0].package == "core"
        assert record.slowest(last=2) == (CrateCost("syn", ("1.0.0",), 4.5, 4.5, None, 2),), (
            "the run that rebuilt nothing does not count"
        )


def test_a_check_generates_no_code(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    check = UnitRow("syn", "2.0.0", "lib", "check", False, None, 0.0, 3.0, 2.0, 1.0)
    write_run(1, units=(check,))
    with Record.open(host, state) as record:
        assert record.slowest() == (CrateCost("syn", ("2.0.0",), 3.0, 2.0, None, 1),)
    write_run(2, units=(check, check._replace(mode="build", codegen_seconds=5.0)))
    with Record.open(host, state) as record:
        assert record.slowest(last=1)[0].codegen_seconds == 5.0


def test_a_success_counts_as_passed_whatever_held_it_up(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    write_run(1, result="failure")
    with Record.open(host, state) as record:
        assert not record.has_passed("quick-check")
    write_run(2, lock_wait=True)
    with Record.open(host, state) as record:
        assert record.has_passed("quick-check")
        assert not record.has_passed("core")


def test_usual_seconds_count_only_what_can_be_compared(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    like = {"profile_fingerprint": "a", "cargo": "1.95.0", "host_class": "linux-2c"}
    for number, seconds in enumerate((1.0, 2.0, 3.0)):
        write_run(number, seconds=seconds, **like)
    write_run(10, seconds=50.0, result="failure", **like)
    write_run(11, seconds=60.0, lock_wait=True, **like)
    write_run(12, seconds=70.0, polluted="machine busy", **like)
    write_run(13, seconds=80.0, stage="core", **like)
    write_run(14, seconds=9.0, **{**like, "profile_fingerprint": "b"})
    with Record.open(host, state) as record:
        assert record.usual_seconds("quick-check", RUN._replace(ci=False, **like)) == 2.0
        assert record.usual_seconds("quick-check") == 2.5
        assert record.usual_seconds("quick-check", last=1) == 9.0
        assert record.usual_seconds("quick-check", RUN) is None, "a CI run is not compared with one on a desk"


def test_prune_keeps_the_last_runs_and_leaves_nothing_of_the_others(
    host: Host, state: Path, write_run: Callable[..., str]
) -> None:
    for number in range(8):
        write_run(number, units=UNITS)
    with Record.open(host, state) as record:
        assert record.prune(3) == 5
        assert record.prune(3) == 0
        assert [run.id for run in record.runs(100)] == ["run-00007", "run-00006", "run-00005"]
        assert record.units("run-00004") == record.stages("run-00004") == ()
        assert len(record.units("run-00005")) == 2


def test_older_runs_keep_the_units_that_were_rebuilt(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    for number in range(22):
        write_run(number, units=UNITS)
    with Record.open(host, state) as record:
        record.prune(1000)
        assert [unit.package for unit in record.units("run-00001")] == ["core"]
        assert [unit.package for unit in record.units("run-00002")] == ["core", "serde"]
        assert record.stages("run-00001")[0].fresh == 1


def test_the_record_of_a_thousand_runs_does_not_grow(host: Host, state: Path) -> None:
    units = tuple(UnitRow(f"crate-{n}", "1.0.0", "lib", "check", n >= 20, None, 0.1, 0.2) for n in range(100))
    sizes = []
    with Record.open(host, state) as record:
        for number in range(300):
            write(record, RUN._replace(id=f"run-{number:05d}"), units)
            record.prune(50)
            sizes.append((state / "record.sqlite").stat().st_size)
    assert sizes[-1] <= 1.2 * max(sizes[:150])
    assert sizes[-1] < 1_500_000


def test_no_credentials_and_no_endless_text_are_kept(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        record.begin_run(RUN)
        record.add_stage(
            STAGE._replace(
                detail="x" * 10_000,
                packages=tuple(f"p{n}" for n in range(5000)),
                cache=CACHE._replace(location="redis://user:hunter2@cache:6379/0"),
            )
        )
        record.add_step(
            STEP._replace(argv=("cargo", "--index", "https://token:hunter2@example.com/index", "y" * 10_000))
        )
        record.add_note("cannot reach redis://:hunter2@cache")
        record.add_units("quick-check", "check", [UNITS[0]._replace(reason="z" * 10_000)] * 30_000)
        assert record.finish_run("success", wall_seconds=1.0)
        record.close()
        content = (state / "record.sqlite").read_bytes()
        assert b"hunter2" not in content
        stage = record.stages(RUN.id)[0]
        assert len(stage.detail or "") == 500
        assert stage.packages[-1] == "… and 4000 more"
        assert record.steps(RUN.id)[0].argv[:3] == ("cargo", "--index", "https://…@example.com/index")
        assert len(record.units(RUN.id)) == 20_000


anything = st.text(st.characters(codec=None), max_size=60)  # lone surrogates included: file names have them


@given(verb=anything, package=anything, reason=anything, note=anything, seconds=st.floats(), size=st.integers())
def test_any_text_and_any_number_is_written_or_refused_politely(
    tmp_path_factory: pytest.TempPathFactory, verb: str, package: str, reason: str, note: str, seconds: float, size: int
) -> None:
    state = tmp_path_factory.mktemp("any")
    with Record.open(Host({}), state) as record:
        record.begin_run(RUN._replace(verb=verb))
        record.add_stage(STAGE._replace(name=package, packages=(package, note), peak_bytes=size))
        record.add_units(package, verb, [UNITS[0]._replace(package=package, reason=reason, duration_seconds=seconds)])
        record.add_note(note)
        written = record.finish_run("success", wall_seconds=seconds)
        assert written == (-(2**63) <= size < 2**63)
        assert written == (record.note is None)
        if written:
            assert (
                record.stages(RUN.id)[0].packages
                == tuple(t.encode("utf-8", "replace").decode() for t in (package, note))
                or "://" in package + note
            )
            assert len(record.units(RUN.id)) == 1


def test_a_run_of_300_units_is_written_in_under_5_ms(
    host: Host, state: Path, cpu_seconds: Callable[..., float]
) -> None:
    units = tuple(
        UnitRow(
            f"crate-{n}",
            "1.0.219",
            "lib",
            "check",
            n % 3 == 0,
            "the file `src/lib.rs` has changed",
            0.1 * n,
            0.3,
            0.2,
            0.1,
        )
        for n in range(300)
    )
    numbers = count()
    with Record.open(host, state) as record:

        def begin() -> None:
            record.begin_run(RUN._replace(id=f"run-{next(numbers)}"))
            record.add_stage(STAGE)
            record.add_units("quick-check", "clippy", units)

        written = []

        def finish() -> None:
            written.append(record.finish_run("success", wall_seconds=4.0))

        assert cpu_seconds(finish, first=begin, calls=12, of=median_high) < 0.005
        assert written == [True] * 12


def test_sqlite_is_not_loaded_before_there_is_something_to_do() -> None:
    program = (
        "import sys; from pathlib import Path; from buildopt.host import Host; from buildopt.record import Record;"
        "Record.open(Host(), Path('nowhere')).runs(); print('sqlite3' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
