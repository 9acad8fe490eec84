from __future__ import annotations

import random
from pathlib import Path

import pytest
from mutations import RICH
from profile_texts import lines_of, load_text

from buildopt.errors import ProfileError
from buildopt.host import Host
from buildopt.profile import Origin, load, outline

FILE = 'version = 1\nextends = ["team.toml"]\n[cache]\nwrapper = "none"\n'
TEAM = 'version = 1\n[cache]\nwrapper = "sccache"\nsize = "1GiB"\n[budgets]\nclean-build = "9s"\n'
OVERRIDE = '[[override]]\nwhen = { ci = true }\nset.cache.wrapper = "sccache"\n'


def origin_of(key: str, text: str, **how: object) -> tuple[str, str]:
    return tuple(load_text(text, files={"team.toml": TEAM}, **how).origins[key])


def test_each_layer_wins_over_the_one_below() -> None:
    variable = {"BUILDOPT_CACHE__WRAPPER": "none"}
    call = ["cache.wrapper=sccache"]
    text = FILE + OVERRIDE
    assert origin_of("cache.size", text) == ("preset", "team.toml")
    assert origin_of("cache.wrapper", text) == ("file", "buildopt.toml")
    assert origin_of("cache.wrapper", text, ci=True) == ("override", "buildopt.toml")
    assert origin_of("cache.wrapper", text, ci=True, environ=variable) == ("environment", "BUILDOPT_CACHE__WRAPPER")
    assert origin_of("cache.wrapper", text, ci=True, environ=variable, call=call) == ("call", "--set")


def test_tables_merge_and_lists_replace() -> None:
    base = 'version = 1\n[stages.a]\nrun = ["check", "clippy"]\ntimeout = "1m"\n'
    top = 'version = 1\nextends = ["b.toml"]\n[stages.a]\nrun = ["test"]\n'
    stage = load_text(top, files={"b.toml": base}).profile.stages["a"]
    assert stage.run == ("test",)
    assert stage.timeout == 60.0


def test_an_override_of_a_preset_gives_way_to_the_file_that_extends_it() -> None:
    top = 'version = 1\nextends = ["b.toml"]\n[cache]\nwrapper = "none"\n'
    loaded = load_text(top, files={"b.toml": f"version = 1\n{OVERRIDE}"}, ci=True)
    assert loaded.origins["cache.wrapper"] == Origin("file", "buildopt.toml")


@pytest.mark.parametrize(
    ("when", "ci", "system", "holds"),
    [
        ("{}", False, "linux", True),
        ("{ ci = false }", False, "linux", True),
        ("{ ci = true }", False, "linux", False),
        ('{ os = "macos" }', False, "macos", True),
        ('{ ci = true, os = "linux" }', True, "macos", False),
    ],
)
def test_an_override_holds_when_all_its_conditions_do(when: str, ci: bool, system: str, holds: bool) -> None:
    text = f"version = 1\n[[override]]\nwhen = {when}\nset = {{ cargo = {{ jobs = 3 }} }}\n"
    loaded = load_text(text, ci=ci, system=system)
    assert (loaded.profile.cargo is not None) == holds


def test_an_override_that_does_not_hold_is_checked_all_the_same() -> None:
    text = "version = 1\n[[override]]\nwhen = { ci = true }\nset = { cach = {}, version = 1, cargo = { jobs = 'x' } }\n"
    lines = lines_of(text)
    assert any(line.startswith("buildopt.toml: override[0].set.cach: unknown key (did you mean") for line in lines)
    assert any("override[0].set.version: not allowed here" in line for line in lines)
    assert any("override[0].set.cargo.jobs: expected a whole number" in line for line in lines)


