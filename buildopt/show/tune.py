"""`tune`: what it will do, how far it is, what it found, and the diff of the profile."""

from __future__ import annotations

import argparse
import sys

from buildopt import sync
from buildopt.colour import colour_wanted, paint_diff
from buildopt.host import Host
from buildopt.report.layout import visible
from buildopt.show.common import open_context, print_json, say
from buildopt.show.measuring import ProgressLine, about
from buildopt.tune.document import plan_document
from buildopt.tune.judge import Judged
from buildopt.tune.levels import Found
from buildopt.tune.plan import Costs, Plan
from buildopt.tune.study import Result
from buildopt.units import format_duration, format_size
from buildopt.verbs.tune import Tuned, tune, write_tuned

__all__ = ["show_tune"]


def show_tune(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Tune, show what was found, write it unless `--dry-run`, and return the exit code."""
    context = open_context(host, arguments)
    with ProgressLine(host, json=arguments.json) as line:

        def announce(plan: Plan, costs: Costs, seconds: float) -> None:
            for text in _announced(plan, costs, seconds):
                line.note(text)

        try:
            tuned = tune(
                context, budget_seconds=arguments.budget, fresh=arguments.fresh, tell=line.consume, announce=announce
            )
        except KeyboardInterrupt:
            line.note("interrupted: the same call goes on with what was measured; --fresh begins anew")
            raise
    written = bool(tuned.plan.edits) and not arguments.dry_run
    if written:
        write_tuned(context, tuned.plan)
    if arguments.json:
        diff = sync.diff_text(tuned.plan)
        print_json({**tuned.document, "diff": diff, "written": written})
        return 0
    _show(tuned, colour_wanted(sys.stdout, host.environ))
    again = "nox -s" if via_nox else "buildopt"
    if written:
        say(f"wrote {tuned.plan.edits[0].path}. Undo: {again} rollback. Next: {again} sync")
    elif tuned.plan.edits:
        say("nothing was written (--dry-run)")
    return 0


def _announced(plan: Plan, costs: Costs, seconds: float) -> list[str]:
    """Return what will be done, how long it takes, and what it can tell apart."""
    facts = plan_document(plan, costs, seconds)
    what = []
    if plan.screened:
        mirrored = ", each with its mirror image" if facts["folded"] else ""
        what.append(f"{len(plan.screened)} settings screened together in {plan.rows} builds{mirrored}")
    if plan.apart:
        what.append(f"{len(plan.apart)} tried apart")
    if plan.doubtful:
        what.append(f"at most {plan.doubtful} doubtful settled in pairs")
    what.append("the whole confirmed in pairs")
    lines = [
        f"a clean build takes {format_duration(costs.clean_seconds)}, equal builds differ by {100 * costs.noise:.1f} %",
        f"plan: {'; '.join(what)}",
        f"this takes {about(seconds)} in all; a setting that changes less than {100 * facts['resolves']:.1f} % cannot be told from noise",
    ]
    if plan.dropped:
        lines.append(f"not tried, for want of time: {', '.join(each.name for each in plan.dropped)}")
    return lines


def _show(tuned: Tuned, color: bool) -> None:
    out = sys.stdout
    result = tuned.result
    for text in tuned.candidates.left_out:
        out.write(f"  not tried: {visible(text)}\n")
    if result is None:
        out.flush()
        say(
            f"nothing to try for the Cargo profile {tuned.cargo_profile}: tune.may-change says what may be tried besides"
        )
        return
    out.write(f"\nSettings of the Cargo profile {tuned.cargo_profile}, ratio of the weighted cost [95 % interval]\n")
    width = max(len(each.candidate.name) for each in result.judged) if result.judged else 0
    out.write("".join(f"  {_line(each, width)}\n" for each in result.judged))
    for text in result.changes:
        out.write(f"  otherwise than planned: {visible(text)}\n")
    _show_whole(tuned, result)
    diff = sync.diff_text(tuned.plan)
    if diff:
        out.write("\n" + (paint_diff(diff) if color else diff))
    out.flush()
    took = f"{format_duration(result.spent_seconds)} of {format_duration(result.announced_seconds)} announced"
    if not result.chosen:
        left = ", ".join(each.candidate.name for each in result.judged if each.outcome == "doubtful")
        why = f"left open: {visible(left)}; a longer --budget can tell" if left else "today's are as good as any tried"
        say(f"{took}: nothing was shown to gain, and nothing is adopted; {why}")
    elif result.why_not is not None:
        say(f"{took}: nothing is adopted: {visible(result.why_not)}")
    else:
        say(f"{took}: {', '.join(each.name for each in result.chosen)} confirmed")


def _show_whole(tuned: Tuned, result: Result) -> None:
    out = sys.stdout
    if not result.chosen:
        return
    out.write(f"\nTogether, against today's settings: {', '.join(each.name for each in result.chosen)}\n")
    for each in result.whole:
        if each.decides and each.pairs:
            ends = Found(each.ratio, *each.interval)
            again = f"today's against itself {each.aa_ratio:.2f}"
            out.write(
                f"  {each.scenario:18} {_ratio(ends)} {'CPU' if each.metric == 'cpu' else 'wall'}, "
                f"{each.pairs} pairs: {each.verdict} ({again})\n"
            )
    if result.weighted is not None:
        out.write(f"  {'weighted':18} {_ratio(result.weighted)}\n")
    guarded = tuned.guarded
    if guarded is None:
        return
    if guarded.today is not None and guarded.chosen is not None:
        sizes = f"{format_size(guarded.today.target_bytes)} → {format_size(guarded.chosen.target_bytes)}"
        out.write(f"  target directory   {sizes}\n")
        if guarded.today.artifact_bytes is not None and guarded.chosen.artifact_bytes is not None:
            sizes = f"{format_size(guarded.today.artifact_bytes)} → {format_size(guarded.chosen.artifact_bytes)}"
            out.write(f"  artifacts          {sizes}\n")
    if guarded.test_seconds is not None:
        out.write(f"  tests pass         in {format_duration(guarded.test_seconds)}\n")
    for note in (*guarded.broken, *guarded.notes):
        out.write(f"  ! {visible(note)}\n")


def _line(judged: Judged, width: int) -> str:
    name = f"{judged.candidate.name:{width}}"
    if judged.found is None:
        return f"{name}  {judged.outcome}: {visible(judged.why)}"
    both = ", ".join(
        f"{'CPU' if metric == 'cpu' else metric} {found.ratio:.2f}" for metric, found in judged.both.items()
    )
    return (
        f"{name}  {_ratio(judged.found)}  {judged.outcome}: {judged.why} ({both}; placebo {100 * judged.floor:.1f} %)"
    )


def _ratio(found: Found) -> str:
    return f"{found.ratio:.2f} [{found.low:.2f}, {found.high:.2f}]"
