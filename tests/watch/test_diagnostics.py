from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.host import Command, Host
from buildopt.watch.diagnostics import Diagnostic, DiagnosticReader

Tree = Callable[[Path, Mapping[str, str]], Path]

COLOURED = (
    b"\x1b[1m\x1b[92m    Checking\x1b[0m core v0.1.0 (/ws/core)\n"
    b"\x1b[1m\x1b[91merror[E0308]\x1b[0m\x1b[1m: mismatched types\x1b[0m\n"
    b" \x1b[1m\x1b[94m--> \x1b[0mcore/src/lib.rs:1:34\n"
    b"  \x1b[1m\x1b[94m|\x1b[0m\n"
    b'\x1b[1m\x1b[94m1\x1b[0m \x1b[1m\x1b[94m|\x1b[0m pub fn f() -> u32 { "\xc3\xa9\xe6\xbc\xa2" }\n'
    b"  \x1b[1m\x1b[94m|\x1b[0m                     \x1b[1m\x1b[91m^^^\x1b[0m \x1b[1m\x1b[91mexpected `u32`\x1b[0m\n"
    b"\x1b[1m\x1b[92mnote\x1b[0m: function defined here\n"
    b" \x1b[1m\x1b[94m--> \x1b[0mcore/src/other.rs:9:8\n"
    b"\x1b[1m\x1b[96mhelp\x1b[0m: consider this\n"
    b"\n"
    b"\x1b[1mFor more information about this error, try `rustc --explain E0308`.\x1b[0m\n"
    b"\x1b[1m\x1b[91merror\x1b[0m: could not compile `core` (lib) due to 1 previous error\n"
    b"\x1b[1m\x1b[33mwarning\x1b[0m: build failed, waiting for other jobs to finish...\n"
)
LIBTEST = b"""
running 3 tests
test tests::good ... ok
test tests::bad ... FAILED
test tests::quiet ... FAILED

failures:

---- tests::bad stdout ----
error: no diagnostic, only what a test prints
 --> src/nowhere.rs:1:1

thread 'worker' (7) panicked at core/src/lib.rs:3:1:
first

thread 'tests::bad' (8) panicked at core/src/lib.rs:12:26:
assertion `left == right` failed: numbers
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    tests::bad
    tests::quiet

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.13s

"""
DOCTESTS = b"""
running 1 test
test core/src/lib.rs - two (line 5) ... FAILED

failures:

---- core/src/lib.rs - two (line 5) stdout ----
Test executable failed (exit status: 101).

stderr:

thread 'main' (9) panicked at core/src/lib.rs:3:1:
boom


failures:
    core/src/lib.rs - two (line 5)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.27s

"""
NEXTEST = """────────────
 Nextest run ID 4bdfda0d-5901-41bf-84e0-00eec3f1c630 with nextest profile: default
    Starting 4 tests across 2 binaries
        PASS [   0.013s] (1/4) core tests::good
  TRY 1 FAIL [   0.009s] (2/4) core tests::flaky
  stdout ───

    running 1 test
    test tests::flaky ... FAILED

  TRY 2 PASS [   0.009s] (2/4) core tests::flaky
        SLOW [> 60.000s] (─────────) core tests::slow
     TIMEOUT [  90.000s] (3/4) core tests::slow
        FAIL [   0.009s] (4/4) core::it bad
  stdout ───

    running 1 test
    test bad ... FAILED

  stderr ───

    thread 'bad' (21926) panicked at core/tests/it.rs:1:19:
    integration

────────────
     Summary [   0.413s] 4 tests run: 2 passed (1 flaky), 1 failed, 1 timed out, 0 skipped
   FLAKY 2/2 [   0.009s] (2/4) core tests::flaky
     TIMEOUT [  90.000s] (3/4) core tests::slow
        FAIL [   0.009s] (4/4) core::it bad
error: test run failed
""".encode()
BUILD_SCRIPT = b"""   Compiling api v0.1.0 (/ws/api)
warning: api@0.1.0: an old compiler
error: failed to run custom build command for `api v0.1.0 (/ws/api)`
note: To improve backtraces for build dependencies, set this.

Caused by:
  process didn't exit successfully: `/ws/target/debug/build/api-1/build-script-build` (exit status: 101)
  --- stderr
  one

  thread 'main' (5) panicked at api/build.rs:1:54:
  boom
   Compiling next v0.1.0 (/ws/next)
"""
LINKER = b"""error: linking with `cc` failed: exit status: 1
  |
  = note:  "cc" "-m64"
  = note: rust-lld: error: undefined symbol: nope
          collect2: error: ld returned 1 exit status
          

error: could not compile `w2` (bin "w2") due to 1 previous error
"""  # noqa: W293 - as printed
ABORTED = b"""
running 2 tests
error: test failed, to rerun pass `--lib`

Caused by:
  process didn't exit successfully: `/ws/target/debug/deps/w2-5342` (signal: 6, SIGABRT: process abort signal)
"""
CAUSE = "process didn't exit successfully: `/ws/target/debug/deps/w2-5342` (signal: 6, SIGABRT: process abort signal)"
MANIFEST = b"""error: unclosed table, expected `]`
 --> core/Cargo.toml:1:9
  |
1 | [package
  |         ^
"""
UNFORMATTED = b"""Diff in /ws/core/src/lib.rs:12:
 fn a() {
\x1b[31m-    b( );
\x1b(B\x1b[m\x1b[32m+    b();
\x1b(B\x1b[m }
Diff in /ws/core/src/main.rs at line 1:
-fn  main( ){}
+fn main() {}
"""
SAMPLES = {
    "coloured": COLOURED, "libtest": LIBTEST, "doctests": DOCTESTS, "nextest": NEXTEST, "build script": BUILD_SCRIPT,
    "linker": LINKER, "aborted": ABORTED, "manifest": MANIFEST, "unformatted": UNFORMATTED,
}  # fmt: skip