def test_of_two_presets_the_later_wins_and_a_shared_one_counts_once() -> None:
    files = {
        "base.toml": "version = 1\n[cargo]\njobs = 1\n",
        "a.toml": 'version = 1\nextends = ["base.toml"]\n[cargo]\njobs = 2\n',
        "b.toml": 'version = 1\nextends = ["base.toml"]\n[budgets]\nenforce = true\n',
    }
    loaded = load_text('version = 1\nextends = ["a.toml", "b.toml"]\n', files=files)
    assert [file for file, _ in loaded.documents] == ["base.toml", "a.toml", "b.toml", "buildopt.toml"]
    assert loaded.origins["cargo.jobs"] == Origin("preset", "a.toml")
    turned = load_text('version = 1\nextends = ["b.toml", "a.toml"]\n', files=files)
    assert [file for file, _ in turned.documents] == ["base.toml", "b.toml", "a.toml", "buildopt.toml"]


def test_a_circle_is_refused_with_its_chain() -> None:
    files = {
        "a.toml": 'version = 1\nextends = ["dir/b.toml"]\n',
        "dir/b.toml": 'version = 1\nextends = ["./a.toml"]\n',
    }
    (line,) = lines_of('version = 1\nextends = ["a.toml"]\n', files=files)
    assert line.startswith("dir/b.toml: extends: extends itself: a.toml → dir/b.toml → a.toml")
    (line,) = lines_of('version = 1\nextends = ["buildopt.toml"]\n')
    assert "extends itself: buildopt.toml → buildopt.toml" in line


def test_a_long_chain_of_files_is_refused() -> None:
    files = {f"f{n}.toml": f'version = 1\nextends = ["f{n + 1}.toml"]\n' for n in range(2000)}
    (line,) = lines_of('version = 1\nextends = ["f0.toml"]\n', files=files)
    assert "more than 64 profiles" in line


@pytest.mark.parametrize(
    "entry", ["/etc/passwd", "../x.toml", "a/../../x.toml", "..\\\\x.toml", "a\\nb.toml", "C:\\\\x.toml", "~/x.toml"]
)
def test_a_path_out_of_the_workspace_is_refused(entry: str) -> None:
    assert any(": extends: " in line for line in lines_of(f'version = 1\nextends = ["{entry}"]\n'))


def test_a_symlink_out_of_the_workspace_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.toml").write_text("version = 1\n")
    (root / "inside.toml").write_text("version = 1\n")
    (root / "link.toml").symlink_to(tmp_path / "outside.toml")
    (root / "near.toml").symlink_to(root / "inside.toml")
    (root / "up").symlink_to(tmp_path)
    read = Path.read_bytes
    for entry, accepted in (("link.toml", False), ("up/outside.toml", False), ("near.toml", True)):
        (root / "buildopt.toml").write_text(f'version = 1\nextends = ["{entry}"]\n')
        if accepted:
            load(root / "buildopt.toml", root=root, read=read, environ={})
        else:
            with pytest.raises(ProfileError) as caught:
                load(root / "buildopt.toml", root=root, read=read, environ={})
            assert "symlink" in str(caught.value.problems[0])


@pytest.mark.parametrize("entry", ["src/", "./", "src", "x/" * 200 + "a.toml", "a" * 300 + ".toml"])
def test_what_is_no_file_is_a_problem_of_the_profile(tmp_path: Path, host: Host, entry: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "buildopt.toml").write_text(f'version = 1\nextends = ["{entry}"]\n')
    with pytest.raises(ProfileError) as caught:
        load(tmp_path / "buildopt.toml", root=tmp_path, read=host.files.read, environ={})
    assert caught.value.problems[0].key == "extends"


def test_an_unknown_preset_is_named_with_the_nearest() -> None:
    assert lines_of('version = 1\nextends = ["dev-fest"]\n') == [
        'buildopt.toml: extends: no such preset: "dev-fest" (did you mean "dev-fast"?)'
    ]


