"""What `bench` found: as text, as one JSON document, as Markdown. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildopt.bench.alone import Figures
from buildopt.bench.results import Comparison, Guards, is_settled
from buildopt.record import ExperimentRow
from buildopt.report.layout import advice, columns, heading, visible, wrapped
from buildopt.units import format_duration, format_size

__all__ = ["BenchView", "as_json", "as_lines", "as_markdown", "next_step", "summary"]

_METRICS = {"cpu": "CPU", "wall": "wall"}
_STYLES = {"faster": "green", "slower": "red"}
_MANY_PAIRS = 100  # more than anybody waits for
_MOST_ROWS = 200  # of a Markdown table


class BenchView(NamedTuple):
    """All of one call of `bench`."""

    experiment: ExperimentRow
    comparisons: tuple[Comparison, ...]
    """Two for each scenario and candidate, what decides first; none where one arm was measured alone."""
    figures: tuple[Figures, ...]
    """One for each scenario, where one arm was measured alone."""
    guards: tuple[Guards, ...]
    measured: int
    """Builds timed by this call."""
    known: int
    """Builds that an earlier call had timed already."""
    wall_seconds: float
    """What this call took."""
    smallest_effect: float
    most: int
    """The most pairs of a comparison, or the samples of one arm alone."""
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[Comparison, ...]:
        """Return what is not decided yet."""
        return tuple(c for c in self.comparisons if c.decides and c.failure is None and c.verdict == "unresolved")

    @property
    def is_complete(self) -> bool:
        """Return whether a further call with the same words would have nothing left to measure."""
        alone = all(each.failure or each.samples >= self.most for each in self.figures)
        return alone and all(is_settled(each, self.most) for each in self.comparisons if each.decides)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing of what was asked for could be measured."""
        measured = any(c.pairs for c in self.comparisons) or any(f.samples for f in self.figures)
        return bool(self.failures) and not measured

    @property
    def failures(self) -> tuple[str, ...]:
        """Return what could not be measured, and why."""
        found = [f"{c.scenario}: {c.candidate}: {c.failure}" for c in self.comparisons if c.decides and c.failure]
        return (*found, *(f"{f.scenario}: {f.failure}" for f in self.figures if f.failure))


def as_json(view: BenchView) -> dict[str, Any]:
    """Return the one document that `buildopt bench --json` prints; NaN, which JSON has not, is null."""
    experiment = view.experiment._asdict()
    del experiment["document"]
    return {
        "version": 1,
        "experiment": experiment,
        "comparisons": [_comparison_json(comparison) for comparison in view.comparisons],
        "figures": [{**figures._asdict(), "beside": _guards_json(figures.beside)} for figures in view.figures],
        "guards": [_guards_json(guard) for guard in view.guards],
        "measured": view.measured,
        "known": view.known,
        "wall_seconds": view.wall_seconds,
        "most": view.most,
        "smallest_effect": view.smallest_effect,
        "interrupted": view.interrupted,
        "notes": list(view.notes),
    }


def as_lines(view: BenchView, width: int = 100, *, color: bool = False) -> list[str]:
    """Return what was found, for a person: a table for each scenario, what the arms cost beside time, what to mind."""
    sections = [_scenario(view, name, width, color) for name in dict.fromkeys(c.scenario for c in view.comparisons)]
    sections += [_alone(view, width, color), _beside(view, width, color)]
    lines: list[str] = []
    for section in filter(None, sections):
        lines += ["", *section] if lines else section
    for failure in view.failures:
        lines += wrapped(f"! {failure}", width)
    for text in _cautions(view):
        lines += advice(text, width)
    return lines


def summary(view: BenchView) -> str:
    """Return one line that says what came out and what it cost."""
    decided = [c for c in view.comparisons if c.decides and not c.failure]
    counts = {verdict: sum(c.verdict == verdict for c in decided) for verdict in ("faster", "slower", "equal")}
    said = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    said += [f"{len(view.open)} not decided"] if view.open else []
    said += [f"{len(view.failures)} not measurable"] if view.failures else []
    if view.figures and not view.failures:
        said = ["1 scenario" if len(view.figures) == 1 else f"{len(view.figures)} scenarios"]
    builds = "1 build" if view.measured == 1 else f"{view.measured} builds"
    more = f", {view.known} known from before" if view.known else ""
    return f"{', '.join(said) or 'nothing measured'}: {builds} timed in {format_duration(view.wall_seconds)}{more}"


def next_step(view: BenchView, *, via_nox: bool = False) -> str:
    """Return one line that says what to do now."""
    if view.interrupted and not view.known + view.measured:
        return "interrupted before anything was timed"
    if view.interrupted:
        return f"interrupted: the same call goes on with the {view.known + view.measured} builds timed so far; --fresh begins anew"
    if not view.is_complete:
        return "next: the same call goes on with what is not measured yet"
    if view.open:
        most = max(c.pairs + c.more_pairs for c in view.open)
        if most > _MANY_PAIRS:
            return "next: nothing; what is not decided is smaller than the noise here, and a quiet machine would see it"
        return f"next: --pairs {most} may decide the rest; a quiet machine helps as much"
    if view.is_empty:
        return "next: cargo build shows what is wrong"
    if view.comparisons:
        return (
            f"next: {'nox -s tune' if via_nox else 'buildopt tune'} finds what pays here, and writes it to the profile"
        )
    return "next: buildopt bench --compare default,current says what the profile saves here"


