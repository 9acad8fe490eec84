from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.stderr import StderrReader
from buildopt.host import Command, Host

DATA = Path(__file__).parent / "data"
RUNNING = b"     Running `/x/bin/rustc --crate-name app --edition=2021 src/lib.rs`\n"
FINISHED = b"    Finished `dev` profile [unoptimized + debuginfo] target(s) in 0.30s\n"


def read(content: bytes, size: int | None = None, root: Path | None = None) -> tuple[bytes, StderrReader]:
    reader = StderrReader(root)
    size = size or len(content) or 1
    shown = b"".join(reader.feed(content[at : at + size]) for at in range(0, len(content), size))
    return shown + reader.flush(), reader


@pytest.mark.parametrize("version", ["1.63", "1.74", "1.91", "1.95"])
def test_recorded_output_of_four_versions_loses_only_what_v_adds(version):
    content = (DATA / f"test-{version}.stderr").read_bytes()
    shown, reader = read(content, root=Path("/home/dev/ws"))
    hidden = [line for line in content.splitlines(keepends=True) if line not in shown.splitlines(keepends=True)]
    assert shown == b"".join(line for line in content.splitlines(keepends=True) if line not in hidden)
    assert {re.sub(rb"\x1b\[[\d;]*m", b"", line).split()[0] for line in hidden} <= {
        b"Running",
        b"Fresh",
        b"Dirty",
        b"Timing",
    }
    assert b"Compiling" in shown
    assert b"unused variable" in shown
    assert reader.timings_path is not None
    assert reader.timings_path.parent == Path("/home/dev/ws/target/cargo-timings")
    if version != "1.63":  # which gives no reasons
        assert reader.reasons["base", "0.1.0"] == "the file `base/src/lib.rs` has changed"
        assert reader.reasons["api", "0.1.0"].replace("`", "") == "the dependency base was rebuilt"
        assert set(reader.reasons) == {("base", "0.1.0"), ("api", "0.1.0"), ("app", "0.1.0")}


@pytest.mark.parametrize(
    "line",
    [
        RUNNING,
        b"       Fresh app v0.1.0 (/ws/app)\n",
        b"       Fresh itoa v1.0.18\n",
        b"       Dirty app v0.1.0 (/ws/app): the env variable X changed\n",
        b"     Running `/x/rustdoc --edition=2021 --crate-name app src/lib.rs`\n",
        b"     Running `/x/sccache /x/rustc --crate-name app src/lib.rs`\n",
        b"     Running `/t/debug/build/api-b43f639816fa673d/build-script-build`\n",
        b"     Running `/t/debug/build/api-b43f639816fa673d/build-script-custom`\n",
        b"     Running `/t/debug/build/api/e2e7144095515ae4/out/build_script_build`\n",
        b"     Running `rustc --crate-name app --cfg 'feature=\"a\nb\nc\"' src/lib.rs`\n",
        b"\x1b[1m\x1b[92m     Running\x1b[0m `rustc --crate-name app`\n",
        b"\x1b[0m\x1b[0m\x1b[1m\x1b[32m       Fresh\x1b[0m app v0.1.0\n",
        b"      Timing report saved to /t/cargo-timings/cargo-timing-1.html\n",
    ],
)
def test_what_v_adds_is_hidden(line):
    assert read(FINISHED + line + FINISHED)[0] == 2 * FINISHED
    assert read(line)[0] == b""
    assert read(line, 1)[0] == b""