def read(*pieces: bytes, root: str | None = None) -> tuple[Diagnostic, ...]:
    reader = DiagnosticReader(root)
    return (*(found for piece in pieces for found in reader.feed(piece)), *reader.flush())


def summaries(found: Sequence[Diagnostic]) -> list[tuple[object, ...]]:
    return [each[:5] for each in found]


def test_a_block_is_complete_with_all_its_notes_and_colours():
    reader = DiagnosticReader()
    end = COLOURED.index(b"\n\n") + 2
    assert reader.feed(COLOURED[: end - 1]) == ()
    (found,) = reader.feed(COLOURED[end - 1 : end])
    assert found[:5] == ("error", "mismatched types", "core/src/lib.rs", 1, 34)
    start = COLOURED.index(b"\x1b[1m\x1b[91merror[E0308]")
    assert found.rendered == COLOURED[start : end - 1]
    assert reader.feed(COLOURED[end:]) == reader.flush() == ()
    assert [re.sub(rb"\x1b\[[0-9;]*m", b"", line)[:30] for line in reader.rest()] == [
        b"    Checking core v0.1.0 (/ws/",
        b"For more information about thi",
        b"error: could not compile `core",
        b"warning: build failed, waiting",
    ]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (
            LIBTEST,
            [
                ("test", "tests::bad: assertion `left == right` failed: numbers", "core/src/lib.rs", 12, 26),
                ("test", "tests::quiet", None, None, None),
            ],
        ),
        (DOCTESTS, [("test", "core/src/lib.rs - two (line 5): boom", "core/src/lib.rs", 5, 1)]),
        (
            NEXTEST,
            [
                ("test", "bad: integration", "core/tests/it.rs", 1, 19),
                ("test", "tests::slow: TIMEOUT", None, None, None),
            ],
        ),
        (
            BUILD_SCRIPT,
            [
                ("warning", "api@0.1.0: an old compiler", None, None, None),
                ("error", "failed to run custom build command for `api v0.1.0 (/ws/api)`", "api/build.rs", 1, 54),
            ],
        ),
        (LINKER, [("error", "linking with `cc` failed: exit status: 1", None, None, None)]),
        (
            ABORTED,
            [
                (
                    "test",
                    f"test failed, to rerun pass `--lib`: {CAUSE}",
                    None,
                    None,
                    None,
                )
            ],
        ),
        (MANIFEST, [("error", "unclosed table, expected `]`", "core/Cargo.toml", 1, 9)]),
        (
            UNFORMATTED,
            [
                ("error", "not formatted as rustfmt formats it", "core/src/lib.rs", 12, 1),
                ("error", "not formatted as rustfmt formats it", "core/src/main.rs", 1, 1),
            ],
        ),
    ],
    ids=[name for name in SAMPLES if name != "coloured"],
)
def test_what_programs_print(sample, expected):
    if sample is ABORTED:  # its two halves come on two streams
        reader = DiagnosticReader()
        head, tail = sample.split(b"error", 1)
        found = (*reader.feed(head, "stdout"), *reader.feed(b"error" + tail), *reader.flush())
    else:
        found = read(sample, root="/ws")
    assert summaries(found) == expected
    assert all(line in sample.split(b"\n") for each in found for line in each.rendered.split(b"\n"))


