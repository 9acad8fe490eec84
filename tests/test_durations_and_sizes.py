from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1.5s", 1.5), ("1h1m1s1ms", 3661.001), ("30m", 1800)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "90",
        "-1s",
        "0s",
        "0ms",
        "1 s",
        "1s ",
        "1s\n",
        "1d",
        "1S",
        "٣s",
        "1e3s",
        "1.s",
        ".5s",
        "1s,",
        "721h",
        "inf",
        "9" * 400 + "s",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("512MiB", 512 << 20),
        ("10GiB", 10 << 30),
        ("1.5 GB", 1_500_000_000),
        ("2kB", 2000),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "10", "10G", "0B", "-1MiB", "1  GiB", "1GiB\n", "1gib", "1e3B", "2000TiB", "0.1B", "٣MiB", "9" * 400 + "GiB"],
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00s"), (0.04, "0.04s"), (0.949, "0.95s"), (4.23, "4.2s"), (59.9, "59.9s"), (59.96, "1m00s"),
        (125, "2m05s"), (3599.6, "1h00m"), (3720, "1h02m"), (-4.23, "-4.2s"), (90_000, "25h00m"),
    ],
)  # fmt: skip
def test_durations_are_shown_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (4_404_019, "4.2 MiB"),
        (10 << 30, "10 GiB"),
        (3 << 40, "3.0 TiB"),
        (2000 << 40, "2000 TiB"),
    ],
)
def test_sizes_are_shown_short(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(1, 30 * 24 * 3600 - 1), st.sampled_from(["ms", "s", "m", "h"]))
def test_a_written_duration_is_read_back(number: int, unit: str) -> None:
    seconds = number * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    if seconds > 30 * 24 * 3600:
        with pytest.raises(ValueError):
            parse_duration(f"{number}{unit}")
    else:
        assert parse_duration(f"{number}{unit}") == pytest.approx(seconds)


@given(st.floats(0.01, 30 * 24 * 3600))
def test_a_shown_duration_is_read_back_to_its_precision(seconds: float) -> None:
    shown = format_duration(seconds)
    precision = 0.0051 if seconds < 0.95 else 0.051 if seconds < 59.95 else 0.51 if seconds < 3600 else 60
    assert abs(parse_duration(shown) - seconds) <= precision


@given(st.integers(1, 1000 << 40))
def test_a_shown_size_is_read_back_to_its_precision(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.051)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) > 0