def test_a_missing_profile_says_how_to_get_one() -> None:
    with pytest.raises(ProfileError, match="there is no profile") as caught:
        load(Path("/w/buildopt.toml"), root=Path("/w"), read=lambda _: None, environ={})
    assert "buildopt init" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("variable", "value", "key", "found"),
    [
        ("BUILDOPT_CACHE__WRAPPER", "none", "cache.wrapper", "none"),
        ("BUILDOPT_STAGES__QUICK_CHECK__TIMEOUT", "5m", "stages.quick-check.timeout", "5m"),
        ("buildopt_stages__quick_check__Timeout", '"5m"', "stages.quick-check.timeout", "5m"),
        ("BUILDOPT_STAGES__DOCS__RUN", '["test"]', "stages.docs.run", ["test"]),
        ("BUILDOPT_CARGO__JOBS", "4", "cargo.jobs", 4),
        ("BUILDOPT_INCREMENTAL__CI", "true", "incremental.ci", True),
        ("BUILDOPT_AFFECTED__BASE", "1.0", "affected.base", "1.0"),
        ("BUILDOPT_CARGO__PROFILE__DEV__DEBUG", "0", "cargo.profile.dev.debug", 0),
        ("BUILDOPT_CARGO__PROFILE__RELEASE__LTO", "thin", "cargo.profile.release.lto", "thin"),
        ("BUILDOPT_CACHE", '{ wrapper = "none" }', "cache.wrapper", "none"),
    ],
)
def test_a_variable_sets_its_key(variable: str, value: str, key: str, found: object) -> None:
    loaded = load_text(RICH, environ={variable: value})
    assert loaded.given[key][-1].value == found
    assert loaded.origins[key] == Origin("environment", variable)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BUILDOPT_CACH__WRAPPER", "none", 'did you mean "BUILDOPT_CACHE"?'),
        ("BUILDOPT_CACHE__WRAPER", "none", 'did you mean "BUILDOPT_CACHE__WRAPPER"?'),
        ("BUILDOPT_STAGES__QUIK_CHECK__TIMEOUT", "5m", 'did you mean "BUILDOPT_STAGES__QUICK_CHECK"?'),
        ("BUILDOPT_CACHE__WRAPPER__X", "1", "has no keys below it"),
        ("BUILDOPT_VERSION", "1", "only read from files"),
        ("BUILDOPT_EXTENDS", "[]", "only read from files"),
        ("BUILDOPT_", "1", "names no key"),
        ("BUILDOPT_CACHE__WRAPPER", "ccache", 'expected "none" or "sccache", found "ccache"'),
        ("BUILDOPT_CACHE__WRAPPER", "none\nx = 1", "expected"),
        ("BUILDOPT_AFFECTED__BASE", "a\udcff", "U+DCFF"),
        ("BUILDOPT_CACHE__STORAGE", "redis://u:hunter2@h", "must not carry"),
    ],
)
def test_a_variable_that_fits_nothing_is_named(variable: str, value: str, said: str) -> None:
    (line,) = lines_of(RICH, environ={variable: value})
    assert line.startswith(variable)
    assert said in line
    assert "hunter2" not in line


def test_two_names_that_a_variable_writes_alike_are_refused() -> None:
    text = 'version = 1\n[stages.a-b]\nrun = ["check"]\n[stages.a_b]\nrun = ["check"]\n'
    (line,) = lines_of(text, environ={"BUILDOPT_STAGES__A_B__TIMEOUT": "1m"})
    assert "a-b and a_b are written alike" in line


@pytest.mark.parametrize(
    ("argument", "key", "found"),
    [
        ("cache.wrapper=none", "cache.wrapper", "none"),
        ('cache.wrapper = "none"', "cache.wrapper", "none"),
        ("stages.new={ run = ['check'] }", "stages.new.run", ["check"]),
        ('features."*".gpu=["dep:x"]', 'features."*".gpu', ["dep:x"]),
        ("cargo.profile.dev.opt-level=s", "cargo.profile.dev.opt-level", "s"),
    ],
)
def test_set_takes_a_key_and_a_value(argument: str, key: str, found: object) -> None:
    loaded = load_text(RICH, call=[argument])
    assert loaded.given[key][-1] == (Origin("call", "--set"), found)


@pytest.mark.parametrize(
    "argument", ["", "=", "x", "cache.wrapper", "[cache]\nwrapper=none", "a b=1", "extends=[]", "a..b=1"]
)
def test_set_refuses_what_is_no_key_and_value(argument: str) -> None:
    assert all(line.startswith("--set: ") for line in lines_of(RICH, call=[argument]))