def test_a_test_under_nextest_is_shown_without_what_libtest_prints_around_it():
    assert read(NEXTEST)[0].rendered.decode() == (
        "        FAIL [   0.009s] (4/4) core::it bad\n"
        "  stderr ───\n"
        "\n"
        "    thread 'bad' (21926) panicked at core/tests/it.rs:1:19:\n"
        "    integration\n"
    )


def test_one_that_several_targets_share_counts_once():
    assert len(read(COLOURED, COLOURED)) == 1
    assert len(read(COLOURED, COLOURED.replace(b":1:34", b":2:34"))) == 2
    assert len(read(NEXTEST, NEXTEST)) == 2


def test_two_streams_do_not_mix():
    reader = DiagnosticReader()
    found: list[Diagnostic] = []
    for at in range(0, len(COLOURED), 10):
        found += reader.feed(COLOURED[at : at + 10], "stderr")
        found += reader.feed(LIBTEST[at : at + 10], "stdout")
    found += reader.feed(LIBTEST[len(COLOURED) :], "stdout")
    assert {each.level for each in (*found, *reader.flush())} == {"error", "test"}
    assert len(found) == 3


def test_a_progress_bar_before_a_message_is_no_part_of_it():
    bar = b"    Building [===>   ] 3/10: core\r\x1b[K"
    assert summaries(read(bar + COLOURED.replace(b"\x1b[1m\x1b[92m", b"\r"))) == summaries(read(COLOURED))


def test_windows_line_ends():
    assert summaries(read(COLOURED.replace(b"\n", b"\r\n"))) == summaries(read(COLOURED))


def test_panics_that_were_not_captured_give_the_place():
    text = (
        b"running 1 test\n\nthread 'a::b' (3) panicked at src/lib.rs:4:5:\nboom\nmore\ntest a::b ... FAILED\n\n"
        b"failures:\n\nfailures:\n    a::b\n\ntest result: FAILED. 0 passed; 1 failed; finished in 0.13s\n"
    )
    assert summaries(read(text)) == [("test", "a::b: boom", "src/lib.rs", 4, 5)]


def test_the_panic_message_of_old_compilers():
    text = LIBTEST.replace(
        b"thread 'tests::bad' (8) panicked at core/src/lib.rs:12:26:\nassertion",
        b"thread 'tests::bad' panicked at 'it is 1:2, or', core/src/lib.rs:12:26\nassertion",
    )
    assert summaries(read(text))[0] == ("test", "tests::bad: it is 1:2, or", "core/src/lib.rs", 12, 26)


def test_endless_output_of_one_test_keeps_its_two_ends():
    text = LIBTEST.replace(b"first\n", b"x" * 500_000 + b"\n" + b"line\n" * 50_000)
    found = read(text)
    assert summaries(found) == summaries(read(LIBTEST))
    assert len(found[0].rendered) < 200_000
    assert b"right: 2" in found[0].rendered


