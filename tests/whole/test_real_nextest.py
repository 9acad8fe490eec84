"""Shards under the real nextest: whatever the durations say, every test runs once, and odd names name one test."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildopt.cargo.nextest import filtersets, parse_listing
from buildopt.host import Host
from buildopt.pipeline.sharding import Shard, choose_tests
from buildopt.record import host_class

pytestmark = pytest.mark.slow

# Tests of any name: the binary lists those in the file TEST_NAMES, and each says in the folder RAN that it was run.
HARNESS = r"""
use std::{env, fs, process};
fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let listed = env::var("TEST_NAMES").ok().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    if words.iter().any(|word| word == "--list") {
        if !words.iter().any(|word| word == "--ignored") {
            for name in listed.split('\n').filter(|name| !name.is_empty()) {
                println!("{name}: test");
            }
        }
    } else if let (Ok(folder), Some(name)) = (env::var("RAN"), words.iter().find(|word| listed.split('\n').any(|n| n == word.as_str()))) {
        fs::write(format!("{folder}/{}", process::id()), format!("a::odd {name}")).unwrap();
    }
}
"""
LIBRARY = r"""
//! ```
//! std::fs::write(format!("{}/doc-{}", std::env::var("RAN").unwrap(), std::process::id()), "doc").unwrap();
//! ```
#[cfg(test)]
mod tests {
    fn ran() {
        let name = std::thread::current().name().unwrap().to_owned();
        std::fs::write(format!("{}/{}", std::env::var("RAN").unwrap(), std::process::id()), format!("a {name}")).unwrap();
    }
    #[test] fn one() { ran() }
    #[test] fn two() { ran() }
    #[test] fn three() { ran() }
    #[test] #[ignore] fn four() { ran() }
}
"""
ODD = (
    "plain", "with space", "par(en)", "par)en", "back\\slash", 'quo"te', "sl/ash", "com,ma", "ünï😀", "tab\tx", "=eq", "~til",
    "#hash", "/re/", "a & b", "a | b", "!not", "trailing ", " leading", "\x01control", "a::b<C, D>", "nb\u00a0sp", "x\\",
    "case 'q'", "{b}", "not(x)", "\\u{61}", "-E", "line\u2028sep", "\x7fdel", "zero\u200bwidth",
)  # fmt: skip
IN_LIBRARY = ("a tests::one", "a tests::two", "a tests::three")
EVERY = Counter([*(f"a::odd {name}" for name in ODD), *IN_LIBRARY, "doc"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], Path]) -> Path:
    """Return a workspace whose tests are built."""
    need("cargo-nextest")
    root = tmp_path_factory.mktemp("shards") / "ws"
    for name, text in {
        "Cargo.toml": '[workspace]\nmembers = ["a"]\nresolver = "2"\n[profile.dev]\ndebug = 0\n',
        "a/Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n[[test]]\nname = "odd"\nharness = false\n',
        "a/src/lib.rs": LIBRARY,
        "a/tests/odd.rs": HARNESS,
        "buildopt.toml": 'version = 1\n[tests.all]\nshards = 3\ntimeout = "auto"\n[stages.core]\nrun = ["test"]\ntimeout = "auto"\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["cargo", "test", "--no-run", "--quiet"], cwd=root, check=True)
    return root


@pytest.fixture
def ws(built: Path) -> Iterator[Path]:
    """Return that workspace, without a record."""
    (built / "names").write_bytes("\n".join(ODD).encode())
    yield built
    shutil.rmtree(built / ".buildopt", ignore_errors=True)
    shutil.rmtree(built / ".config", ignore_errors=True)


def call(ws: Path, *words: str, ran: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TEST_NAMES": str(ws / "names"),
        **environ,
    }
    environment["RAN"] = str(ran or ws)
    # A Cargo elsewhere on this machine holds the lock of its home now and then, and a stage that waits is no sample.
    environment["CARGO_HOME"] = str(ws.parent / "cargo-home")
    return subprocess.run(
        [sys.executable, "-m", "buildopt", *words], cwd=ws, env=environment, capture_output=True, text=True, check=False
    )


def ran_in(folder: Path) -> Counter[str]:
    return Counter(path.read_bytes().decode() for path in folder.iterdir())


def shard(ws: Path, folder: Path, number: int, *words: str) -> tuple[Counter[str], str]:
    """Run one of three shards; return the tests that ran, and what was said."""
    ran = folder / f"ran-{number}"
    ran.mkdir()
    result = call(ws, "dev-test", "all", "--shard", f"{number}/3", *words, ran=ran)
    assert result.returncode == 0, result.stderr
    return ran_in(ran), result.stderr


def shards(ws: Path, folder: Path, *words: str) -> tuple[list[Counter[str]], str]:
    found = [shard(ws, folder, number, *words) for number in (1, 2, 3)]
    return [tests for tests, _ in found], "".join(said for _, said in found)


def document(times: Mapping[str, Mapping[str, float]]) -> str:
    samples = {binary: {name: [[1, seconds]] for name, seconds in tests.items()} for binary, tests in times.items()}
    return json.dumps({"version": 1, "times": {"linux-2c-8g": samples}})


def test_what_one_run_recorded_splits_the_next(ws: Path, tmp_path: Path):
    (tmp_path / "whole").mkdir()
    whole = call(ws, "dev-test", "all", ran=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert ran_in(tmp_path / "whole") == EVERY
    exported = call(ws, "ci", "durations", "export", str(tmp_path / "d.json"))
    assert exported.stdout.startswith("35 tests and 1 stage, 36 samples written to ")
    known = json.loads((tmp_path / "d.json").read_text())["times"].popitem()[1]
    assert set(known) == {"", "(doc)", "a", "a::odd"}
    assert {name.translate({1: None, 9: None}) for name in ODD} >= known["a::odd"].keys() - {"\x7fdel"}
    parts, said = shards(ws, tmp_path, "--durations", str(tmp_path / "d.json"))
    assert sum(parts, Counter()) == EVERY, "complete, and nothing twice"
    assert parts[0]["doc"] == 1
    assert all(parts)
    assert "by recorded times" in said
    shutil.rmtree(ws / ".buildopt")
    assert call(ws, "ci", "durations", "import", str(tmp_path / "d.json")).returncode == 0
    (tmp_path / "again").mkdir()
    again, said = shard(ws, tmp_path / "again", 2)
    assert again == parts[1], "a record says the same as the file that was made of it"
    assert "give all shards one file" in said


def test_times_that_are_stale_in_every_way_cost_no_test(ws: Path, tmp_path: Path):
    times = {
        "gone": {"x": 5.0},
        "a::gone": {"plain": 50.0},
        "a": {"tests::one": 3.0, "tests::was_removed": 7.0, "tests::four": 2.0},
        "a::odd": {name: 0.1 * number for number, name in enumerate(ODD[::2])},
    }
    (tmp_path / "d.json").write_text(document(times))
    parts, said = shards(ws, tmp_path, "--durations", str(tmp_path / "d.json"))
    assert sum(parts, Counter()) == EVERY
    assert "without one are dealt out by nextest" in said


@pytest.mark.parametrize("what", ["missing", "corrupt", "huge"])
def test_a_file_that_cannot_be_used_costs_no_test(ws: Path, tmp_path: Path, what: str):
    path = tmp_path / "d.json"
    if what == "corrupt":
        path.write_text(document({"a": {"tests::one": 3.0}})[:-1])
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(65 * 2**20)
    parts, said = shards(ws, tmp_path, "--durations", str(path))
    assert sum(parts, Counter()) == EVERY
    assert said.count("recorded durations are not used") == 3
    assert all(parts)


def test_the_users_own_nextest_configuration_stays_in_force(ws: Path, tmp_path: Path):
    (ws / ".config").mkdir()
    (ws / ".config" / "nextest.toml").write_text(
        '[profile.default]\ndefault-filter = "not test(=tests::two)"\n[profile.default.junit]\npath = "own.xml"\n'
    )
    (tmp_path / "d.json").write_text(document({"a": {f"tests::{name}": 1.0 for name in ("one", "two", "three")}}))
    parts, _ = shards(ws, tmp_path, "--durations", str(tmp_path / "d.json"))
    assert sum(parts, Counter()) == EVERY - Counter(["a tests::two"])
    assert (ws / "target" / "nextest" / "default" / "own.xml").is_file()
    exported = call(ws, "ci", "durations", "export", str(tmp_path / "e.json"))
    assert exported.returncode == 0
    assert "tests::one" in (tmp_path / "e.json").read_text(), "read from where the user wants it"


def test_a_test_that_fails_fails_its_shard_and_no_other(ws: Path, tmp_path: Path):
    (tmp_path / "d.json").write_text(document({"a": {"tests::one": 3.0}, "a::odd": dict.fromkeys(ODD, 1.0)}))
    results = [
        call(
            ws,
            "dev-test",
            "all",
            "--shard",
            f"{number}/3",
            "--durations",
            str(tmp_path / "d.json"),
            ran=tmp_path / "no",
        )
        for number in (1, 2, 3)
    ]
    assert results[0].returncode == 1, "tests::one, the longest, cannot write what it ran"
    assert "tests::one" in results[0].stdout + results[0].stderr


def test_a_shard_says_what_it_needs(ws: Path, tmp_path: Path):
    named = call(ws, "dev-test", "plain", "--shard", "1/2")
    assert named.returncode == 2
    assert "a part of test names" in named.stderr
    cargo = call(ws, "dev-test", "--shard", "1/2", "--set", 'cargo.test-runner="cargo"')
    assert cargo.returncode == 2
    assert "cargo.test-runner" in cargo.stderr
    for program in ("cargo", "rustc"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    without = call(ws, "dev-test", "--shard", "1/2", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert without.returncode == 3
    assert "cargo install --locked cargo-nextest" in without.stderr


def test_a_timeout_follows_the_record(ws: Path, tmp_path: Path):
    def timeout(*words: str) -> Any:
        result = call(ws, "dev-test", "all", "--shard", "2/3", "--json", *words, ran=tmp_path)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)["run"]["stages"][0]["timeout_seconds"]

    assert timeout() == 3600
    assert timeout() == 60
    times = {"": {"dev-test all 1/3": 1200.0, "dev-test all 1/2": 1.0, "dev-test": 1.0}}
    (tmp_path / "d.json").write_text(document(times).replace("linux-2c-8g", host_class(Host())))
    assert timeout("--durations", str(tmp_path / "d.json")) == 3600
    times[""]["dev-test all 1/3"] = 100.0
    (tmp_path / "d.json").write_text(document(times).replace("linux-2c-8g", host_class(Host())))
    assert timeout("--durations", str(tmp_path / "d.json")) == 300


def test_the_timeout_of_a_stage_follows_the_record_too(ws: Path, tmp_path: Path):
    for expected, words in ((3600, "1h"), (60, "1m")):
        assert f"  here      {words}\n" in call(ws, "explain", "stages.core.timeout").stdout
        result = call(ws, "run", "core", "--json", ran=tmp_path)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["run"]["stages"][0]["timeout_seconds"] == expected


def test_durations_travel_from_one_record_to_another(ws: Path, tmp_path: Path):
    (tmp_path / "one.json").write_text(document({"": {"core": 40.0}, "a": {"tests::one": 3.0}}))
    (tmp_path / "two.json").write_text(document({"a": {"tests::two": 3.0}}))
    files = [str(tmp_path / name) for name in ("one.json", "two.json", "missing.json")]
    found = call(ws, "ci", "durations", "import", *files, "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["durations"] | {"notes": []} == {
        "action": "import", "tests": 2, "stages": 1, "samples": 3, "notes": [],
    }  # fmt: skip
    assert "missing.json: there is no such file" in found.stderr
    assert call(ws, "ci", "durations", "export", str(tmp_path / "a.json")).returncode == 0
    assert call(ws, "ci", "durations", "import", *files, str(tmp_path / "a.json")).returncode == 0
    assert call(ws, "ci", "durations", "export", str(tmp_path / "b.json")).returncode == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert call(ws, "ci", "durations", "export", *files).returncode == 2
    (tmp_path / "one.json").write_text(document({"a": {"tests::one": 3.0}}).replace("[[1,", "[[9000000000000000,"))
    assert '"samples": 0' in call(ws, "ci", "durations", "import", files[0], "--json").stdout, (
        "nothing is of the year 287000"
    )


def nextest_list(ws: Path, names: list[str], *words: str) -> subprocess.CompletedProcess[bytes]:
    (ws / "names").write_bytes("\n".join(names).encode())
    return subprocess.run(
        ["cargo", "nextest", "list", "--message-format", "json", *words],
        cwd=ws,
        env={**os.environ, "TEST_NAMES": str(ws / "names")},
        capture_output=True,
        check=False,
    )


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), min_size=1, max_size=12).filter(
    lambda name: name.strip() != ""
)


@settings(max_examples=15)
@given(st.sets(NAME, min_size=1, max_size=40), st.randoms())
@example(set(ODD), random.Random(0))
def test_a_filterset_means_exactly_the_tests_that_it_names(built: Path, names: set[str], chance: Any):
    listed = parse_listing(nextest_list(built, sorted(names)).stdout)
    chosen = {"a::odd": tuple(name for name in listed["a::odd"] if chance.random() < 0.5)}
    if not chosen["a::odd"]:
        return
    expressions = filtersets(chosen, listed)
    assert expressions is not None
    result = nextest_list(built, sorted(names), *(part for each in expressions for part in ("-E", each)))
    assert result.returncode == 0, result.stderr
    assert parse_listing(result.stdout) == chosen


@settings(max_examples=6)
@given(st.sets(NAME, min_size=1, max_size=12), st.integers(1, 4), st.randoms())
def test_whatever_is_known_nextest_selects_every_test_for_one_shard(
    built: Path, names: set[str], jobs: int, chance: random.Random
):
    listing = nextest_list(built, sorted(names)).stdout
    everything = [(binary, name) for binary, tests in parse_listing(listing).items() for name in tests]
    known = {
        test: chance.choice((0.0, 0.5, 30.0))
        for test in [*everything, ("a", "gone"), ("lost", "x")]
        if chance.random() < 0.6
    }
    selected: list[tuple[str, str]] = []
    for number in range(1, jobs + 1):
        for arguments in choose_tests(listing, Shard(number, jobs, known)).arguments:
            found = nextest_list(built, sorted(names), *arguments)
            assert found.returncode == 0, found.stderr
            selected += [(binary, name) for binary, tests in parse_listing(found.stdout).items() for name in tests]
    assert sorted(selected) == sorted(everything)


def test_the_longest_command_line_that_is_used_is_taken(built: Path):
    names = [f"{'module::' * 12}test_number_{number}" for number in range(7_200)]
    listed = parse_listing(nextest_list(built, names).stdout)
    expressions = filtersets({"a::odd": listed["a::odd"][1:]}, listed)
    assert expressions is not None
    assert sum(map(len, expressions)) > 800_000
    result = nextest_list(built, names, *(part for each in expressions for part in ("-E", each)))
    assert result.returncode == 0, result.stderr[-500:]
    assert len(parse_listing(result.stdout)["a::odd"]) == len(names) - 1
