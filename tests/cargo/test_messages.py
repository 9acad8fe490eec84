from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.messages import MessageStream, parse_messages, parse_package_id

DATA = Path(__file__).parent / "data"
VERSIONS = ("1.63", "1.74", "1.91", "1.95")


def artifact(**changes: object) -> bytes:
    message = {
        "reason": "compiler-artifact",
        "package_id": "path+file:///ws/app#0.1.0",
        "target": {"kind": ["bin"], "name": "app"},
        "profile": {"test": False},
        "features": ["b", "a"],
        "filenames": ["/ws/target/debug/app"],
        "executable": "/ws/target/debug/app",
        "fresh": False,
        **changes,
    }
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path+file:///ws/base#0.1.0", ("base", "0.1.0")),
        ("path+file:///ws/some%20where#0.1.0", ("some where", "0.1.0")),
        ("path+file:///ws/dir#base@0.1.0-rc.1+meta", ("base", "0.1.0-rc.1+meta")),
        ("registry+https://github.com/rust-lang/crates.io-index#itoa@1.0.18", ("itoa", "1.0.18")),
        ("git+https://example.org/foo?rev=abc#0.2.0", ("foo", "0.2.0")),
        ("git+https://example.org/mono?branch=x#foo@0.2.0", ("foo", "0.2.0")),
        ("base 0.1.0 (path+file:///ws/base)", ("base", "0.1.0")),
        ("itoa 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)", ("itoa", "1.0.0")),
        ("foo 0.2.0 (git+https://example.org/foo#abcdef)", ("foo", "0.2.0")),
        ("odd", ("odd", "")),
    ],
)
def test_package_ids_of_old_and_new_cargo_name_package_and_version(text, expected):
    assert parse_package_id(text) == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_messages_name_every_unit(version):
    for kind, count in (("check", 16), ("test", 12)):
        parsed = parse_messages((DATA / f"{kind}-{version}.jsonl").read_bytes())
        assert len(parsed.artifacts) == count
        assert parsed.text == b""
        assert {a.package for a in parsed.artifacts} == {"base", "api", "app", "mac"}
        assert {a.version for a in parsed.artifacts} == {"0.1.0"}
        targets = {a.target for a in parsed.artifacts}
        assert {"lib", "build-script", 'bin "app"', 'bin "tool"', 'example "ex"', 'test "it"'} - targets <= (
            {'example "ex"'} if kind == "test" else set()
        )


def test_modes_come_from_what_was_written():
    parsed = parse_messages((DATA / "check-1.95.jsonl").read_bytes())
    units = {(a.package, a.target, a.mode) for a in parsed.artifacts}
    assert ("base", "lib", "build") in units  # for the build script of api
    assert ("base", "lib", "check") in units
    assert ("base", "lib", "test") in units
    assert ("mac", "lib", "build") in units
    assert ("api", "build-script", "build") in units
    assert ("api", "build-script", "run-custom-build") in units
    assert ("app", 'bin "app"', "check") in units
    assert ("base", 'test "it"', "test") in units
    documented = parse_messages(artifact(target={"kind": ["lib"], "name": "app"}, filenames=["/t/doc/app/index.html"]))
    assert documented.artifacts[0].mode == "doc"


def test_an_artifact_carries_features_freshness_and_executable():
    unit = parse_messages(artifact(fresh=True)).artifacts[0]
    assert (unit.features, unit.fresh, unit.executable) == (("a", "b"), True, "/ws/target/debug/app")


def test_the_run_of_a_build_script_does_not_say_whether_it_was_fresh():
    line = b'{"reason":"build-script-executed","package_id":"path+file:///ws/api#0.1.0","out_dir":"/x"}\n'
    unit = parse_messages(line).artifacts[0]
    assert (unit.package, unit.target, unit.mode, unit.fresh) == ("api", "build-script", "run-custom-build", None)


@pytest.mark.parametrize(("line", "success"), [(b"true", True), (b"false", False)])
def test_the_end_of_the_build_is_told(line, success):
    stream = MessageStream()
    assert stream.success is None
    stream.feed(b'{"reason":"build-finished","success":' + line + b"}\n")
    assert stream.success is success


def test_what_is_no_message_is_handed_back_as_it_is():
    text = b"\nrunning 1 test\ntest ok ... \xff\x00ok\r\n{not json}\n" + b'{"reason":"surprise"\n' + b"{}\n"
    parsed = parse_messages(artifact() + text)
    assert len(parsed.artifacts) == 1
    assert parsed.text == text


def test_text_does_not_wait_for_the_end_of_its_line():
    stream = MessageStream()
    assert stream.feed(b"test slow ... ").text == b"test slow ... "
    assert stream.feed(b"ok\n").text == b"ok\n"
    assert stream.feed(artifact()).artifacts[0].package == "app"


def test_after_the_build_a_test_may_print_what_looks_like_a_message():
    end = b'{"reason":"build-finished","success":true}\n'
    parsed = parse_messages(artifact() + end + artifact() + b"tail")
    assert len(parsed.artifacts) == 1
    assert parsed.text == artifact() + b"tail"


def test_diagnostics_in_json_are_handed_back_rendered():
    line = b'{"reason":"compiler-message","package_id":"x","message":{"rendered":"warning: unused\\n"}}\n'
    assert parse_messages(line).text == b"warning: unused\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"target": None},
        {"target": {"kind": []}},
        {"profile": 3},
        {"features": {}},
        {"filenames": None},
        {"executable": 1},
        {"package_id": None},
    ],
)
def test_a_message_of_unknown_shape_is_no_failure(changes):
    parse_messages(artifact(**changes))


@given(st.lists(st.integers(0, 9000)), st.booleans())
def test_pieces_of_any_size_give_the_same(cuts, with_text):
    whole = (DATA / "test-1.95.jsonl").read_bytes()
    if with_text:
        whole = b"before\n" + whole + b"running 2 tests\n{x}\nlast line without end"
    bounds = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    stream = MessageStream()
    pieces = [stream.feed(whole[a:b]) for a, b in itertools.pairwise(bounds)] + [stream.flush()]
    expected = parse_messages(whole)
    assert sum((piece.artifacts for piece in pieces), ()) == expected.artifacts == tuple(stream.artifacts)
    assert b"".join(piece.text for piece in pieces) == expected.text


@given(st.binary())
def test_no_input_is_a_failure(content):
    parse_messages(content)
    parse_messages(b'{"reason":"' + content + b"\n")
