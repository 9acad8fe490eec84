from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.timings import parse_target, parse_timings

DATA = Path(__file__).parent / "data"


def page(rows: object) -> str:
    return f"<html><script>const UNIT_DATA = {json.dumps(rows)};\nconst CPU_USAGE = [];</script></html>"


ROW = {"i": 0, "name": "app", "version": "0.1.0", "mode": "todo", "target": "", "start": 0.5, "duration": 2.0}


@pytest.mark.parametrize("version", ["1.63", "1.74", "1.85", "1.91", "1.95"])
def test_recorded_pages_of_five_versions_are_read_alike(version):
    units = parse_timings((DATA / f"test-{version}.html").read_text())
    seen = {(u.package, u.target, u.mode) for u in units}
    assert seen == {
        ("base", "lib", "build"),
        ("base", "lib", "test"),
        ("base", 'test "it"', "test"),
        ("base", 'example "ex"', "build"),
        ("api", "build-script", "build"),
        ("api", "build-script", "run-custom-build"),
        ("api", "lib", "build"),
        ("api", "lib", "test"),
        ("api", 'bin "tool"', "test"),
        ("app", 'bin "app"', "test"),
    }
    library = next(u for u in units if (u.package, u.target, u.mode) == ("base", "lib", "build"))
    assert library.frontend_seconds is not None
    assert library.codegen_seconds is not None
    assert library.frontend_seconds + library.codegen_seconds == pytest.approx(library.duration_seconds, abs=0.011)


@pytest.mark.parametrize("version", ["1.63", "1.74", "1.85", "1.91", "1.95"])
def test_a_check_is_told_from_a_build_and_a_test(version):
    modes = {(u.package, u.mode) for u in parse_timings((DATA / f"check-{version}.html").read_text())}
    assert {("base", "check"), ("base", "test"), ("app", "check"), ("app", "test")} <= modes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("lib", "build")),
        (" (check)", ("lib", "check")),
        (" (check-test)", ("lib", "test")),
        (' app "bin"', ('bin "app"', "build")),
        (' app "bin" (check)', ('bin "app"', "check")),
        (' it "test" (check-test)', ('test "it"', "test")),
        (' it "integration-test" (test)', ('test "it"', "test")),
        (' test "bin" (test)', ('bin "test"', "test")),
        (' speed "bench" (bench)', ('bench "speed"', "test")),
        (' a "lib" (test)', ("lib", "test")),
        (' a "lib" (doc)', ("lib", "doc")),
        (' a "lib" (doc test)', ("lib", "doctest")),
        (" (doc scrape)", ("lib", "docscrape")),
        (" build-script", ("build-script", "build")),
        (" build-script (check)", ("build-script", "check")),
        (" build-script (run)", ("build-script", "run-custom-build")),
        (" lib (check)", ("lib", "check")),
        (" lib (doc)", ("lib", "doc")),
        (' bin "app"', ('bin "app"', "build")),
        (' bin "bin" (test)', ('bin "bin"', "test")),
        (' example "ex" (check)', ('example "ex"', "check")),
        (" build script", ("build-script", "build")),
        (" build script (run)", ("build-script", "run-custom-build")),
        (" something else", ("something else", "build")),
    ],
)
def test_target_texts_of_old_and_new_cargo(text, expected):
    assert parse_target(text) == expected


def test_units_that_only_stand_in_the_page_did_not_run():
    units = parse_timings(page([{**ROW, "start": 0.0, "duration": 0.0}, {**ROW, "start": 0.01, "duration": 0.0}]))
    assert [u.start_seconds for u in units] == [0.01]


def test_sections_are_lengths_and_extra_ones_do_no_harm():
    sections = [
        ["frontend", {"start": 0.0, "end": 1.5}],
        ["codegen", {"start": 1.5, "end": 2.0}],
        ["link", {"start": 2.0}],
        3,
    ]
    (unit,) = parse_timings(page([{**ROW, "sections": sections, "news": True, "features": ["b", "a"]}]))
    assert (unit.frontend_seconds, unit.codegen_seconds, unit.features) == (1.5, 0.5, ("a", "b"))


def test_missing_fields_are_no_failure_and_broken_rows_are_left_out():
    rows = [
        ROW,
        1,
        None,
        {},
        {"name": 3},
        {**ROW, "start": None},
        {**ROW, "duration": "2"},
        {**ROW, "start": -1},
        {**ROW, "duration": True},
    ]
    (unit,) = parse_timings(page(rows))
    assert (unit.frontend_seconds, unit.codegen_seconds, unit.features) == (None, None, None)


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<html>",
        "const UNIT_DATA = ",
        "const UNIT_DATA = [",
        "const UNIT_DATA = {}",
        "const UNIT_DATA = [NaN",
        "UNIT_DATA = " + "[" * 100_000,
    ],
)
def test_a_page_that_cannot_be_read_gives_nothing(html):
    assert parse_timings(html) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*ROW, "sections", "features", "rmeta_time", "x"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(
    JSON
    | st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys([*ROW, "sections", "features", "rmeta_time"], JSON)))
)
def test_no_value_is_a_failure(rows):
    parse_timings(page(rows))


@given(st.text())
def test_no_text_is_a_failure(text):
    parse_timings(text)
    parse_timings("const UNIT_DATA = " + text)
    parse_target(text)
