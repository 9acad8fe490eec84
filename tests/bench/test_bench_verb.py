"""`bench`: what it asks before it builds, what it keeps when it is cut short, and what it goes on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from fake_lab import FakeLab

from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Laboratory
from buildopt.errors import ArgumentError, MachineRefused
from buildopt.host import Host
from buildopt.record import Record
from buildopt.report.comparisons import BenchView
from buildopt.verbs.bench import Asked, bench
from buildopt.verbs.context import Context

ASKED = Asked(("default", "debug=0"), ("leaf/build",))
PROFILE = """version = 1
[bench]
scenarios = ["clean/build", "leaf/build"]
pairs = 6
[cargo.profile.quick]
inherits = "dev"
debug = 1
"""


class Workspace:
    """A real workspace whose builds are not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[Progress] = []

    def call(self, asked: Asked, lab: FakeLab | None = None) -> BenchView:
        @contextmanager
        def opened(_context: Context, _note: Callable[[str], None]) -> Iterator[Laboratory]:
            yield lab or FakeLab({"default": 10.0, "debug=0": 7.0, "current": 9.0, "quick": 8.0})

        def open_lab(context: Context, note: Callable[[str], None]) -> AbstractContextManager[Laboratory]:
            return opened(context, note)

        return bench(Context(Host(), self.root), asked, self.said.append, lab=open_lab)

    @property
    def lines(self) -> list[str]:
        return [line.text for line in self.said if line.stays]

    def record(self) -> Record:
        return Record.open(Host(), self.root / ".buildopt")


@pytest.fixture
def ws(three_packages: Path, need: Callable[[str], Path]) -> Workspace:
    need("cargo")
    (three_packages / "buildopt.toml").write_text(PROFILE)
    return Workspace(three_packages)


def test_a_comparison_says_what_comes_and_stands_in_the_record(ws: Workspace) -> None:
    view = ws.call(ASKED)
    assert ws.lines[0] == (
        "debug=0 against default in leaf/build: until decided, at most 6 pairs each; "
        "how long that takes is known after the first builds"
    )
    assert ws.lines[-1].startswith("leaf/build: debug=0 needs 0.")
    assert ": faster (CPU time, " in ws.lines[-1]
    assert [comparison.verdict for comparison in view.comparisons if comparison.decides] == ["faster"]
    assert (view.measured, view.known, view.interrupted, view.experiment.state) == (
        2 * view.comparisons[0].pairs,
        0,
        False,
        "done",
    )
    with ws.record() as record:
        (experiment,) = record.experiments("bench")
        assert experiment.document is not None
        assert len(record.measurements(experiment.id)) == view.measured
    assert [guard.arm for guard in view.guards] == ["default", "debug=0"]
    ws.said.clear()
    ws.call(ASKED)
    assert ws.lines[0].endswith("; about 2m by earlier builds, after the first of each"), "12 builds of 10 seconds"


def test_cut_short_it_keeps_what_is_there_and_the_same_call_goes_on(ws: Workspace) -> None:
    lab = FakeLab({"default": 10.0, "debug=0": 7.0})
    lab.script = [{}, {}, KeyboardInterrupt()]
    view = ws.call(ASKED, lab)
    assert (view.interrupted, view.measured, view.experiment.state) == (True, 2, "open")
    assert view.comparisons[0].pairs == 1
    again = ws.call(ASKED._replace(pairs=9))
    assert again.experiment.id == view.experiment.id
    assert again.known == 2
    assert again.comparisons[0].verdict == "faster"
    assert any(line.startswith("going on with 2 builds") for line in ws.lines)
    anew = ws.call(ASKED)
    assert anew.experiment.id != view.experiment.id, "what is decided is measured anew when asked again"