@pytest.mark.parametrize(
    "line",
    [
        b"     Running `/t/debug/deps/app-3110576fc3c3c96d`\n",
        b"     Running unittests src/lib.rs (/t/debug/deps/app-3110576fc3c3c96d)\n",
        b"       Running `rustc --crate-name x`\n",  # printed by a build script, which Cargo indents
        b"Running `rustc --crate-name x`\n",
        b"       Fresh air is good\n",
        b"      Timing is everything\n",
        b"   Compiling app v0.1.0 (/ws/app)\n",
        b"warning: api@0.1.0: Dirty app v0.1.0: x\n",
        b"    Blocking waiting for file lock on build directory\n",
        b"  |\n",
        b"\n",
        b"\xff\xfe\x00 \x1b[2K\r\n",
    ],
)
def test_all_else_goes_through_byte_for_byte(line):
    for size in (None, 1, 3):
        assert read(FINISHED + line + FINISHED, size)[0] == FINISHED + line + FINISHED
    assert read(line[:-1])[0] == line[:-1]


def test_a_lock_wait_is_seen_and_shown():
    line = b"\x1b[1m\x1b[96m    Blocking\x1b[0m waiting for file lock on package cache\n"
    shown, reader = read(line + b"    Blocking waiting for file lock on build directory\n")
    assert shown.startswith(line)
    assert reader.lock_waits == ["package cache", "build directory"]


def test_reasons_lose_their_time_stamps_and_the_path_of_the_workspace():
    lines = (
        b"       Dirty a v1.0.0-rc.1 (/ws/odd (x) y): the file `/ws/a/src/lib.rs` has changed (1.5s, 2s after last build at 1.0s)\n"
        b"       Dirty b v2.0.0: file size changed (3 != 4) for `b.rs`\n"
        b"       Dirty b v2.0.0: forced\n"
    )
    _, reader = read(lines, root=Path("/ws"))
    assert reader.reasons == {
        ("a", "1.0.0-rc.1"): "the file `a/src/lib.rs` has changed",
        ("b", "2.0.0"): "file size changed (3 != 4) for `b.rs`",  # the first is the one that began it
    }


def test_the_note_that_explains_a_reason_is_hidden_with_it():
    note = b"\x1b[1m\x1b[92mnote\x1b[0m: this could happen because of added/removed `cargo::rerun-if` instructions in the build script\n"
    dirty = b"       Dirty a v1.0.0: the local lengths changed\n"
    assert read(dirty + note + FINISHED)[0] == FINISHED
    assert read(dirty + FINISHED + note)[0] == FINISHED + note


def test_the_timings_path_may_be_a_link():
    line = b"      Timing report saved to \x1b]8;;file:///t/a%20b.html\x1b\\/t/a b.html\x1b]8;;\x1b\\\n"
    shown, reader = read(line, 5)
    assert shown == b""
    assert reader.timings_path == Path("/t/a b.html")


ERROR = b"\x1b[1m\x1b[91merror\x1b[0m: could not compile `app` (lib) due to 1 previous error\n"
CAUSE = b"\nCaused by:\n  process didn't exit successfully: `rustc --crate-name app` (exit status: 1)\n"


def test_the_cause_that_only_v_prints_is_hidden():
    for size in (None, 1, 7):
        assert read(ERROR + CAUSE + FINISHED, size)[0] == ERROR + FINISHED
        assert read(ERROR + CAUSE, size)[0] == ERROR
        assert read(2 * (ERROR + CAUSE), size)[0] == 2 * ERROR
    documented = b"error: could not document `app`\n"
    assert read(documented + CAUSE)[0] == documented
    several = CAUSE.replace(b"app`", b"app --cfg 'a\n  b'`")
    assert read(ERROR + several + FINISHED)[0] == ERROR + FINISHED


@pytest.mark.parametrize(
    "content",
    [
        ERROR + CAUSE.replace(b"exit status: 1", b"signal: 9, SIGKILL: kill") + FINISHED,
        ERROR + CAUSE.replace(b"exit status: 1", b"exit status: 254") + FINISHED,
        ERROR.replace(b" due to 1 previous error", b"") + CAUSE,
        b"error: failed to run custom build command for `b v0.1.0 (/ws/b)`\n" + CAUSE + b"  --- stdout\n  x\n",
        ERROR + b"\n" + FINISHED,
        ERROR + b"\nCaused by:\n  something else\n",
        ERROR + b"\nCaused by:\n",
        ERROR + b"\n",
        ERROR,
    ],
)
def test_a_cause_that_cargo_prints_anyway_is_shown(content):
    for size in (None, 1, 7):
        assert read(content, size)[0] == content


