"""Why a build is slow, from records and graphs that are made up: each answer, and that each line ends with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildopt.cargo.crate_graph import Crate, Edge
from buildopt.cargo.model import Dependency, Package
from buildopt.host import Host
from buildopt.record import Record, RunRow, StageRow, StepRow, UnitRow
from buildopt.report.slow import Surroundings, view_slow
from buildopt.report.slow_bounds import Where, bound_of, fastest_rebuilds
from buildopt.report.slow_dependencies import only_through, read_built
from buildopt.report.slow_scripts import RecordedRun, reruns
from buildopt.report.slow_text import as_json, as_text
from buildopt.report.slow_units import find_build, jobs_of, label
from buildopt.report.slow_view import Rerun, SlowView

NOW = 1_750_000_000.0
ARGV = ("cargo", "build", "--workspace", "--features", "app/fast", "-v", "--timings")


def crate(name: str, *edges: str, version: str = "1.0.0", member: bool = False, macro: bool = False) -> Crate:
    """Return a package whose id is its name, or name and version; an edge is `name`, `name=build` or `name=dev`."""
    found = tuple(Edge(edge.partition("=")[0], (edge.partition("=")[2] or "normal",)) for edge in edges)  # type: ignore[arg-type]
    return Crate(
        name if version == "1.0.0" else f"{name}{version}", name, version, member, macro, links=False, edges=found
    )


def graph(*crates: Crate) -> dict[str, Crate]:
    return {each.id: each for each in crates}


def unit(package: str, start: float, seconds: float, frontend: float | None = None, **fields: Any) -> UnitRow:
    codegen = None if frontend is None else seconds - frontend
    row = UnitRow(package, "1.0.0", "lib", "build", False, None, start, seconds, frontend, codegen)
    return row._replace(**fields)


def declares(name: str, *dependencies: Dependency, **features: tuple[str, ...]) -> Package:
    return Package(name, name, "1.0.0", Path(f"/ws/{name}/Cargo.toml"), True, features, dependencies, ())


def needs(name: str, *, kind: str = "normal", optional: bool = False) -> Dependency:
    return Dependency(name, name, kind, None, optional, None)  # type: ignore[arg-type]


# app needs core and heavy; heavy pulls in two packages, of which core needs one as well; the tests of app need checker.
GRAPH = graph(
    crate("app", "core", "heavy", "checker=dev", member=True),
    crate("core", "shared", "derive", member=True),
    crate("heavy", "shared", "only-heavy"),
    crate("only-heavy"),
    crate("shared"),
    crate("derive", macro=True),
    crate("checker"),
)
UNITS = (
    unit("shared", 0.1, 1.0, 0.6),
    unit("derive", 0.1, 2.0),
    unit("only-heavy", 1.1, 3.0, 0.5),
    unit("heavy", 2.1, 4.0, 1.0),
    unit("core", 4.1, 3.0, 2.5),
    unit("app", 7.1, 2.0, target='bin "app"'),
    unit("app", 7.1, 5.0, target='bin "tool"'),
)
MEMBERS = (declares("app", needs("core"), needs("heavy")), declares("core", needs("shared"), needs("derive")))
AROUND = Surroundings(GRAPH, MEMBERS, {}, (False, False), lambda _path: None, "buildopt run core")


@pytest.fixture
def record(host: Host, tmp_path: Path) -> Iterator[Record]:
    with Record.open(host, tmp_path / ".buildopt") as record:
        yield record


@pytest.fixture
def add(record: Record) -> Callable[..., None]:
    def write(ago: float, units: tuple[UnitRow, ...], *, cpu: float = 20.0, polluted: str | None = None) -> None:
        record.begin_run(RunRow(f"run-{NOW - ago:.0f}", "run core", NOW - ago, cores=2))
        record.add_stage(StageRow("core", "success", 14.0, cpu))
        record.add_step(StepRow("core", "build", ARGV, "success", 14.0, cpu))
        record.add_units("core", "build", units)
        assert record.finish_run("success", wall_seconds=14.0, polluted=polluted)

    return write


def look(record: Record, around: Surroundings = AROUND) -> SlowView:
    return view_slow(record, find_build(record), around)


def items(text: str) -> list[str]:
    """Return the list items of a text, each on one line, without the lines of gates."""
    lines = [line for line in text.splitlines() if line.startswith(("  - ", "    ")) and not line.startswith("      ")]
    return "\n".join(lines).replace("\n    ", " ").split("\n")


def test_each_answer_about_one_build(record: Record, add: Callable[..., None]) -> None:
    add(60, UNITS)
    view = look(record)
    assert view.build is not None
    assert view.build.features == ("--features", "app/fast")
    assert [link.unit for link in view.path] == ["derive", "core", 'app bin "tool"']
    assert sum(link.seconds + link.waited_seconds for link in view.path) == pytest.approx(view.build.seconds)
    assert view.path[-1].unit == 'app bin "tool"'
    assert next((part.unit, round(part.seconds, 1)) for part in view.serial) == ('app bin "tool"', 3.0)
    (heavy,) = [row for row in view.dependencies if row.name == "heavy"]
    assert (heavy.work_seconds, heavy.pulled_in, heavy.members) == (7.0, ("only-heavy 1.0.0",), ("app",))
    assert heavy.gate == ("[features.app]", 'heavy = ["dep:heavy"]')
    assert heavy.wall_seconds == pytest.approx(2.0)
    assert "shared" not in {row.name for row in view.dependencies}, "heavy needs it as well as core does"
    lean = look(record, AROUND._replace(lean=(False, True)))
    assert [bound.todo for bound in lean.bounds if bound.unit == "heavy"] == [
        "its debug info is lean already: cargo llvm-lines --package heavy@1.0.0 (a tool of its own) shows what generates most"
    ]
    kinds = {bound.unit: bound.kind for bound in view.bounds}
    assert kinds["core"] == "frontend"
    assert kinds["heavy"] == "codegen"
    assert kinds["derive"] == "procedural macro"
    assert kinds['app bin "tool"'] == "executable"
    assert [row.cores for row in view.more_cores] == [4, 8, None]


def test_every_line_ends_with_what_to_do(record: Record, add: Callable[..., None]) -> None:
    add(
        90,
        (
            unit(
                "shared",
                0.1,
                1.0,
                0.6,
                mode="run-custom-build",
                target="build-script",
                reason="the file `x` is missing",
            ),
        ),
    )
    add(60, (*UNITS, unit("shared", 6.1, 1.5, 0.6, version="0.9.0")), cpu=2.0, polluted="waited for a lock")
    around = AROUND._replace(
        graph=GRAPH | graph(crate("shared", version="0.9.0"), crate("heavy", "shared0.9.0", "only-heavy"))
    )
    for width in (60, 100, 140):
        text = as_text(look(record, around), width)
        found = items(text)
        assert len(found) > 20
        for line in found:
            what, arrow, todo = line.partition(" → ")
            assert arrow, line
            assert what.removeprefix("  - ").strip(), line
            assert len(todo) > 5, line
        assert max(map(len, text.splitlines())) <= width
    assert "other programs were using the processors" in " ".join(items(text))
    assert "upgrade heavy (needed by app)" in " ".join(items(text))


def test_the_document_has_every_part(record: Record, add: Callable[..., None]) -> None:
    add(60, UNITS)
    document = json.loads(json.dumps(as_json(look(record))))
    assert document["version"] == 1
    assert document.keys() == {
        "version", "build", "notes", "verdict", "critical_path", "unlimited_path", "serial", "bounds", "dependencies",
        "duplicates", "build_scripts", "more_cores",
    }  # fmt: skip
    assert document["build"]["units"] == {"fresh": 0, "rebuilt": 7}
    for part in ("critical_path", "unlimited_path", "serial", "bounds", "dependencies", "more_cores"):
        assert document[part], part
        assert all(row["todo"] for row in document[part])


def test_an_empty_record_says_what_makes_a_build(record: Record) -> None:
    text = as_text(look(record))
    assert text == "Why it is slow\n  - the record holds no build that rebuilt anything → buildopt run core\n"
    assert as_json(look(record))["build"] is None


def test_a_fresh_build_leads_to_the_one_before_it(record: Record, add: Callable[..., None]) -> None:
    fresh = tuple(each._replace(fresh=True, start_seconds=None, duration_seconds=None) for each in UNITS)
    add(600, UNITS)
    add(60, (*fresh, unit("app", 0.1, 0.5, 0.2)))
    view = look(record)
    assert view.build is not None
    assert (view.build.run.id, view.build.newest) == (f"run-{NOW - 600:.0f}", False)
    assert any("the last build was mostly fresh" in note for note in view.notes)


def test_without_a_build_that_rebuilt_much_the_largest_is_shown_and_said(
    record: Record, add: Callable[..., None]
) -> None:
    fresh = tuple(each._replace(fresh=True, start_seconds=None, duration_seconds=None) for each in UNITS)
    add(600, (*fresh, unit("heavy", 0.1, 2.5, 0.2)))
    add(60, (*fresh, unit("app", 0.1, 0.5, 0.2)))
    view = look(record)
    assert view.build is not None
    assert view.build.units[0].package == "heavy"
    assert any("1 of 8 units → for a better one, on a quiet machine: buildopt run core" in note for note in view.notes)


def test_a_build_that_failed_is_not_the_one(record: Record, add: Callable[..., None]) -> None:
    add(600, UNITS)
    record.begin_run(RunRow("run-later", "run core", NOW, cores=2))
    record.add_stage(StageRow("core", "failure", 1.0, 1.0, rebuilt=2))
    record.add_step(StepRow("core", "build", ARGV, "failure", 1.0, 1.0))
    record.add_units("core", "build", UNITS[:2])
    assert record.finish_run("failure", wall_seconds=1.0)
    build = find_build(record)
    assert build is not None
    assert build.run.id == f"run-{NOW - 600:.0f}"


def test_of_old_runs_the_counts_of_the_stage_tell_what_was_fresh(record: Record, add: Callable[..., None]) -> None:
    add(600, UNITS)
    record.begin_run(RunRow("run-later", "run core", NOW, cores=2))
    record.add_stage(StageRow("core", "success", 1.0, 1.0, fresh=50, rebuilt=1))
    record.add_step(StepRow("core", "build", ARGV, "success", 1.0, 1.0))
    record.add_units("core", "build", (unit("app", 0.1, 0.5, 0.2),))
    assert record.finish_run("success", wall_seconds=1.0)
    build = find_build(record)
    assert build is not None
    assert build.run.id == f"run-{NOW - 600:.0f}"


def test_without_a_graph_single_units_are_still_shown(record: Record, add: Callable[..., None]) -> None:
    add(60, UNITS)
    view = look(record, AROUND._replace(graph={}, members=()))
    assert view.bounds
    assert view.serial
    assert not view.dependencies
    assert not view.path
    assert all(" → " in line for line in items(as_text(view)))


def test_a_build_that_was_held_to_one_unit_at_a_time_says_so(record: Record, add: Callable[..., None]) -> None:
    serial, at = [], 0.1
    for row in UNITS:
        serial.append(row._replace(start_seconds=at))
        at += row.duration_seconds or 0.0
    add(60, tuple(serial))
    view = look(record)
    assert view.cores == 1
    assert view.model_seconds == pytest.approx(20.0)
    assert any("no more than 1 unit at once, on 2 processors" in note for note in view.notes)
    assert [row.cores for row in view.more_cores] == [2, 4, None]


def test_what_a_dependency_needs_for_its_gate(record: Record, add: Callable[..., None]) -> None:
    add(60, (*UNITS, unit("app", 9.0, 1.0, target='test "it"'), unit("checker", 0.2, 2.0, 1.0)))

    def todo(members: tuple[Package, ...], name: str, gated: dict[str, set[str]] | None = None) -> tuple[str, ...]:
        view = look(record, AROUND._replace(members=members, gated=gated or {}))
        (row,) = [row for row in view.dependencies if row.name == name]
        return (row.todo, *row.gate)

    assert todo(MEMBERS, "heavy")[0].startswith("gate it: ")
    assert '#[cfg(feature = "heavy")]' in todo(MEMBERS, "heavy")[0]
    taken = (declares("app", needs("heavy"), heavy=()), MEMBERS[1])
    assert todo(taken, "heavy")[1:] == ("[features.app]", 'with-heavy = ["dep:heavy"]')
    by_default = (declares("app", needs("heavy", optional=True), default=("gpu",), gpu=("dep:heavy",)), MEMBERS[1])
    assert todo(by_default, "heavy") == ('optional in app: take what switches it on ("gpu") out of its `default`',)
    directly = (declares("app", needs("heavy", optional=True), default=("dep:heavy",)), MEMBERS[1])
    assert todo(directly, "heavy") == ('optional in app: take what switches it on ("dep:heavy") out of its `default`',)
    asked_for = (declares("app", needs("heavy", optional=True), gpu=("dep:heavy",)), MEMBERS[1])
    assert todo(asked_for, "heavy") == ('optional in app: leave "gpu" out of the `features` of the stage',)
    assert todo(MEMBERS, "heavy", {"*": {"heavy"}}) == (
        "buildopt.toml gates it in app already: buildopt sync makes it optional",
    )
    in_tests = (declares("app", needs("heavy"), needs("checker", kind="dev")), MEMBERS[1])
    assert todo(in_tests, "checker")[0].startswith("only tests, benches and examples of app use it")


def test_a_dependency_of_many_members_is_gated_for_all_of_them_at_once(
    record: Record, add: Callable[..., None]
) -> None:
    names = [f"m{number}" for number in range(5)]
    members = tuple(declares(name, needs("heavy")) for name in names)
    crates = graph(*(crate(name, "heavy", member=True) for name in names), crate("heavy"))
    add(60, (unit("heavy", 0.1, 2.0, 1.0), *(unit(name, 1.1, 1.0, 0.5) for name in names)))
    (row,) = look(record, AROUND._replace(graph=crates, members=members)).dependencies
    assert row.gate == ('[features."*"]', 'heavy = ["dep:heavy"]')


def test_one_package_built_twice_and_in_two_versions(record: Record, add: Callable[..., None]) -> None:
    crates = GRAPH | graph(crate("shared", version="0.9.0"), crate("heavy", "shared0.9.0", "only-heavy"))
    add(60, (*UNITS, unit("shared", 0.2, 1.5, 0.6, version="0.9.0"), unit("only-heavy", 0.3, 2.5, 0.5)))
    rows = {row.name: row for row in look(record, AROUND._replace(graph=crates)).duplicates}
    assert (rows["shared"].versions, rows["shared"].through) == (("0.9.0", "1.0.0"), ("app", "heavy"))
    assert rows["shared"].work_seconds == pytest.approx(1.5)
    assert rows["only-heavy"].versions == ("1.0.0",)
    assert rows["only-heavy"].work_seconds == pytest.approx(2.5)
    assert "--duplicates" in rows["only-heavy"].todo


def test_an_executable_that_was_rebuilt_fast_once_tells_linking_from_code_generation() -> None:
    program = unit("app", 1.0, 9.0, target='bin "app"')
    fast = program._replace(duration_seconds=0.8)
    fastest, checks = fastest_rebuilds([(program,), (fast,), (program._replace(mode="check", duration_seconds=1.0),)])
    key = ("app", 'bin "app"', "build")
    assert bound_of(program, Where(None, 0, fastest[key], check_seconds=checks[key])) == (
        "codegen",
        pytest.approx(7.2 / 9),
    )
    assert bound_of(fast, Where(None, 0, fastest[key], check_seconds=checks[key])) == ("link", pytest.approx(1.0))
    assert bound_of(program, Where(None, 0)) == ("executable", 1.0)
    nightly = program._replace(frontend_seconds=1.0, codegen_seconds=3.0)  # with -Zsection-timings the rest is linking
    assert bound_of(nightly, Where(None, 0)) == ("link", pytest.approx(5 / 9))


class TestBuildScripts:
    """Those that run again although nothing was edited."""

    @staticmethod
    def runs(*reasons: str) -> list[RecordedRun]:
        """Return runs, newest first, one a minute: a step of 5 s, then one whose script runs for its first second."""
        return [
            RecordedRun(
                RunRow(f"run-{ago}", "run core", NOW - 60 * ago, wall_seconds=15.0),
                (
                    unit("sys", 0.1, 1.0, target="build-script", mode="run-custom-build", reason=reason, step="build"),
                    unit("sys", 1.1, 2.0, reason=reason),
                    unit("user", 3.1, 4.0, reason="the dependency `sys` was rebuilt"),
                    unit("other", 3.1, 8.0, reason="the file `other/src/lib.rs` has changed"),
                ),
                (StepRow("", "fmt", (), "success", 5.0), StepRow("", "build", (), "success", 10.0)),
            )
            for ago, reason in enumerate(reasons)
        ]

    @staticmethod
    def look(runs: list[RecordedRun], newest: dict[str, tuple[str, float]]) -> tuple[Rerun, ...]:
        return reruns(runs, newest.get, {"sys": "/ws/sys"})

    def test_a_missing_file_needs_no_second_run(self) -> None:
        runs = self.runs("the file `sys/gone.h` is missing")
        (row,) = self.look(runs, {})
        assert (row.package, row.runs, row.work_seconds) == ("sys", 1, 7.0)
        assert row.cause == "it watches sys/gone.h, which does not exist"
        assert not self.look(runs, {"sys/gone.h": ("sys/gone.h", NOW)}), "it is there again"

    def test_a_file_that_the_build_writes_counts_from_the_second_run(self) -> None:
        reason, newest = "the file `sys/src/made.rs` has changed", {"sys/src/made.rs": ("sys/src/made.rs", NOW + 5.5)}
        (row,) = self.look(self.runs(reason, reason), newest)
        assert (row.runs, row.cause) == (2, "it writes sys/src/made.rs, which it watches")
        assert not self.look(self.runs(reason), newest)

    def test_a_script_that_names_no_file_watches_its_whole_package(self) -> None:
        reason = "the precalculated components changed"
        (row,) = self.look(self.runs(reason, reason), {"/ws/sys": ("sys/made.rs", NOW + 5.5)})
        assert row.cause == "it writes sys/made.rs, and does not say what it reads"
        assert not self.look(self.runs(reason, reason), {"/ws/sys": ("sys/build.rs", NOW - 30)}), "somebody edited it"

    @pytest.mark.parametrize("when", [NOW - 30, NOW + 1, NOW + 12])
    def test_an_edit_is_no_fault_of_the_script(self, when: float) -> None:
        """Not between two runs, and not while something else of one runs."""
        reason = "the file `sys/src/lib.rs` has changed"
        assert not self.look(self.runs(reason, reason), {"sys/src/lib.rs": ("sys/src/lib.rs", when)})

    def test_a_variable_that_changes_to_and_fro(self) -> None:
        reason = "the env variable CC changed"
        (row,) = self.look(self.runs(reason, reason), {})
        assert "CC" in row.cause

    def test_a_file_from_the_future(self) -> None:
        reason = "the file `sys/a.h` has changed"
        (row,) = self.look(self.runs(reason, reason), {"sys/a.h": ("sys/a.h", NOW + 86_400)})
        assert row.todo == "touch sys/a.h"

    @pytest.mark.parametrize("reason", ["", "the dependency `base` was rebuilt", "the toolchain changed"])
    def test_what_is_new_or_follows_from_something_else_does_not_count(self, reason: str) -> None:
        assert not self.look(self.runs(reason, reason), {"/ws/sys": ("sys/build.rs", NOW + 5.5)})


@st.composite
def builds(draw: st.DrawFn) -> tuple[dict[str, Crate], tuple[UnitRow, ...]]:
    """Return packages that need later ones, and their libraries in an order in which they can be built."""
    count = draw(st.integers(1, 7))
    crates = []
    for at in range(count):
        bits = draw(st.integers(0, 2 ** (count - at - 1) - 1)) if at + 1 < count else 0
        edges = [f"p{at + 1 + bit}" for bit in range(count) if bits >> bit & 1]
        crates.append(crate(f"p{at}", *edges, member=at == 0 or draw(st.booleans())))
    return graph(*crates), tuple(unit(f"p{at}", float(count - at), 1.0, 0.5) for at in reversed(range(count)))


@given(builds())
def test_what_only_one_dependency_pulls_in_is_what_nothing_else_reaches(
    made: tuple[dict[str, Crate], tuple[UnitRow, ...]],
) -> None:
    crates, units = made
    built = read_built(units, units, crates)
    whole = only_through(built, set(crates), by_members=True)
    assert not whole & set(built.roots), "a member is built for itself"
    for package in crates:
        only = only_through(built, (package,))
        assert only <= whole
        if only:
            assert package in only
        for other in only - {package}:
            users = {each.id for each in crates.values() if other in {edge.id for edge in each.edges}}
            reached = set(crates) - only
            assert not users & reached & _reachable(crates, built.roots), "nobody else needs it"


def _reachable(crates: dict[str, Crate], roots: tuple[str, ...]) -> set[str]:
    seen, todo = set(roots), list(roots)
    while todo:
        for edge in crates[todo.pop()].edges:
            if edge.id not in seen:
                seen.add(edge.id)
                todo.append(edge.id)
    return seen


@given(builds())
def test_a_unit_needs_what_its_package_needs(made: tuple[dict[str, Crate], tuple[UnitRow, ...]]) -> None:
    crates, units = made
    for row, job in zip(units, jobs_of(units, crates), strict=True):
        wanted = {edge.id for edge in crates[row.package].edges}
        assert {units[need.job].package for need in job.needs} == wanted
        assert all(need.metadata for need in job.needs)


def test_units_have_names_for_people() -> None:
    assert label(unit("a", 0, 1)) == "a"
    assert label(unit("a", 0, 1, target='bin "b"')) == 'a bin "b"'
    assert label(unit("a", 0, 1, target="build-script")) == "a (build script)"
    assert label(unit("a", 0, 1, target="build-script", mode="run-custom-build")) == "a (running its build script)"
    assert label(unit("a", 0, 1, mode="test")) == "a (test)"


ANY_UNIT = st.builds(
    UnitRow,
    package=st.sampled_from([*GRAPH, "gone", "\x1b[2J\n"]),
    version=st.sampled_from(["1.0.0", "2.0.0-rc.1"]),
    target=st.sampled_from(["lib", "build-script", 'bin "app"', 'test "it"', 'bench "b"']),
    mode=st.sampled_from(["build", "check", "test", "doc", "run-custom-build"]),
    fresh=st.booleans(),
    reason=st.sampled_from(
        [None, "the file `x` is missing", "the precalculated components changed", "the env variable A changed"]
    ),
    start_seconds=st.sampled_from([None, 0.0, 0.1, 1.0, 2.5]),
    duration_seconds=st.sampled_from([None, 0.0, 0.01, 1.0, 30.0]),
    frontend_seconds=st.sampled_from([None, 0.0, 0.5, 40.0]),
    codegen_seconds=st.sampled_from([None, 0.0, 0.5, 40.0]),
)


@settings(max_examples=50)
@given(
    units=st.lists(ANY_UNIT, max_size=12), cores=st.sampled_from([None, 1, 2]), cpu=st.sampled_from([None, 0.0, 5.0])
)
def test_whatever_a_record_holds_is_shown(
    units: list[UnitRow], cores: int | None, cpu: float | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Record.open(Host(), tmp_path_factory.mktemp("any")) as record:
        record.begin_run(RunRow("run-1", "run core", NOW, cores=cores))
        record.add_stage(StageRow("core", "success", 14.0, cpu))
        record.add_step(StepRow("core", "build", ARGV, "success", 14.0, cpu))
        record.add_units("core", "build", units)
        assert record.finish_run("success", wall_seconds=14.0)
        view = look(record)
    text = as_text(view)
    assert all(" → " in line for line in items(text))
    assert not {"\x1b", "\r"} & set(text)
    json.dumps(as_json(view), allow_nan=False)
