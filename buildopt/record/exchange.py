"""The file in which recorded times travel between machines. Pure; a file that is read is not trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from buildopt.record.rows import TimeRow

__all__ = ["MOST_BYTES", "read_times", "times_as_json"]

MOST_BYTES = 64 * 2**20
"""A file beyond this is not read."""

_MOST_SAMPLES = 2_000_000  # a record has half as many at most; 64 MiB of the shortest ones would fill 3 GiB of memory


def times_as_json(rows: Iterable[TimeRow]) -> str:
    """Return `rows` as the text of a file; equal rows, in any order, give equal text.

    `times` leads from the class of machine to the binary id (empty for stages) to the name to [milliseconds, seconds].
    """
    times: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for row in sorted(set(rows)):
        of_class = times.setdefault(row.host_class, {})
        of_class.setdefault(row.binary, {}).setdefault(row.name, []).append([row.at, row.seconds])
    return json.dumps({"version": 1, "times": times}, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_times(text: bytes) -> tuple[TimeRow, ...]:
    """Return the rows of a file that `times_as_json` wrote, sorted.

    Raises ValueError, which says what is wrong, when any part of it is not as it should be.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES // 2**20} MiB")
    if text.count(b"[") > _MOST_SAMPLES:
        raise ValueError(f"it has more than {_MOST_SAMPLES} samples")
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("version") != 1:
        raise ValueError('it is not a file of recorded times (expected "version": 1)')
    return tuple(
        sorted(
            {
                _row(host_class, binary, name, sample)
                for host_class, binaries in _table(document.get("times"))
                for binary, names in _table(binaries)
                for name, samples in _table(names)
                for sample in _list(samples)
            }
        )
    )


def _table(value: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {_shown(value)}")  # noqa: TRY004 - all that callers know of
    return value.items()


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of samples, found {_shown(value)}")  # noqa: TRY004 - as above
    return value


def _row(host_class: str, binary: str, name: str, sample: Any) -> TimeRow:
    if isinstance(sample, list) and len(sample) == 2 and type(sample[0]) is int and type(sample[1]) in (int, float):
        at, seconds = sample
        if 0 <= seconds < math.inf:
            row = TimeRow(host_class, binary, name, at, float(seconds))
            if row.is_sound:
                return row
    raise ValueError(
        f"expected [milliseconds, seconds] for a name in bounds, found {_shown(sample)} for {_shown(name)}"
    )


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
