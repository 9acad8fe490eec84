from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cache.counters import CacheDelta, Counters, difference, parse_counters

ZERO = Counters(0, 0, 0, 0, 0, {}, "here")


def answer(location: str = 'Local disk: "/c"', size: int | None = 1 << 30, **stats: object) -> str:
    return json.dumps({"stats": stats, "cache_location": location, "cache_size": None, "max_cache_size": size})


def test_the_answer_of_0_16() -> None:
    text = answer(
        compile_requests=9,
        cache_hits={"counts": {"Rust": 3}, "adv_counts": {"rust": 3}},
        cache_misses={"counts": {"Rust": 2, "C/C++": 1}, "adv_counts": {}},
        cache_errors={"counts": {"Rust": 1}, "adv_counts": {}},
        cache_writes=2,
        cache_write_errors=1,
        not_cached={"crate-type": 2, "-": 1, "missing input": 2},
        multi_level=None,
    )

    counters = parse_counters(text)

    assert counters == Counters(9, 3, 3, 2, 1, {"crate-type": 2}, 'Local disk: "/c"', 1 << 30)


def test_the_answer_of_0_4_has_no_details_by_language() -> None:
    counters = parse_counters(answer(size=None, compile_requests=4, cache_hits={"counts": {"Rust": 4}}))

    assert counters is not None
    assert counters.hits == 4
    assert counters.size is None


def test_plain_numbers_are_counters_too() -> None:
    counters = parse_counters(answer(compile_requests=4, cache_hits=1, cache_misses=2))

    assert counters is not None
    assert (counters.hits, counters.misses) == (1, 2)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"stats": 3}', "[" * 100_000, b"\xff\xfe", "Compile requests  3"]
)
def test_what_is_not_an_answer_is_none(text: str | bytes) -> None:
    assert parse_counters(text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
names = st.sampled_from(
    ["compile_requests", "cache_hits", "cache_misses", "cache_errors", "cache_writes", "not_cached", "x"]
)


@given(stats=st.dictionaries(names, json_values), location=json_values, size=json_values)
def test_any_form_of_a_counter_is_read_without_an_error(
    stats: dict[str, object], location: object, size: object
) -> None:
    counters = parse_counters(json.dumps({"stats": stats, "cache_location": location, "max_cache_size": size}))

    assert counters is not None
    assert all(isinstance(n, int) and n >= 0 for n in counters[:5])
    assert difference(counters, counters).hits == 0


def test_difference_is_what_was_counted_in_between() -> None:
    before = ZERO._replace(requests=10, hits=4, misses=3, errors=1, not_cached={"crate-type": 2})
    after = before._replace(requests=20, hits=9, misses=4, not_cached={"crate-type": 2, "incremental": 5})

    assert difference(before, after) == CacheDelta(5, 1, 0, {"incremental": 5}, "here")


def test_after_a_restart_of_the_server_the_later_reading_counts() -> None:
    before = ZERO._replace(requests=100, hits=40, misses=3, not_cached={"crate-type": 2})
    after = ZERO._replace(requests=7, hits=1, misses=6, not_cached={"crate-type": 1})

    assert difference(before, after) == CacheDelta(1, 6, 0, {"crate-type": 1}, "here")


counts = st.integers(0, 1000)
readings = st.builds(
    Counters, counts, counts, counts, counts, counts, st.dictionaries(st.sampled_from("abc"), counts), st.just("x")
)


@given(before=readings, after=readings)
def test_a_difference_is_never_negative(before: Counters, after: Counters) -> None:
    delta = difference(before, after)

    assert min(delta.hits, delta.misses, delta.errors, *delta.not_cached.values(), 0) == 0


def test_a_storage_that_takes_nothing_is_worth_a_line() -> None:
    assert CacheDelta(0, 8, 8, {}, "Local disk").complaint is not None
    assert CacheDelta(0, 80, 1, {}, "Local disk").complaint is None
    assert CacheDelta(3, 0, 0, {}, "Local disk").complaint is None


def test_a_password_in_the_location_is_not_kept() -> None:
    counters = parse_counters(answer("redis, name: redis://:hush@127.0.0.1:1, prefix: /"))

    assert counters is not None
    assert "hush" not in counters.location
    assert "127.0.0.1:1" in counters.location
