"""How often `buildopt bench` is wrong: real builds compared with themselves, and with builds that do 10 % more, while another
workspace is built beside them.

Both arms compile through the same wrapper around rustc, which first counts up to a number: to nothing in the baseline and in
the arm that is equal to it, to what costs a tenth of a build in the arm that is slower. All else is what a user gets:
`buildopt.bench.comparison.compare` on an edit of a published crate.

Call: python benchmarks/honesty.py live FOLDER [--same 200] [--planted 30] [--percent 10] [--pairs 40] [--quiet]
                                        [--record SAMPLES.csv]
      python benchmarks/honesty.py simulate SAMPLES.csv [--comparisons 4000] [--pairs 40]
`live` puts a workspace together in FOLDER and measures there. `simulate` draws comparisons out of recorded samples: stretches
of neighbouring samples, which keep how noise lasts, dealt to A and B in blocks, B made slower, looked at after every block.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from build_noise import Neighbour
from published import assemble

from buildopt.bench.arms import Arm
from buildopt.bench.comparison import Comparison, compare
from buildopt.bench.lab import Lab
from buildopt.bench.measured import Measured, Sizes
from buildopt.bench.sampling import Laboratory
from buildopt.bench.scenarios import Scenario, parse_scenario
from buildopt.cargo import load_workspace
from buildopt.host import Host
from buildopt.measure.sequential import Decision, decide
from buildopt.profile.model import Bench, Profile
from buildopt.record import ExperimentRow, Record, host_class, new_run_id

COLUMNS = ("kind", "comparison", "arm", "wall_seconds", "cpu_seconds", "external_share")
_CRATES = ("globset", "grep-matcher")
_LEAF = "globset"
_WRAPPER = """
use std::os::unix::process::CommandExt;
fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let compiles = arguments.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] != "___");
    let count: u64 = std::env::var("HONESTY_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut state = 1u64;
    for step in 0..if compiles { count } else { 0 } {
        state = std::hint::black_box(state.wrapping_mul(6364136223846793005).wrapping_add(step));
    }
    let error = std::process::Command::new(&arguments[0]).args(&arguments[1..]).exec();
    panic!("{error} {state}");
}
"""


def workspace(folder: Path) -> Path:
    """Put a workspace of a few published crates together in `folder` and return its root."""
    whole, root = assemble("ripgrep", folder), folder / "honesty"
    if not root.exists():
        for crate in _CRATES:
            shutil.copytree(whole / "crates" / crate, root / "crates" / crate)
        (root / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n')
        shutil.copy(whole / "Cargo.lock", root)
        subprocess.run(
            ["cargo", "metadata", "--offline", "--format-version", "1"], cwd=root, check=True, capture_output=True
        )
    return root


def wrapper(folder: Path) -> Path:
    """Compile the wrapper that counts before it compiles."""
    source, program = folder / "count.rs", folder / "count"
    source.write_text(_WRAPPER)
    subprocess.run(["rustc", "--edition", "2021", "-O", "-o", str(program), str(source)], check=True)
    return program


def count_for(lab: Laboratory, baseline: Arm, scenario: Scenario, percent: float) -> tuple[int, float]:
    """Return how far the wrapper has to count to need `percent` of the CPU time of a build, and that time in seconds.

    It is found out in place, from builds that count to something and builds that do not, by turns.
    """
    some = 60_000_000
    more = baseline._replace(name="calibration", env={**baseline.env, "HONESTY_COUNT": str(some)})
    without, with_it = zip(
        *((lab.sample(baseline, scenario).cpu_seconds, lab.sample(more, scenario).cpu_seconds) for _ in range(20)),
        strict=True,
    )
    usual = statistics.median(without)
    return round(some * usual * percent / 100 / (statistics.median(with_it) - usual)), usual


class Keeping:
    """A laboratory that keeps the target directories of its arms: hundreds of comparisons of the same two arms share them."""

    def __init__(self, lab: Laboratory) -> None:
        self.host = lab.host
        self.sizes = lambda _arm: Sizes(0, None)
        self.samples: list[tuple[str, Measured]] = []
        self._lab = lab

    def prepare(self, _arm: Arm, _scenario: Scenario) -> float:
        """Leave it to the first sample."""
        return 0.0

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        """Measure once, and remember it."""
        found = self._lab.sample(arm, scenario)
        self.samples.append((arm.name, found))
        return found

    def forget(self, _arm: Arm) -> None:
        """Keep it."""


@contextmanager
def beside(root: Path, *, quiet: bool) -> Iterator[None]:
    """Build a copy of `root` again and again meanwhile, with one job, unless `quiet`."""
    if quiet:
        yield
        return
    other = root.with_name(root.name + "-neighbour")
    shutil.copytree(root, other, dirs_exist_ok=True)
    (other / ".cargo").mkdir(exist_ok=True)
    (other / ".cargo" / "config.toml").write_text("build.jobs = 1\n")
    neighbour = Neighbour(other, other / "target")
    neighbour.want(wanted=True)
    try:
        yield
    finally:
        neighbour.end()
        shutil.rmtree(other)


def live(arguments: argparse.Namespace) -> None:
    """Compare real builds, and print how often the verdict was wrong."""
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    root, program = workspace(folder), wrapper(folder)
    state, host, scenario = folder / "state", Host(), parse_scenario("leaf/check")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    through = {"RUSTC_WORKSPACE_WRAPPER": str(program), "HONESTY_COUNT": "0"}
    profile = Profile(version=1, bench=Bench(leaf=_LEAF))
    baseline, same = Arm("baseline", env=through), Arm("same", env=through)
    with (
        beside(root, quiet=arguments.quiet),
        Record.open(host, state) as record,
        Lab.open(host, root, state, load_workspace(host, root, state), profile=profile, note=print) as opened,
    ):
        lab = Keeping(opened)
        count, usual = count_for(lab, baseline, scenario, arguments.percent)
        planted = Arm("planted", env={**through, "HONESTY_COUNT": str(count)})
        print(f"{usual:.3f} s of CPU a build; the plant counts to {count}", flush=True)
        kinds = ["same"] * arguments.same + ["planted"] * arguments.planted
        random.Random(1).shuffle(kinds)
        lab.samples.clear()
        tally = Tally()
        with Samples(arguments.record) as samples:
            try:
                for number, kind in enumerate(kinds, start=1):
                    found = one(lab, record, baseline, same if kind == "same" else planted, scenario, arguments.pairs)
                    tally.add(kind, found)
                    samples.add(kind, number, lab.samples)
                    lab.samples.clear()
                    if number % 20 == 0:
                        tally.show()
            finally:
                tally.show()


def one(
    lab: Laboratory, record: Record, baseline: Arm, candidate: Arm, scenario: Scenario, pairs: int
) -> tuple[Comparison, ...]:
    """Make one comparison, as `buildopt bench` makes it."""
    host, now = lab.host, time.time()
    name = new_run_id(now)
    record.begin_experiment(ExperimentRow(name, "bench", name, now, host_class(host), "", "", ""))
    found = compare(
        lab, record, name, baseline, [candidate], [scenario], most_pairs=pairs, deadline=None, tell=lambda _progress: None
    )  # fmt: skip
    failed = next((comparison.failure for comparison in found if comparison.failure), None)
    if failed:
        sys.exit(failed)
    return found


class Tally:
    """What the comparisons so far said."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[Comparison]] = {}
        self._started = time.monotonic()

    def add(self, kind: str, found: Sequence[Comparison]) -> None:
        """Add one comparison, by CPU and by wall time."""
        for comparison in found:
            self._found.setdefault((kind, comparison.metric), []).append(comparison)

    def show(self) -> None:
        """Print it."""
        print(f"after {(time.monotonic() - self._started) / 60:.1f} min", flush=True)
        for (kind, metric), found in sorted(self._found.items()):
            verdicts = Counter(comparison.verdict for comparison in found)
            said = ", ".join(
                f"{verdicts[verdict]} {verdict}" for verdict in ("faster", "slower", "equal", "unresolved")
            )
            ratio = statistics.median(comparison.ratio for comparison in found)
            pairs = statistics.mean(comparison.pairs for comparison in found)
            busy = sum(comparison.polluted + comparison.polluted_kept for comparison in found)
            decides = "decides" if found[0].decides else "beside it"
            print(
                f"  {kind:8}{metric:5}({decides}) {len(found):4}: {said}; median ratio {ratio:.3f}, {pairs:.1f} pairs,"
                f" {busy} disturbed samples",
                flush=True,
            )
        of_same, of_planted = (
            [comparison.verdict for comparison in self._found.get((kind, "cpu"), ())] for kind in ("same", "planted")
        )
        wrong = sum(verdict in ("faster", "slower") for verdict in of_same)
        print(
            f"  false verdicts: {wrong} of {len(of_same)}; slowdown found: {of_planted.count('slower')} of {len(of_planted)}",
            flush=True,
        )


