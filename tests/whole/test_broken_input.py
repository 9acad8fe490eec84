"""Whatever is written into a profile: exit 2, words for a person, nothing run and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildopt.cli import main

PROFILES = Path(__file__).parents[2] / "profiles"
LINES = [line for file in sorted(PROFILES.glob("*.toml")) for line in file.read_text().splitlines() if "=" in line]
HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\nb",
    "$(touch x)",
    "${{ secrets.X }}",
    "`id`",
    '"; rm -rf /',
    "\x1b[2J",
    "\u202egnp",
]


def broken() -> st.SearchStrategy[str]:
    """Return texts that cannot be a profile: lines of real ones, with a value or a key that does not belong."""
    key = st.sampled_from(LINES).map(lambda line: line.split("=")[0].strip())
    value = st.one_of(
        st.sampled_from(HOSTILE).map(json.dumps),
        st.sampled_from(["[[]]", "{}", "1e999", "-1", "nan", "1979-05-27", '""', "[1, 'a']", "x", "'", '"""']),
    )
    table = st.sampled_from(
        ["stages.a", "cargo.profile.x", "cache", "tests.t", "budgets", "requires", "nonsense", "a.b.c"]
    )
    return st.tuples(table, key, value).map(
        lambda parts: f"version = 1\n[{parts[0]}]\n{parts[1]} = {parts[2]}\nzzz = 0\n"
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=broken(), verb=st.sampled_from([["sync"], ["drift"], ["profile"], ["explain", "cache"]]))
def test_a_broken_profile_is_refused(
    three_packages: Path, capsys: pytest.CaptureFixture[str], text: str, verb: list[str]
):
    (three_packages / "buildopt.toml").write_text(text)
    before = sorted(path.name for path in three_packages.iterdir())
    code = main([*verb, "--root", str(three_packages)])
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert shown.err.startswith("buildopt: ")
    assert "Traceback" not in shown.err
    assert "\x1b" not in shown.err
    assert "\u202e" not in shown.err
    assert sorted(path.name for path in three_packages.iterdir()) == before


@pytest.mark.parametrize("content", [b"\xff\xfe", b"version = 1\n\x00", b"[" * 5000, b"version = " + b"9" * 5000, b""])
def test_what_is_no_toml_at_all_is_refused(three_packages: Path, capsys: pytest.CaptureFixture[str], content: bytes):
    (three_packages / "buildopt.toml").write_bytes(content)
    assert main(["sync", "--root", str(three_packages), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_a_broken_manifest_is_told_in_cargos_words(three_packages: Path, capsys: pytest.CaptureFixture[str]):
    (three_packages / "buildopt.toml").write_text('version = 1\n[stages.a]\nrun = ["check"]\n')
    (three_packages / "api" / "Cargo.toml").write_text("[package\n")
    assert main(["run", "a", "--root", str(three_packages)]) == 2
    assert "api/Cargo.toml" in capsys.readouterr().err


def test_run_takes_an_unknown_key_with_a_warning(three_packages: Path, capsys: pytest.CaptureFixture[str]):
    (three_packages / "buildopt.toml").write_text('version = 1\ncahce = 1\n[stages.a]\nrun = ["check"]\n')
    assert main(["run", "a", "--root", str(three_packages)]) == 0
    assert "cahce" in capsys.readouterr().err
    assert main(["sync", "--root", str(three_packages)]) == 2