def test_partial_lines_are_not_held_back_without_need():
    reader = StderrReader()
    assert reader.feed(b"warning: unu") == b"warning: unu"
    assert reader.feed(b"sed     Running `rustc --crate-name") == b"sed     Running `rustc --crate-name"
    assert reader.feed(b" x`\n   ") == b" x`\n"
    assert reader.feed(b"Compiling") == b"   Compiling"
    assert reader.feed(b" app\n     Runn") == b" app\n"
    assert reader.feed(b"ing unittests") == b"     Running unittests"
    assert reader.flush() == b""


def test_flush_gives_back_what_was_held():
    reader = StderrReader()
    assert reader.feed(b"     Runn") == b""
    assert reader.flush() == b"     Runn"
    assert reader.flush() == b""


def test_pages_of_documentation_are_summed_up():
    pages = [b"   Generated /t/doc/%d/index.html\n" % number for number in range(3)]
    assert read(pages[0])[0] == pages[0]
    assert read(b"".join(pages[:2]), 5)[0] == b"   Generated /t/doc/0/index.html and 1 other file\n"
    assert read(b"".join(pages) + FINISHED)[0] == b"   Generated /t/doc/0/index.html and 2 other files\n" + FINISHED


def test_a_progress_bar_is_shown_as_it_moves():
    bar = b"    Building [====>   ] 3/5: app\r"
    reader = StderrReader()
    assert reader.feed(bar) == bar
    assert reader.feed(b"\x1b[K" + RUNNING) == b""
    assert reader.feed(bar + b"\x1b[K" + FINISHED) == bar + b"\x1b[K" + FINISHED


def test_a_command_without_an_end_swallows_no_error():
    content = b"     Running `rustc --crate-name app 'x\ny\n" + ERROR + FINISHED
    assert read(content)[0] == ERROR + FINISHED


PIECES = st.sampled_from([
    RUNNING, FINISHED, ERROR, CAUSE, b"\n", b"       Fresh app v0.1.0\n", b"     Running `rustc --crate-name 'a\nb'`\n",
    b"       Dirty app v0.1.0: the local lengths changed\n", b"warning: x\n", b"     Runn", b"abc", b"\x1b[1m", b"\r", b"error: y\n",
])  # fmt: skip


@given(st.lists(PIECES).map(b"".join), st.lists(st.integers(0, 400)))
def test_pieces_of_any_size_give_the_same(content, cuts):
    bounds = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    reader = StderrReader()
    shown = b"".join(reader.feed(content[a:b]) for a, b in itertools.pairwise(bounds)) + reader.flush()
    whole, other = read(content)
    assert shown == whole
    assert (reader.reasons, reader.lock_waits) == (other.reasons, other.lock_waits)


@given(st.lists(st.binary().filter(lambda b: not re.search(rb"Fresh|Dirty|Running|Timing|could not", b))))
def test_other_bytes_are_untouched(chunks):
    reader = StderrReader()
    assert b"".join([*(reader.feed(chunk) for chunk in chunks), reader.flush()]) == b"".join(chunks)


def test_ten_megabytes_take_less_than_a_second(cpu_seconds):
    lines = (
        b"warning: unused variable: `x`\n --> src/lib.rs:1:27\n" * 50
        + RUNNING.replace(b"app", b"app " + b"-L x=y " * 100)
    ) * 3200
    shown, _ = read(lines, 1 << 16)
    assert cpu_seconds(lambda: read(lines, 1 << 16), calls=3) < 1
    assert b"crate-name" not in shown
    assert len(lines) > 10_000_000


# ---- against the real Cargo: filter(cargo -v) == cargo

