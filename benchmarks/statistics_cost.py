"""What the statistics cost: each on 10,000 samples, all together to stay under a second, and what importing them costs.

(Not named statistics.py: that would stand in the way of the standard module.)
Call: python benchmarks/statistics_cost.py
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from buildopt.measure.history import change_points, usual
from buildopt.measure.samples import pollution
from buildopt.measure.screening import design, effects, placebo_floor
from buildopt.measure.sequential import decide

_SAMPLES = 10_000
_MODULES = ("samples", "sequential", "screening", "history")
_chance = random.Random(1)
_noise = [_chance.lognormvariate(0, 0.07) for _ in range(_SAMPLES)]


def one_comparison() -> None:
    """Compare two arms with 5,000 samples each."""
    decide(list(zip(_noise[::2], _noise[1::2], strict=True)))


def many_comparisons() -> None:
    """Compare 250 times with 20 pairs, looking after every block, with the baseline against itself."""
    for first in range(0, _SAMPLES, 40):
        pairs = list(zip(_noise[first : first + 40 : 2], _noise[first + 1 : first + 40 : 2], strict=True))
        same = [(pairs[number][0], pairs[number + 1][0]) for number in range(0, 20, 2)]
        for count in range(2, 21, 2):
            decide(pairs[:count], aa=same[: count // 2], final=count == 20)


def many_samples() -> None:
    """Judge whether each was disturbed."""
    for value in _noise:
        pollution(value, value, 0.1, False, cores=2)


def screens() -> None:
    """Fit 20 folded designs of 9 factors and 2 placebos: what a tuning does with its scenarios and metrics."""
    plan = design(9, folded=True, seed=1)
    for number in range(20):
        placebo_floor(effects(plan, _noise[number * 24 : (number + 1) * 24]))


def histories() -> None:
    """Look 166 histories of 60 values over for what is usual and where they changed."""
    for first in range(0, _SAMPLES - 60, 60):
        usual(_noise[first : first + 60])
        change_points(_noise[first : first + 60])


def one_history() -> None:
    """Look one history of 10,000 values over."""
    usual(_noise)
    change_points(_noise)


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU time of the first call: tables are made then."""
    before = time.process_time()
    work()
    return time.process_time() - before


def import_milliseconds(statement: str) -> float:
    """Return the median CPU milliseconds of a Python that executes `statement`."""
    code = f"import time\nbefore = time.process_time()\n{statement}\nprint(time.process_time() - before)"
    found = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(9)]
    return 1000 * statistics.median(found)


if __name__ == "__main__":
    total = 0.0
    for work in (one_comparison, many_comparisons, many_samples, screens, histories, one_history):
        cost = seconds(work)
        total += cost
        print(f"{1000 * cost:7.0f} ms  {(work.__doc__ or '').splitlines()[0]}")
    print(f"{1000 * total:7.0f} ms  together")
    room = import_milliseconds("import buildopt.measure")
    print(f"{room:7.1f} ms  import buildopt.measure, which is what the start of `buildopt run` loads")
    for module in _MODULES:
        alone = import_milliseconds(f"import buildopt.measure.{module}")
        print(f"{alone - room:7.1f} ms  more for buildopt.measure.{module}, where it is used")