class Samples:
    """The file that samples are kept in, or nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("w", newline="") if path else None

    def __enter__(self) -> Samples:
        if self._file:
            csv.writer(self._file).writerow(COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, kind: str, number: int, samples: Sequence[tuple[str, Measured]]) -> None:
        """Keep the samples of one comparison, in the order of time."""
        if self._file:
            csv.writer(self._file).writerows(
                (kind, number, arm, f"{s.wall_seconds:.4f}", f"{s.cpu_seconds:.4f}", f"{s.external_share or 0:.3f}")
                for arm, s in samples
            )
            self._file.flush()


def simulate(arguments: argparse.Namespace) -> None:
    """Draw comparisons out of recorded samples, and print how often the verdict would be wrong."""
    with arguments.samples.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("kind", "same") == "same"]
    chance = random.Random(1)
    for metric in ("cpu", "wall"):
        noise = [float(row[f"{metric}_seconds"]) for row in rows]
        print(f"{metric}: {len(noise)} samples, {described(noise)}")
        for percent in (0, 5, 10, 25):
            verdicts: Counter[str] = Counter()
            pairs = 0
            for _ in range(arguments.comparisons):
                found = drawn(noise, 1 + percent / 100, arguments.pairs, chance)
                verdicts[found.verdict] += 1
                pairs += found.pairs
            total = arguments.comparisons
            said = ", ".join(
                f"{100 * verdicts[v] / total:.2f} % {v}" for v in ("faster", "slower", "equal", "unresolved")
            )
            print(f"  B {percent:2} % slower: {said}; {pairs / total:.1f} pairs", flush=True)


def described(noise: Sequence[float]) -> str:
    """Return how noisy samples are."""
    mean, deviation = statistics.mean(noise), statistics.pstdev(noise)
    middle = statistics.median(noise)
    scatter = statistics.median(abs(each - middle) for each in noise) / middle
    lag = statistics.mean((a - mean) * (b - mean) for a, b in itertools.pairwise(noise)) / deviation**2
    return (
        f"median {middle:.3f} s, variation {100 * deviation / mean:.1f} %, median deviation {100 * scatter:.1f} %,"
        f" correlation of neighbours {lag:.2f}"
    )


def drawn(noise: Sequence[float], ratio: float, most: int, chance: random.Random) -> Decision:
    """Return the verdict of one comparison on a stretch of neighbouring samples, looked at after every block."""
    at = chance.randrange(len(noise) - 2 * most)
    pairs: list[tuple[float, float]] = []
    aa: list[tuple[float, float]] = []
    while True:
        one, two, three, four = noise[at : at + 4]
        at += 4
        if chance.random() < 0.5:  # A B B A
            pairs += [(one, two * ratio), (four, three * ratio)]
            aa.append((one, four))
        else:
            pairs += [(two, one * ratio), (three, four * ratio)]
            aa.append((three, two))
        found = decide(pairs, aa=aa, final=len(pairs) >= most, planned=most)
        if found.verdict != "unresolved" or len(pairs) >= most:
            return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(required=True)
    way = ways.add_parser("live")
    way.add_argument("folder", type=Path)
    way.add_argument("--same", type=int, default=200)
    way.add_argument("--planted", type=int, default=30)
    way.add_argument("--percent", type=float, default=10.0)
    way.add_argument("--pairs", type=int, default=40)
    way.add_argument("--quiet", action="store_true", help="no build beside it")
    way.add_argument("--record", type=Path)
    way.set_defaults(run=live)
    way = ways.add_parser("simulate")
    way.add_argument("samples", type=Path)
    way.add_argument("--comparisons", type=int, default=4000)
    way.add_argument("--pairs", type=int, default=40)
    way.set_defaults(run=simulate)
    arguments = parser.parse_args()
    arguments.run(arguments)