@pytest.mark.parametrize("change", ["fresh", "source", "arms", "scenario", "profile"])
def test_measurements_of_something_else_are_not_gone_on_with(ws: Workspace, change: str) -> None:
    lab = FakeLab({"default": 10.0, "debug=0": 7.0})
    lab.script = [{}, {}, KeyboardInterrupt()]
    first = ws.call(ASKED, lab)
    asked = ASKED
    match change:
        case "fresh":
            asked = asked._replace(fresh=True)
        case "source":
            source = ws.root / "base/src/lib.rs"
            source.write_text(source.read_text() + "// changed\n")
        case "arms":
            asked = asked._replace(compare=("default", "quick"))
        case "scenario":
            asked = asked._replace(scenarios=("hub/build",))
        case _:
            (ws.root / "buildopt.toml").write_text(PROFILE + "debug-assertions = false\n")
    second = ws.call(asked)
    assert second.experiment.id != first.experiment.id
    assert second.known == 0


def test_what_a_link_leads_to_is_not_read(ws: Workspace) -> None:
    (ws.root / "endless").symlink_to("/dev/zero")
    os.mkfifo(ws.root / "pipe")
    (ws.root / "link").symlink_to("pipe")
    assert ws.call(ASKED).measured > 0


def test_more_pairs_go_on_where_the_first_ones_did_not_decide(ws: Workspace) -> None:
    undecidable = {"default": 10.0, "debug=0": (5.0, 20.0)}
    first = ws.call(ASKED, FakeLab(undecidable))
    assert (first.comparisons[0].verdict, first.comparisons[0].pairs) == ("unresolved", 6)
    second = ws.call(ASKED._replace(pairs=10), FakeLab(undecidable))
    assert second.experiment.id == first.experiment.id
    assert second.comparisons[0].pairs == 10
    assert second.known == 12


def test_without_compare_it_measures_how_the_profile_builds(ws: Workspace) -> None:
    view = ws.call(Asked())
    assert ws.lines[0].startswith("current in clean/build, leaf/build, 3 times each")
    assert view.comparisons == ()
    assert [(each.scenario, each.arm, each.samples) for each in view.figures] == [
        ("clean/build", "current", 3),
        ("leaf/build", "current", 3),
    ]
    with ws.record() as record:
        host_class, rustc = view.experiment.host_class, view.experiment.rustc
        assert len(record.scenario_history("leaf/build", host_class=host_class, rustc=rustc)) == 3
    assert view.experiment.state == "done"


def test_a_workspace_that_does_not_build_is_said(ws: Workspace) -> None:
    lab = FakeLab({})
    lab.broken = {"current"}
    view = ws.call(Asked(scenarios=("leaf/build",)), lab)
    assert view.failures == ("leaf/build: current does not build: error[E0432]",)
    lab.broken = {"debug=0"}
    compared = ws.call(ASKED, lab)
    assert compared.failures == ("leaf/build: debug=0: debug=0 does not build: error[E0432]",)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(("dev-fast",)), "expected two ways to build or more, found dev-fast"),
        (Asked(("default", "default")), "expected two ways"),
        (Asked(("default", "debgu=0")), "debgu"),
        (Asked(("default", "plain")), "plain is a way to do a whole cycle, and clean/build is none"),
        (Asked(scenarios=("leef/build",)), "leef/build"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(ws: Workspace, asked: Asked, words: str) -> None:
    lab = FakeLab({})
    with pytest.raises(ArgumentError, match=words):
        ws.call(asked, lab)
    assert lab.calls == []
    with ws.record() as record:
        assert record.experiments("bench") == ()


def test_a_record_that_cannot_be_written_is_said_before_anything_is_built(ws: Workspace) -> None:
    (ws.root / ".buildopt" / "record.sqlite").mkdir(parents=True)
    lab = FakeLab({})
    with pytest.raises(MachineRefused, match="could not be kept"):
        ws.call(ASKED, lab)
    assert lab.calls == []


def test_a_machine_that_refuses_ends_it_and_the_next_call_goes_on(ws: Workspace) -> None:
    lab = FakeLab({"default": 10.0, "debug=0": 7.0})
    lab.script = [{}, {}, MachineRefused("the disk is full")]
    with pytest.raises(MachineRefused, match="disk is full"):
        ws.call(ASKED, lab)
    assert ws.call(ASKED).known == 2
