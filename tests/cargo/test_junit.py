"""Reports of tests: what passed and how long it took; hostile ones are refused as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo import junit
from buildopt.cargo.junit import TimedTest, joined_reports, parse_report

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="5" failures="1" errors="0" time="0.4">
    <testsuite name="a" tests="3">
        <testcase name="one" classname="a" time="0.008"/>
        <testcase name="m::two &lt;&quot;>" classname="a" time="0.25">
            <flakyFailure message="once" type="t" time="0.1">first try</flakyFailure>
        </testcase>
        <testcase name="fails" classname="a" time="0.1"><failure message="x" type="t">no</failure></testcase>
        <testcase name="skipped" classname="a" time="0.1"><skipped/></testcase>
        <testcase name="after" classname="a" time="3"><system-out>out</system-out></testcase>
    </testsuite>
</testsuites>
"""


def test_what_passed_is_told_with_its_time():
    assert parse_report(REPORT.encode()) == (
        TimedTest("a", "one", 0.008),
        TimedTest("a", 'm::two <">', 0.25),
        TimedTest("a", "after", 3.0),
    )


@pytest.mark.parametrize("time", ["", "nan", "inf", "-1", "1e999", "soon"])
def test_a_time_that_is_none_is_left_out(time: str):
    assert parse_report(f'<s><testcase name="x" classname="a" time="{time}"/></s>'.encode()) == ()


def test_a_case_without_a_name_or_a_class_is_left_out():
    assert parse_report(b'<s><testcase name="x" time="1"/><testcase classname="a" time="1"/></s>') == ()


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        "<x>&undeclared;</x>",
        REPORT[:-20],
        "",
        "{}",
    ],
)
def test_a_report_that_is_damaged_or_hostile_is_refused(text: str):
    with pytest.raises(ValueError):
        parse_report(text.encode())


def test_two_reports_become_one():
    other = REPORT.replace('"a"', '"b"').replace("<testsuites ", '<testsuites uuid="&gt;" ')
    joined = parse_report(joined_reports([REPORT.encode(), other.encode()]))
    assert [time.binary for time in joined] == ["a"] * 3 + ["b"] * 3
    assert parse_report(joined_reports([b'<testsuites name="nextest-run"/>'])) == ()


def test_the_encoding_is_utf_8_whatever_the_report_claims():
    case = '<?xml version="1.0" encoding="{}"?><s><testcase name="é" classname="a" time="1"/></s>'
    for claimed in ("no-such", "UTF-16", "latin-1"):
        assert parse_report(case.format(claimed).encode()) == (TimedTest("a", "é", 1.0),)


def test_a_report_beyond_the_bound_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(junit, "MOST_BYTES", len(REPORT) - 1)
    with pytest.raises(ValueError, match="more than"):
        parse_report(REPORT.encode())


@given(st.binary(max_size=200) | st.text(alphabet="<>/testcase nm=\"'01&;!-?[]", max_size=60).map(str.encode))
def test_anything_is_read_or_refused(text: bytes):
    try:
        found = parse_report(text)
    except ValueError:
        return
    assert all(time.seconds >= 0 for time in found)
