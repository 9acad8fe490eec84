"""Comparisons as text, JSON and Markdown: every figure there, nothing that steers a terminal, no NaN in JSON."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from buildopt.bench.alone import Figures
from buildopt.bench.results import Comparison, Guards
from buildopt.record import ExperimentRow
from buildopt.report.comparisons import BenchView, as_json, as_lines, as_markdown, next_step, summary

EXPERIMENT = ExperimentRow("20261120T101500123Z-1a2b3c4d", "bench", "k", 1.0, "linux-2c", "1.95.0", "1.95.0", "p")
CPU = Comparison(
    "leaf/build", "cpu", "default", "debug=0", 0.714, (0.69, 0.74), 6, "faster", 1.004, (0.97, 1.03), 0, True, 1, 0,
    10.0, 7.1, "0.71 (0.69 to 0.74) of the time: faster",
)  # fmt: skip
WALL = CPU._replace(metric="wall", ratio=0.8, interval=(0.6, 1.1), verdict="unresolved", decides=False, more_pairs=9)
UNDECIDED = CPU._replace(
    candidate="jobs=1", metric="wall", ratio=1.02, interval=(0.9, 1.2), verdict="unresolved", more_pairs=12
)
FAILED = CPU._replace(
    candidate="lto=true", pairs=0, ratio=math.nan, interval=(math.nan, math.nan), aa_ratio=math.nan,
    aa_interval=(math.nan, math.nan), baseline_seconds=math.nan, candidate_seconds=math.nan, verdict="unresolved",
    failure="lto=true does not build: error: oops",
)  # fmt: skip
VIEW = BenchView(
    EXPERIMENT,
    (CPU, WALL, UNDECIDED, FAILED, FAILED._replace(metric="wall", decides=False)),
    (),
    (
        Guards("leaf/build", "default", 400 * 2**20, 40 * 2**20, 2**28, 1.5),
        Guards("leaf/build", "debug=0", 200 * 2**20, None, 2**27, None),
    ),
    measured=25,
    known=4,
    wall_seconds=250.0,
    smallest_effect=0.03,
    most=20,
)
ALONE = VIEW._replace(
    comparisons=(),
    figures=(
        Figures("clean/build", "current", 3, 20.25, 19.5, 38.0, 37.25, 1, False, VIEW.guards[0]),
        Figures("leaf/build", "current", 0, None, None, None, None, 0, True, None, "no leaf"),
    ),
    guards=(),
)


def test_a_comparison_as_a_person_reads_it() -> None:
    assert as_lines(VIEW, 110) == [
        "leaf/build, against default",
        "                  time  ratio  interval      seconds  pairs",
        "  debug=0         CPU    0.71  0.69 to 0.74     7.1s      6  faster",
        "  default itself  CPU    1.00  0.97 to 1.03    10.0s         A/A: noise alone",
        "                  wall   0.80  0.60 to 1.10     7.1s         beside it",
        "  jobs=1          wall   1.02  0.90 to 1.20     7.1s      6  not decided, about 12 more pairs",
        "  default itself  wall   1.00  0.97 to 1.03    10.0s         A/A: noise alone",
        "  lto=true        CPU       -  -                   -      0  not measurable",
        "",
        "Beside time",
        "                        target  artefacts  peak memory  test run",
        "  leaf/build  default  400 MiB     40 MiB      256 MiB      1.5s",
        "              debug=0  200 MiB          -      128 MiB         -",
        "  ! leaf/build: lto=true: lto=true does not build: error: oops",
        "  → 3 samples were disturbed by other work, and measured again",
    ]
    assert summary(VIEW) == "1 faster, 1 not decided, 1 not measurable: 25 builds timed in 4m10s, 4 known from before"


def test_one_arm_alone_as_a_person_reads_it() -> None:
    assert as_lines(ALONE, 110) == [
        "What current costs here",
        "  scenario      wall  least    CPU  least  samples",
        "  clean/build  20.2s  19.5s  38.0s  37.2s        3  1 disturbed, not all CPU seen",
        "  leaf/build       -      -      -      -        0",
        "  ! leaf/build: no leaf",
    ]
    assert summary(ALONE).startswith("1 not measurable")
    assert summary(ALONE._replace(figures=ALONE.figures[:1])).startswith("1 scenario: 25 builds timed")


def test_cautions_name_what_the_figures_cannot_carry() -> None:
    disturbed = CPU._replace(polluted=4, polluted_kept=7, pairs=10, aa_ratio=1.2, aa_interval=(1.1, 1.3))
    text = " ".join(as_lines(VIEW._replace(comparisons=(disturbed,)), 400))
    assert "7 samples were disturbed by other work and count all the same: wall time says little here" in text
    assert "the baseline differs from itself" in text


def test_the_document_has_the_keys_that_scripts_rely_on() -> None:
    document = json.loads(json.dumps(as_json(VIEW), allow_nan=False))
    first, _, _, failed, _ = document["comparisons"]
    keys = [
        "scenario",
        "metric",
        "baseline",
        "candidate",
        "ratio",
        "interval",
        "pairs",
        "verdict",
        "aa_ratio",
        "aa_interval",
    ]
    assert list(first)[: len(keys)] == keys
    assert [first[key] for key in keys] == [
        "leaf/build", "cpu", "default", "debug=0", 0.714, [0.69, 0.74], 6, "faster", 1.004, [0.97, 1.03],
    ]  # fmt: skip
    assert (failed["ratio"], failed["interval"], failed["aa_ratio"]) == (None, [None, None], None)
    assert document["version"] == 1
    assert document["experiment"]["id"] == EXPERIMENT.id
    assert (
        json.loads(json.dumps(as_json(ALONE), allow_nan=False))["figures"][0]["beside"]["target_bytes"] == 400 * 2**20
    )


def test_the_last_line_says_what_to_do() -> None:
    decided = VIEW._replace(comparisons=(CPU, WALL))
    assert next_step(decided) == "next: buildopt tune finds what pays here, and writes it to the profile"
    assert next_step(decided, via_nox=True).startswith("next: nox -s tune ")
    assert next_step(VIEW) == "next: the same call goes on with what is not measured yet"
    assert next_step(VIEW._replace(most=6)) == "next: --pairs 18 may decide the rest; a quiet machine helps as much"
    hopeless = VIEW._replace(comparisons=(UNDECIDED._replace(more_pairs=490),), most=6)
    assert "smaller than the noise here" in next_step(hopeless)
    assert "not decided, hundreds of more pairs" in "".join(as_lines(hopeless, 140))
    assert next_step(VIEW._replace(interrupted=True)).startswith(
        "interrupted: the same call goes on with the 29 builds"
    )
    nothing = VIEW._replace(interrupted=True, known=0, measured=0)
    assert next_step(nothing) == "interrupted before anything was timed"
    assert next_step(VIEW._replace(comparisons=(FAILED,))) == "next: cargo build shows what is wrong"
    assert VIEW._replace(comparisons=(FAILED,)).is_empty
    assert not VIEW.is_empty
    assert not ALONE.is_empty
    assert (
        next_step(ALONE._replace(most=3))
        == "next: buildopt bench --compare default,current says what the profile saves here"
    )


@given(st.text(max_size=300))
def test_names_from_outside_neither_steer_a_terminal_nor_break_a_table(name: str) -> None:
    view = VIEW._replace(
        comparisons=(CPU._replace(candidate=name, baseline=name, failure=name),),
        guards=(VIEW.guards[0]._replace(arm=name),),
    )
    text = "\n".join(as_lines(view, 80))
    assert "\x1b" not in text
    assert "\r" not in text
    rows = as_markdown(view).splitlines()
    assert len(rows) == 3
    assert len({row.count(" | ") for row in rows}) == 1
    json.dumps(as_json(view), allow_nan=False)
