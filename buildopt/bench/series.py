"""The samples of one candidate against the baseline in one scenario, in blocks of two pairs. Pure.

A block runs A B B A or B A A B, drawn at random: what drifts then falls on both arms. The two A of a block, against each
other, are the A/A line, which costs nothing. Each sample is one row of the record that says which place it holds, so that
the rows alone tell how far a comparison has come.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from buildopt.record.rows import MeasurementRow

__all__ = ["Metric", "Place", "Series", "order_of_block", "parse_place"]

Metric = Literal["cpu", "wall"]

_PLACE = re.compile(r"block (\d{1,5}) sample ([1-4]) ([AB]), (\S{1,100})")
_LEAST_SECONDS = 1e-4  # what a clock may show as nothing; a ratio needs something


class Place(NamedTuple):
    """Which sample of which comparison a measurement is."""

    tag: str
    """What tells the comparisons of one experiment apart."""
    block: int
    sample: int
    """1 to 4, in the order of running."""
    letter: str
    """`A`, the baseline, or `B`, the candidate."""

    def __str__(self) -> str:
        return f"block {self.block} sample {self.sample} {self.letter}, {self.tag}"


def parse_place(part: str) -> Place | None:
    """Return the place that the part of a measurement names, or None for one that was measured for something else."""
    found = _PLACE.fullmatch(part)
    return Place(found[4], int(found[1]), int(found[2]), found[3]) if found else None


def order_of_block(tag: str, seed: str, block: int) -> str:
    """Return `ABBA` or `BAAB`; which one cannot be foreseen, and is the same whenever it is asked."""
    return "ABBA" if hashlib.blake2b(f"{tag} {seed} {block}".encode(), digest_size=1).digest()[0] & 1 else "BAAB"


class Series:
    """What was measured so far for one comparison; later samples for a place replace earlier ones."""

    def __init__(self, rows: Iterable[MeasurementRow] = ()) -> None:
        self.repeated = 0
        """Samples that were measured once more, because they were polluted or failed."""
        self.polluted_kept = 0
        """Samples that are polluted and count all the same: nothing clean was to be had."""
        self.cpu_complete = True
        self._blocks: dict[int, dict[int, tuple[Place, MeasurementRow]]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: MeasurementRow) -> None:
        """Add a sample; one that failed only counts as repeated."""
        place = parse_place(row.part)
        if place is None:
            return
        if row.result != "success":
            self.repeated += 1
            return
        block = self._blocks.setdefault(place.block, {})
        before = block.get(place.sample)
        if before is not None:
            self.repeated += 1
            self.polluted_kept -= before[1].polluted is not None
        self.polluted_kept += row.polluted is not None
        self.cpu_complete = self.cpu_complete and row.cpu_complete
        block[place.sample] = (place, row)

    @property
    def next_block(self) -> int:
        """The number of a block that nothing is known of yet: one that was cut short is not gone on with."""
        return max(self._blocks, default=0) + 1

    @property
    def wants_clean(self) -> bool:
        """Whether a polluted sample is worth repeating: not when the last whole block found no clean one."""
        last = self._blocks.get(self.next_block - 1, {})
        return len(last) < 4 or any(row.polluted is None for _, row in last.values())

    def pairs(self, metric: Metric) -> tuple[tuple[float, float], ...]:
        """Return the (A, B) pairs, in seconds: the first two samples of each block, and the last two."""
        found = []
        for block in self._blocks.values():
            for first in (1, 3):
                if first in block and first + 1 in block:
                    letters = {place.letter: row for place, row in (block[first], block[first + 1])}
                    if len(letters) == 2:
                        found.append(_seconds(letters["A"], letters["B"], metric))
        return tuple(found)

    def baseline_pairs(self, metric: Metric) -> tuple[tuple[float, float], ...]:
        """Return the pairs of the baseline against itself, one a block.

        Their direction follows the order of the block, so that a steady drift does not show as a difference.
        """
        found = []
        for block in self._blocks.values():
            own = [(sample, row) for sample, (place, row) in sorted(block.items()) if place.letter == "A"]
            if len(own) == 2:
                (first, early), (_, late) = own
                found.append(_seconds(*((early, late) if first == 1 else (late, early)), metric))
        return tuple(found)

    def rows(self, letter: str) -> tuple[MeasurementRow, ...]:
        """Return the samples of one arm that count, in order."""
        return tuple(
            row for _, block in sorted(self._blocks.items()) for _, (place, row) in sorted(block.items())
            if place.letter == letter
        )  # fmt: skip


def _seconds(one: MeasurementRow, other: MeasurementRow, metric: Metric) -> tuple[float, float]:
    """Return what two samples took; CPU seconds as on a machine that was equally fast for both, where that is known."""
    if metric == "wall":
        return max(_LEAST_SECONDS, one.wall_seconds), max(_LEAST_SECONDS, other.wall_seconds)
    slower = 1.0 if one.unit_seconds is None or other.unit_seconds is None else other.unit_seconds / one.unit_seconds
    return max(_LEAST_SECONDS, one.cpu_seconds * slower**0.5), max(_LEAST_SECONDS, other.cpu_seconds / slower**0.5)
