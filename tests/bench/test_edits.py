from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.bench.edits import Place, body_places, edited, signature_place

SOURCE = """\
//! A crate with all that is not a plain function.
#![allow(dead_code, unused_braces)]
/* a comment with fn commented() { /* nested { */ } */
const TEXT: &str = "fn in_a_string() { }";
const RAW: &str = r#"fn in_a_raw_string() { " }"#;
const BRACE: char = '{';
const QUOTE: char = '\\'';
macro_rules! made { () => { fn in_a_macro() { } } }
made!();
const fn constant() -> u32 { 1 }
pub const unsafe fn constant_and_unsafe() -> u32 { 1 }
trait Shape<'a> { fn none(&'a self) -> u32; fn own(&self) -> u32 { 7 } }
#[cfg(windows)]
fn elsewhere() { }
#[cfg(test)]
mod tests {
    #[test]
    fn tested() { }
}
#[inline]
fn inlined() -> u32 { 3 }
extern "C" { fn foreign(size: usize) -> usize; }
fn generic<T: Copy>(value: T) -> T where T: Sized { value }
type Pointer = fn(u32) -> u32;
fn array() -> [u8; { 2 + 1 }] {
    [0; 3]
}
pub(crate) async fn waiting<'a>(text: &'a str) -> &'a str {
    text
}
extern "C" fn exported(byte: u8) -> u8 {
    if byte == b'{' { b'}' } else { byte }
}
"""


def functions(source: str) -> list[str]:
    """Return the words from `fn` on of each function that may be edited."""
    return [source[: place.offset].rpartition("fn ")[2].split("(")[0].split("<")[0] for place in body_places(source)]


def test_only_plain_functions_are_edited_and_generic_ones_last() -> None:
    found = functions(SOURCE)
    assert set(found) == {"own", "array", "waiting", "exported", "generic"}
    assert found[-1] == "generic"


@pytest.mark.slow
def test_the_compiler_takes_every_place_without_a_word(tmp_path: Path, need: Callable[[str], Path]) -> None:
    need("rustc")
    places = body_places(SOURCE)
    for place in (*places, signature_place(SOURCE)):
        changed = edited(SOURCE, place, 41, 2)
        (tmp_path / "lib.rs").write_text(changed)
        command = ["rustc", "--edition=2021", "--crate-type=lib", "--emit=metadata", "-Dwarnings", "lib.rs"]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr


def test_a_file_under_a_condition_has_no_place() -> None:
    assert body_places("#![cfg(windows)]\nfn one() { }\n") == ()
    assert body_places("#![allow(unused)]\nfn one() { }\n") != ()


def test_two_edits_are_never_the_same_and_lines_move() -> None:
    (place,) = body_places("fn one() {\n}\n")
    texts = {edited("fn one() {\n}\n", place, number, number % 2) for number in range(10)}
    assert len(texts) == 10
    assert len({text.count("\n") for text in texts}) == 2


@pytest.mark.parametrize(
    "text", ["", "fn", "fn f", "fn f(", "fn f() {", "'", '"', 'r#"', "/*", "b'", "m! {", "#[cfg(x)]"]
)
def test_what_is_no_rust_is_no_error(text: str) -> None:
    for place in body_places(text):
        assert 0 < place.offset <= len(text)


PIECES = [
    "fn f() {",
    "}",
    "{",
    "(",
    ")",
    '"',
    "'",
    "//",
    "\n",
    "/*",
    "*/",
    "m!{",
    "#[cfg(a)]",
    "const ",
    "é",
    'r#"',
    "\\",
    ";",
    " <T>",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.integers(0, 9), st.integers(0, 2))
def test_an_edit_adds_lines_after_an_opening_brace_and_takes_nothing_away(text: str, number: int, lines: int) -> None:
    for place in (*body_places(text), signature_place(text)):
        changed = edited(text, place, number, lines)
        added = len(changed) - len(text)
        assert added > 0
        assert changed[: place.offset] + changed[place.offset + added :] == text
        assert place.kind == "signature" or text[place.offset - 1] == "{"


def test_a_long_file_takes_no_time() -> None:
    text = SOURCE * 200
    assert len(body_places(text)) >= 200


def test_the_most_typical_function_comes_first() -> None:
    bodies = {name: "    work();\n" * lines for name, lines in (("tiny", 1), ("usual", 8), ("huge", 300))}
    order = list(bodies)
    random.Random(1).shuffle(order)
    text = "".join(f"fn {name}() {{\n{bodies[name]}}}\n" for name in order)
    assert functions(text)[0] == "usual"


def test_a_signature_goes_to_the_end() -> None:
    assert signature_place("fn main() {}") == Place("signature", 12)
    assert edited("fn main() {}", Place("signature", 12), 5, 0).endswith(
        "pub fn buildopt_edit_5() -> u64 {\n    5\n}\n"
    )