def as_markdown(view: BenchView) -> str:
    """Return the comparisons as a Markdown table, for a page or a pull request."""
    from buildopt.report.ci_summary import escaped  # noqa: PLC0415 - only where asked for

    head = ("scenario", "candidate", "against", "time", "ratio", "interval", "pairs", "A/A", "verdict")
    rows = [
        (escaped(c.scenario), escaped(c.candidate), escaped(c.baseline), _METRICS[c.metric], _ratio(c.ratio),
         _interval(c.interval), str(c.pairs), _ratio(c.aa_ratio), _verdict(c))
        for c in view.comparisons[:_MOST_ROWS]
    ]  # fmt: skip
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines) + "\n"


def _scenario(view: BenchView, name: str, width: int, color: bool) -> list[str]:
    own = [c for c in view.comparisons if c.scenario == name]
    rows: list[tuple[str, ...]] = [("", "time", "ratio", "interval", "seconds", "pairs", "")]
    styles: list[str | None] = ["dim"]
    for comparison in own:
        if not comparison.pairs and not comparison.decides:
            continue
        first = comparison.decides
        verdict = _verdict(comparison) if first else "beside it"
        pairs = str(comparison.pairs) if first else ""
        rows.append((comparison.candidate if first else "", _METRICS[comparison.metric], _ratio(comparison.ratio),
                     _interval(comparison.interval), _seconds(comparison.candidate_seconds), pairs, verdict))  # fmt: skip
        styles.append((_STYLES.get(comparison.verdict) if first else "dim") if comparison.failure is None else "red")
        if first and comparison.pairs:
            rows.append((f"{comparison.baseline} itself", _METRICS[comparison.metric], _ratio(comparison.aa_ratio),
                         _interval(comparison.aa_interval), _seconds(comparison.baseline_seconds), "", "A/A: noise alone"))  # fmt: skip
            styles.append("dim")
    title = heading(f"{name}, against {visible(own[0].baseline)}", color)
    return [title, *columns(rows, right=(2, 4, 5), width=width, styles=styles, color=color)]


def _alone(view: BenchView, width: int, color: bool) -> list[str]:
    if not view.figures:
        return []
    rows: list[tuple[str, ...]] = [("scenario", "wall", "least", "CPU", "least", "samples", "")]
    for figures in view.figures:
        remarks = [f"{figures.polluted} disturbed"] if figures.polluted else []
        remarks += [] if figures.cpu_complete else ["not all CPU seen"]
        seconds = (figures.wall_seconds, figures.wall_least, figures.cpu_seconds, figures.cpu_least)
        rows.append(
            (figures.scenario, *(_seconds(value) for value in seconds), str(figures.samples), ", ".join(remarks))
        )
    title = heading(f"What {visible(view.figures[0].arm)} costs here", color)
    return [title, *columns(rows, right=(1, 2, 3, 4, 5), width=width, styles=["dim"], color=color)]


def _beside(view: BenchView, width: int, color: bool) -> list[str]:
    if not view.guards:
        return []
    rows: list[tuple[str, ...]] = [("", "", "target", "artefacts", "peak memory", "test run")]
    last = ""
    for guard in view.guards:
        scenario, last = guard.scenario if guard.scenario != last else "", guard.scenario
        sizes = (guard.target_bytes, guard.artifact_bytes, guard.peak_bytes)
        tests = "-" if guard.test_seconds is None else format_duration(guard.test_seconds)
        rows.append((scenario, guard.arm, *("-" if size is None else format_size(size) for size in sizes), tests))
    title = heading("Beside time", color)
    return [title, *columns(rows, right=(2, 3, 4, 5), width=width, styles=["dim"], color=color)]


def _cautions(view: BenchView) -> list[str]:
    """Return what a reader should know before believing it."""
    decided = [c for c in view.comparisons if c.decides]
    repeated, kept = sum(c.polluted for c in decided), sum(c.polluted_kept for c in decided)
    said = []
    if repeated and not kept:
        said.append(f"{_samples(repeated)} disturbed by other work, and measured again")
    if kept:
        walls = " wall time says little here;" if any(c.metric == "cpu" for c in decided) else ""
        said.append(f"{_samples(kept)} disturbed by other work and {'counts' if kept == 1 else 'count'} all the same:{walls} "
                    "a machine at rest would decide sooner")  # fmt: skip
    told = [c for c in decided if c.pairs >= 8]  # else the baseline has hardly met itself
    unequal = [c for c in told if not c.aa_interval[0] <= 1 <= c.aa_interval[1]]
    if any(abs(c.aa_ratio - 1) > view.smallest_effect for c in unequal):
        names = ", ".join(dict.fromkeys(c.scenario for c in unequal))
        said.append(f"{names}: the baseline differs from itself: the machine changed its pace meanwhile")
    return said


def _samples(count: int) -> str:
    return "1 sample was" if count == 1 else f"{count} samples were"


def _verdict(comparison: Comparison) -> str:
    if comparison.failure is not None:
        return "not measurable"
    if comparison.verdict == "unresolved":
        more = f"about {comparison.more_pairs}" if comparison.more_pairs <= _MANY_PAIRS else "hundreds of"
        pairs = "pair" if comparison.more_pairs == 1 else "pairs"
        return f"not decided, {more} more {pairs}" if comparison.pairs else "not measured"
    return str(comparison.verdict)


def _ratio(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"


def _interval(ends: Sequence[float]) -> str:
    return "-" if math.isnan(ends[0]) else f"{ends[0]:.2f} to {ends[1]:.2f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else format_duration(value)


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    facts = comparison._asdict()
    ends = ("interval", "aa_interval")
    plain = {key: _number(value) for key, value in facts.items() if key not in ends}
    return {key: [_number(end) for end in facts[key]] if key in ends else plain[key] for key in facts}


def _guards_json(guard: Guards | None) -> dict[str, Any] | None:
    return None if guard is None else guard._asdict()


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
