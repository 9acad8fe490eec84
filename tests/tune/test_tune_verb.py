"""The verb: what is written to the profile, what is undone, what goes on; once with real builds."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from world import World

from buildopt import cli
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Laboratory
from buildopt.errors import ArgumentError, ManifestError, ProfileError
from buildopt.host import Host
from buildopt.show import tune as show
from buildopt.verbs.context import Context
from buildopt.verbs.generated import rollback
from buildopt.verbs.tune import Tuned, tune, write_tuned

PROFILE = """\
version = 1

# ours
[cargo.profile.dev-fast]
inherits = "dev" # keep

[tune]
candidates = ["debug=0", "package.*.debug=0", "strip=debuginfo"]
"""
EFFECTS = {"profile.dev.debug=0": 0.8, 'profile.dev.package."*".debug=0': 0.93, 'profile.dev.strip="debuginfo"': 1.02}


@pytest.fixture
def root(three_packages: Path, need: Callable[[str], Path]) -> Path:
    need("cargo")
    (three_packages / "buildopt.toml").write_text(PROFILE)
    subprocess.run(["cargo", "generate-lockfile", "--quiet", "--offline"], cwd=three_packages, check=True)
    return three_packages


def run(root: Path, world: World, *, settings: tuple[str, ...] = (), fresh: bool = False) -> tuple[Context, Tuned]:
    context = Context(Host(), root, settings=settings)

    @contextmanager
    def lab(_context: Context, _note: Callable[[str], None]) -> Iterator[Laboratory]:
        yield world

    told: list[Progress] = []
    found = tune(context, budget_seconds=3600.0, fresh=fresh, tell=told.append, announce=lambda *_: None, lab=lab)
    found.document["told"] = [each.text for each in told]
    return context, found


def test_what_is_confirmed_is_written_beside_what_was_there_and_can_be_undone(root: Path) -> None:
    context, found = run(root, World(EFFECTS))
    assert found.document["confirmation"]["confirmed"]
    assert (root / "buildopt.toml").read_text() == PROFILE, "measuring writes nothing"
    write_tuned(context, found.plan)
    text = (root / "buildopt.toml").read_text()
    assert 'inherits = "dev" # keep\n# tuned: ' in text
    assert "debug = 0\n" in text
    assert '[cargo.profile.dev-fast.package."*"]\n# tuned: ' in text
    assert "strip" not in text.partition("[tune]")[0]
    assert text.count(found.document["experiment"]) == 2
    rollback(Context(Host(), root))
    assert (root / "buildopt.toml").read_text() == PROFILE


def test_what_breaks_the_tests_is_not_written(root: Path) -> None:
    world = World(EFFECTS)
    world.failing_tests = {"profile.dev.debug=0"}
    _, found = run(root, world)
    assert not found.plan.edits
    assert "the tests pass with today's settings" in found.document["confirmation"]["why_not"]


def test_what_breaks_a_budget_is_not_written(root: Path) -> None:
    (root / "buildopt.toml").write_text(PROFILE + '[budgets.artifacts]\n"debug/app" = "1MiB"\n')
    world = World(EFFECTS)
    world.sizes_of = {"profile.dev.debug=0": 10**6}
    _, found = run(root, world)
    assert not found.plan.edits
    assert "debug/app" in found.document["confirmation"]["why_not"]


def test_tests_that_fail_today_guard_nothing_and_it_is_said(root: Path) -> None:
    (root / "buildopt.toml").write_text(PROFILE.replace("# keep", "\noverflow-checks = true"))
    world = World(EFFECTS)
    world.failing_tests = {"profile.dev.overflow-checks=true"}
    _, found = run(root, world)
    assert found.plan.edits
    assert found.guarded is not None
    assert "fail with today's settings too" in found.guarded.notes[0]


def test_the_same_call_goes_on_and_after_the_end_begins_anew(root: Path) -> None:
    world = World(EFFECTS)
    world.dies_after = 40
    with pytest.raises(KeyboardInterrupt):
        run(root, world)
    _, found = run(root, World(EFFECTS))
    assert found.document["told"][0].startswith("going on with 40 builds that ")
    _, again = run(root, World(EFFECTS))
    assert again.document["experiment"] != found.document["experiment"]


def test_another_toolchain_profile_or_source_begins_anew(root: Path) -> None:
    world = World(EFFECTS)
    world.dies_after = 20
    with pytest.raises(KeyboardInterrupt):
        run(root, world)
    (root / "base/src/lib.rs").write_text("pub fn one() -> u32 { 11 }\n")
    _, found = run(root, World(EFFECTS))
    assert not any(text.startswith("going on") for text in found.document["told"])


def test_a_value_that_another_layer_hides_is_not_written_in_vain(root: Path) -> None:
    (root / "buildopt.toml").write_text(
        PROFILE + "[[override]]\nwhen = {}\n[override.set.cargo.profile.dev-fast]\ndebug = 2\n"
    )
    with pytest.raises(ManifestError) as caught:
        run(root, World(EFFECTS))
    assert [problem.key for problem in caught.value.problems] == ["debug"]


@pytest.mark.parametrize(
    ("weights", "key"),
    [
        ('"leaf/biuld" = 1', 'tune.weights."leaf/biuld"'),
        ('"release/build" = 1', 'tune.weights."release/build"'),
        ('"leaf/build" = 0', "tune.weights"),
    ],
)
def test_weights_that_cannot_be_are_named(root: Path, weights: str, key: str) -> None:
    (root / "buildopt.toml").write_text(f"{PROFILE}[tune.weights]\n{weights}\n")
    with pytest.raises(ProfileError) as caught:
        run(root, World({}))
    assert caught.value.problems[0].key == key


def shown(root: Path, world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    @contextmanager
    def lab(_context: Context, _note: Callable[[str], None]) -> Iterator[Laboratory]:
        yield world

    def with_world(context: Context, **asked: Any) -> Tuned:
        return tune(context, lab=lab, **asked)

    monkeypatch.setattr(show, "tune", with_world)
    return cli.main(["tune", "--root", str(root), "--budget", "1h", *arguments])


def test_a_person_sees_plan_effects_confirmation_and_diff(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(root, World(EFFECTS), monkeypatch, "--dry-run") == 0
    out, err = capsys.readouterr()
    assert "this takes about" in err
    assert "cannot be told from noise" in err
    assert "debug=0" in out
    assert "Together, against today's settings: debug=0, package.*.debug=0" in out
    assert "+debug = 0" in out
    assert "nothing was written (--dry-run)" in err
    assert (root / "buildopt.toml").read_text() == PROFILE


def test_json_is_one_document(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(root, World(EFFECTS), monkeypatch, "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert (document["version"], document["written"]) == (1, True)
    comparison = document["confirmation"]["comparisons"][0]
    assert {"scenario", "metric", "baseline", "candidate", "ratio", "interval", "pairs", "verdict", "aa_ratio", "aa_interval"} <= comparison.keys()  # fmt: skip
    assert "debug = 0" in (root / "buildopt.toml").read_text()


def test_nothing_to_try_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "buildopt.toml").write_text(
        PROFILE.replace('"debug=0", "package.*.debug=0", "strip=debuginfo"', '"linker=nonsense"')
    )
    assert shown(root, World({}), monkeypatch) == 0
    assert "nothing to try" in capsys.readouterr().err


def tune_it(context: Context, budget_seconds: float, *, fresh: bool) -> Tuned:
    return tune(context, budget_seconds=budget_seconds, fresh=fresh, tell=lambda _: None, announce=lambda *_: None)


@pytest.mark.slow
def test_real_builds_are_tuned_and_nothing_of_it_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = (
        PROFILE.partition("[tune]")[0]
        + '[tune]\ncandidates = ["debug=0", "opt-level=3"]\nweights = { "clean/build" = 1 }\n'
    )
    (root / "buildopt.toml").write_text(text)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    context = Context(Host(), root)
    with pytest.raises(ArgumentError, match="cannot tell settings apart"):
        tune_it(context, 2.0, fresh=False)
    found = None
    for fresh in (False, True, True, True):  # a busy machine may make equal builds of a third of a second too unequal
        with contextlib.suppress(ArgumentError):
            found = found or tune_it(context, 600.0, fresh=fresh)
    assert found is not None
    assert found.result is not None
    assert {each.candidate.name for each in found.result.judged} == {"debug=0", "opt-level=3"}
    assert found.document["plan"]["clean_build_seconds"] > 0
    assert {path: path.read_bytes() for path in before} == before
    assert not list((tmp_path / "cache").rglob("targets/*"))