def test_every_origin_leads_back_to_a_document_or_setting_that_says_the_value() -> None:
    chance = random.Random(7)
    for _ in range(20):
        jobs, base = chance.randint(1, 9), chance.choice("abc")
        loaded = load_text(
            RICH + OVERRIDE,
            environ={"BUILDOPT_CARGO__JOBS": str(jobs)},
            call=[f"affected.base={base}"],
            ci=chance.random() < 0.5,
        )
        documents = dict(loaded.documents)
        assert set(loaded.origins) == set(loaded.given)
        for key, given in loaded.given.items():
            origin, value = given[-1]
            assert loaded.origins[key] == origin
            if origin.layer in ("preset", "file") and '"' not in key:
                table = documents[origin.source]
                for part in key.split("."):
                    table = table[part]
                assert table == value
        assert loaded.profile.cargo.jobs == jobs
        assert loaded.profile.affected.base == base


def test_the_fingerprint_changes_with_everything_that_goes_in() -> None:
    prints = {
        load_text(text, environ=environ, call=call, ci=ci).fingerprint
        for text, environ, call, ci in [
            (FILE.replace("team.toml", "stages"), {}, [], False),
            (FILE.replace("team.toml", "dev-fast"), {}, [], False),
            (FILE.replace("team.toml", "stages"), {"BUILDOPT_CARGO__JOBS": "1"}, [], False),
            (FILE.replace("team.toml", "stages"), {}, ["cargo.jobs=1"], False),
            (FILE.replace("team.toml", "stages"), {}, [], True),
            (FILE.replace("team.toml", "stages") + "# comment\n", {"HOME": "/x"}, [], False),
        ]
    }
    assert len(prints) == 6
    again = load_text(FILE.replace("team.toml", "stages"), environ={"HOME": "/y"})
    assert again.fingerprint in prints


def test_the_fingerprint_of_builds_changes_with_how_they_are_built_and_with_nothing_else() -> None:
    stage = '[stages.core]\nrun = ["build"]\n'
    same = ["", "budget = '5s'\ntimeout = '9m'\n", "# comment\n", "[budgets]\ncrates = 9\n", "[watch]\nclear = false\n"]
    other = ["features = 'all'\n", "cargo-profile = 'dev'\n", "[cargo]\njobs = 1\n", "[bench]\nedit = 'signature'\n"]

    def prints(tails: list[str]) -> set[str]:
        return {load_text(f"version = 1\n{stage}{tail}").build_fingerprint for tail in tails}

    assert len(prints(same)) == 1
    assert len(prints(["", *other])) == 1 + len(other)


def test_the_outline_names_stages_and_groups_of_all_files() -> None:
    files = {"/w/buildopt.toml": b'version = 1\nextends = ["zen"]\n[stages.core]\nbudget = "1m"\n[tests.own]\n'}
    shown = outline(Path("/w/buildopt.toml"), root=Path("/w"), read=lambda path: files.get(str(path)))
    assert [stage.name for stage in shown.stages] == ["quick-check", "core", "full"]
    assert shown.stages[1] == ("core", ("build", "test"), ("quick-check",), "affected", "5m", "1m")
    assert shown.tests == ("core", "gpu", "ml", "own")


@pytest.mark.parametrize(
    "text", ["stages = 1\ntests = []", "[stages]\na = 1\n[stages.b]\nrun = 'x'\ntimeout = 3\nrequires = [1]"]
)
def test_the_outline_leaves_out_what_has_the_wrong_type(text: str) -> None:
    shown = outline(Path("/w/b.toml"), root=Path("/w"), read=lambda _: text.encode())
    assert [stage.run for stage in shown.stages] in ([], [()])


def test_the_outline_says_what_cannot_be_read() -> None:
    with pytest.raises(ProfileError) as caught:
        outline(Path("/w/b.toml"), root=Path("/w"), read=lambda _: b"x = [")
    assert str(caught.value.problems[0]).startswith("b.toml:1:")