COMMANDS = {
    "check": ("check", "--workspace", "--all-targets"),
    "clippy": ("clippy", "--workspace"),
    "build": ("build", "--workspace"),
    "test": ("test", "--no-run", "-p", "leaf"),
    "doc": ("doc", "--workspace", "--no-deps"),
}


def cargo_workspace(root: Path) -> dict[str, str]:
    return {
        "Cargo.toml": '[workspace]\nmembers = ["leaf", "top"]\nresolver = "2"\n',
        "leaf/Cargo.toml": '[package]\nname = "leaf"\nversion = "0.1.0"\nedition = "2021"\n[features]\nodd = []\n',
        "leaf/src/lib.rs": "//! [nosuch]\npub fn one() -> u32 { let unused = 1; 1 }\n",
        "leaf/build.rs": 'fn main() { println!("cargo:warning=look here"); println!("cargo:rerun-if-changed=build.rs"); }\n',
        "leaf/tests/it.rs": "#[test] fn one() { assert_eq!(leaf::one(), 1); }\n",
        "top/Cargo.toml": '[package]\nname = "top"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nleaf = { path = "../leaf" }\n',
        "top/src/main.rs": "fn main() { leaf::one(); }\n",
    }


def compare(root: Path, arguments: tuple[str, ...], colour: str) -> tuple[bytes, StderrReader]:
    """Run a command with and without -v and return what the filter left, after checking that both are equal."""
    common = ("cargo", *arguments, "-j1", "--color", colour, "--message-format=json-render-diagnostics")
    plain = Host().run(Command((*common, "--target-dir", f"{root}/plain"), root))
    verbose = Host().run(Command((*common, "-v", "--timings", "--target-dir", f"{root}/loud"), root))
    assert verbose.returncode == plain.returncode
    shown, reader = read(verbose.stderr, 1000, root)
    assert neutral(shown) == neutral(plain.stderr)
    assert len(shown) < len(verbose.stderr)
    assert reader.timings_path is not None
    assert reader.timings_path.is_file()
    return shown, reader


def neutral(content: bytes) -> list[bytes]:
    """Return the lines without what differs by chance: times, target directories, and waits for the Cargo of somebody else."""
    lines = re.sub(rb"in [\d.]+s|(?<=/)(?:plain|loud)(?=/)", b"", content).splitlines(keepends=True)
    return [line for line in lines if b"waiting for file lock" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_left_is_what_cargo_prints_without_v(command, tmp_path, tree, need):
    need("cargo")
    root = tree(tmp_path / "ws", cargo_workspace(tmp_path))
    colour = "always" if command == "check" else "never"
    shown, reader = compare(root, COMMANDS[command], colour)
    assert reader.reasons == {}
    assert b"look here" in shown
    (root / "leaf/src/lib.rs").write_text("pub fn one() -> u32 { let unused = 1; 2 }\n")
    _, reader = compare(root, COMMANDS[command], colour)
    assert reader.reasons["leaf", "0.1.0"] == "the file `leaf/src/lib.rs` has changed"
    (root / "leaf/src/lib.rs").write_text(
        '#![deny(rustdoc::all)]\n//! [nosuch]\npub fn one() -> u32 { let unused = 1; "no" }\n'
    )
    shown, _ = compare(root, COMMANDS[command], colour)
    assert b"error" in shown


def test_a_failing_build_script_is_shown_as_cargo_shows_it(tmp_path, tree, need):
    need("cargo")
    script = 'fn main() { println!("cargo:warning=uh"); println!("out"); eprintln!("Running `rustc --crate-name x`"); std::process::exit(3) }\n'
    root = tree(tmp_path / "ws", {**cargo_workspace(tmp_path), "leaf/build.rs": script})
    for colour in ("always", "never"):
        shown, _ = compare(root, ("check", "-p", "leaf"), colour)
        assert b"--- stderr\n  Running `rustc --crate-name x`\n" in shown