@given(st.sampled_from(sorted(SAMPLES)), st.lists(st.integers(0, 4000)))
def test_pieces_may_end_anywhere(name, cuts):
    sample = SAMPLES[name]
    places = [0, *sorted(cut for cut in cuts if cut < len(sample)), len(sample)]
    pieces = [sample[start:end] for start, end in itertools.pairwise(places)]
    whole, broken = DiagnosticReader(), DiagnosticReader()
    expected = (*whole.feed(sample), *whole.flush())
    assert (*(found for piece in pieces for found in broken.feed(piece)), *broken.flush()) == expected
    assert broken.rest() == whole.rest()


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([line + b"\n" for sample in SAMPLES.values() for line in sample.split(b"\n")]),
        )
    )
)
def test_no_output_is_too_strange(pieces):
    found = read(*pieces)
    assert found == read(b"".join(pieces))
    assert all(each.rendered.endswith(b"\n") and each.level in ("error", "warning", "test") for each in found)


FAILING = {
    "Cargo.toml": '[workspace]\nmembers = ["core", "api"]\nresolver = "2"\n',
    "core/Cargo.toml": '[package]\nname = "kernel"\nversion = "0.1.0"\nedition = "2021"\n',
    "core/src/lib.rs": (
        "/// ```\n/// assert_eq!(kernel::one(), 2);\n/// ```\n"
        "pub fn one() -> u32 {\n    let unused = 3;\n    1\n}\n"
        "#[cfg(test)]\nmod tests {\n"
        '    #[test]\n    fn fails() {\n        assert_eq!(super::one(), 2, "numbers");\n    }\n'
        '    #[test]\n    fn gives_up() -> Result<(), String> {\n        Err("went wrong".into())\n    }\n'
        "    #[test]\n    fn passes() {}\n}\n"
    ),
    "api/Cargo.toml": '[package]\nname = "api"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nkernel = { path = "../core" }\n',
    "api/src/lib.rs": 'pub fn f() -> u32 {\n    let a: u32 = "x";\n    kernel::one()\n}\npub fn g() {\n    nothing();\n}\n',
}


def printed(host: Host, root: Path, *argv: str, colour: str = "always") -> tuple[Diagnostic, ...]:
    reader = DiagnosticReader(str(root))
    found: list[Diagnostic] = []
    host.run(
        Command(argv, root, {"CARGO_TERM_COLOR": colour, "CARGO_TARGET_DIR": None, "RUST_BACKTRACE": "1"}),
        on_stdout=lambda chunk: found.extend(reader.feed(chunk, "stdout")),
        on_stderr=lambda chunk: found.extend(reader.feed(chunk, "stderr")),
    )
    return (*found, *reader.flush())


def test_real_cargo_with_and_without_colour(tmp_path: Path, host: Host, tree: Tree, need: Callable[[str], Path]):
    cargo = str(need("cargo"))
    root = tree(tmp_path / "ws", FAILING)
    plain = printed(host, root, cargo, "check", "--workspace", "--all-targets", colour="never")
    assert sorted(summaries(plain)) == [
        ("error", "cannot find function `nothing` in this scope", "api/src/lib.rs", 6, 5),
        ("error", "mismatched types", "api/src/lib.rs", 2, 18),
        ("warning", "unused variable: `unused`", "core/src/lib.rs", 5, 9),
    ]
    coloured = printed(host, root, cargo, "check", "--workspace", "--all-targets")
    assert sorted(summaries(coloured)) == sorted(summaries(plain))
    assert b"\x1b[" in coloured[0].rendered


def test_real_test_runs(tmp_path: Path, host: Host, tree: Tree, need: Callable[[str], Path]):
    cargo = str(need("cargo"))
    root = tree(tmp_path / "ws", FAILING)
    expected = [
        ("test", "tests::fails: assertion `left == right` failed: numbers", "core/src/lib.rs", 12, 9),
        ("test", 'tests::gives_up: Error: "went wrong"', None, None, None),
        ("warning", "unused variable: `unused`", "core/src/lib.rs", 5, 9),
    ]
    found = printed(host, root, cargo, "test", "-p", "kernel", "--no-fail-fast")
    doctest = ("test", "core/src/lib.rs - one (line 1): assertion `left == right` failed", "core/src/lib.rs", 1, 1)
    assert sorted(summaries(found), key=str) == sorted([*expected, doctest], key=str)
    need("cargo-nextest")
    found = printed(host, root, cargo, "nextest", "run", "-p", "kernel", "--no-fail-fast")
    assert sorted(summaries(found), key=str) == sorted(expected, key=str)
