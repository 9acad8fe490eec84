"""Tables with one column for each tool."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

__all__ = ["head", "row", "spread_rows"]


def head(title: str, names: Iterable[str]) -> None:
    """Print the head of a table."""
    print(f"\n{title}\n{'':38}" + "".join(f"{name:>18}" for name in names), flush=True)


def row(title: str, cells: Iterable[object]) -> None:
    """Print one row."""
    print(f"  {title:36}" + "".join(f"{cell!s:>18}" for cell in cells), flush=True)


def spread_rows(samples: dict[str, list[float]], unit: str = "") -> None:
    """Print the median and the 95th percentile of each tool's samples."""
    ordered = [sorted(values) for values in samples.values()]
    row(f"median{unit}", [f"{statistics.median(values):.1f}" if values else "none" for values in ordered])
    ranks = [-(-95 * len(values) // 100) - 1 for values in ordered]
    row(
        f"95th percentile{unit}",
        [f"{v[rank]:.1f} of {len(v)}" if v else "none" for v, rank in zip(ordered, ranks, strict=True)],
    )
