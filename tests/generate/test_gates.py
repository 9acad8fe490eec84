from __future__ import annotations

import tomllib

import pytest
from generate_inputs import made, text_of

from buildopt.errors import GateRefused
from buildopt.profile.model import Profile

HEAD = '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n\n'


def gated(manifest: str, *, package: str = "app", others: dict[str, str] | None = None, **features: tuple[str, ...]):
    profile = Profile(version=1, features={package: features})
    return made(profile, {"app/Cargo.toml": HEAD + manifest, **(others or {})})


def problems(manifest: str, **features: tuple[str, ...]) -> list[str]:
    with pytest.raises(GateRefused) as raised:
        gated(manifest, **features)
    return [str(problem) for problem in raised.value.problems]


FORMS = {
    "string": (
        '[dependencies]\nwgpu = "25" # heavy\n',
        '[dependencies]\nwgpu = { version = "25", optional = true } # heavy\n',
    ),
    "literal string": ("[dependencies]\nwgpu = '25'\n", "[dependencies]\nwgpu = { version = '25', optional = true }\n"),
    "inline table": (
        '[dependencies]\nwgpu = { version = "25", features = ["dx12"] }\nlog = "0.4"\n',
        '[dependencies]\nwgpu = { version = "25", features = ["dx12"], optional = true }\nlog = "0.4"\n',
    ),
    "inline table, optional = false": (
        '[dependencies]\nwgpu = { optional = false, version = "25" }\n',
        '[dependencies]\nwgpu = { optional = true, version = "25" }\n',
    ),
    "inline table over lines (TOML 1.1)": (
        '[dependencies]\nwgpu = {\n    version = "25", # pinned\n}\n',
        '[dependencies]\nwgpu = {\n    version = "25", optional = true, # pinned\n}\n',
    ),
    "dotted": (
        '[dependencies]\nwgpu.version = "25" # pinned\nwgpu.default-features = false\n# next\nlog = "0.4"\n',
        '[dependencies]\nwgpu.version = "25" # pinned\nwgpu.default-features = false\nwgpu.optional = true\n# next\nlog = "0.4"\n',
    ),
    "dotted inherited": (
        "[dependencies]\nwgpu.workspace = true\n",
        "[dependencies]\nwgpu.workspace = true\nwgpu.optional = true\n",
    ),
    "inline inherited": (
        "[dependencies]\nwgpu = { workspace = true }\n",
        "[dependencies]\nwgpu = { workspace = true, optional = true }\n",
    ),
    "table": (
        '[dependencies.wgpu]\nversion = "25" # pinned\n\n# about log\n[dependencies.log]\nversion = "0.4"\n',
        '[dependencies.wgpu]\nversion = "25" # pinned\noptional = true\n\n# about log\n[dependencies.log]\nversion = "0.4"\n',
    ),
    "table without a final newline": (
        '[dependencies.wgpu]\nversion = "25"',
        '[dependencies.wgpu]\nversion = "25"\noptional = true\n',
    ),
    "quoted key": ('[dependencies]\n"wgpu" = "25"\n', '[dependencies]\n"wgpu" = { version = "25", optional = true }\n'),
    "target": (
        "[target.'cfg(unix)'.dependencies]\nwgpu = \"25\"\n",
        "[target.'cfg(unix)'.dependencies]\nwgpu = { version = \"25\", optional = true }\n",
    ),
    "target as table": (
        "[target.'cfg(unix)'.dependencies.wgpu]\nversion = \"25\"\n",
        "[target.'cfg(unix)'.dependencies.wgpu]\nversion = \"25\"\noptional = true\n",
    ),
    "build": (
        '[build-dependencies]\nwgpu = "25"\n',
        '[build-dependencies]\nwgpu = { version = "25", optional = true }\n',
    ),
    "in two places": (
        '[dependencies]\nwgpu = "25"\n[target."cfg(windows)".build-dependencies]\nwgpu = "25"\n',
        '[dependencies]\nwgpu = { version = "25", optional = true }\n[target."cfg(windows)".build-dependencies]\nwgpu = { version = "25", optional = true }\n',
    ),
    "renamed": (
        '[dependencies]\nwgpu = { package = "wgpu-next", version = "1" }\n',
        '[dependencies]\nwgpu = { package = "wgpu-next", version = "1", optional = true }\n',
    ),
    "git": (
        '[dependencies]\nwgpu = { git = "https://example.com/wgpu" }\n',
        '[dependencies]\nwgpu = { git = "https://example.com/wgpu", optional = true }\n',
    ),
    "indented": ('[dependencies]\n  wgpu = "25"\n', '[dependencies]\n  wgpu = { version = "25", optional = true }\n'),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_dependency_becomes_optional_where_it_is_declared(form: str) -> None:
    before, after = FORMS[form]
    assert (
        text_of(gated(before, gpu=("dep:wgpu",)), "app/Cargo.toml")
        == HEAD + after + '\n[features]\ngpu = ["dep:wgpu"]\n'
    )


def test_windows_line_endings_and_byte_order_mark_stay() -> None:
    text = (HEAD + '[dependencies]\nwgpu = "25"\n[features]\nfast = [\n  "std",\n]\nstd = []\n').replace("\n", "\r\n")
    profile = Profile(version=1, features={"app": {"fast": ("dep:wgpu",), "gpu": ("dep:wgpu",)}})
    # Only the outer fixture needs plain text: tomllib knows no byte order mark.
    result = made(profile, {"app/Cargo.toml": text})
    content = result.files["app/Cargo.toml"]
    assert content is not None
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b'fast = [\r\n  "std",\r\n  "dep:wgpu",\r\n]\r\n' in content


def test_own_features_and_their_order_stay_and_missing_items_go_behind() -> None:
    before = (
        '[features]\n# what most need\ndefault = ["std"] # keep\nstd = []\nfull = [\n    "std",  # one\n    "log/std",\n]\n\n'
        '[dependencies]\nwgpu = "25"\nlog = "0.4"\n'
    )
    after = text_of(
        gated(before, full=("gpu", "std"), gpu=("dep:wgpu",), default=("gpu",), development=()), "app/Cargo.toml"
    )
    assert after == HEAD + (
        '[features]\n# what most need\ndefault = ["std", "gpu"] # keep\nstd = []\nfull = [\n    "std",  # one\n    "log/std",\n'
        '    "gpu",\n]\ngpu = ["dep:wgpu"]\ndevelopment = []\n\n'
        '[dependencies]\nwgpu = { version = "25", optional = true }\nlog = "0.4"\n'
    )


def test_a_gate_outside_of_default_is_to_be_probed_and_one_inside_is_not() -> None:
    manifest = '[dependencies]\nwgpu = "25"\n'
    assert gated(manifest, gpu=("dep:wgpu",)).gated == ("app",)
    assert gated(manifest, gpu=("dep:wgpu",), default=("all",), all=("gpu",)).gated == ()
    assert gated('[dependencies]\nwgpu = { version = "25", optional = true }\n', gpu=("dep:wgpu",)).gated == ()


def test_an_optional_dependency_keeps_the_feature_of_its_own_name() -> None:
    result = gated('[dependencies]\nwgpu = { version = "25", optional = true }\n', gpu=("dep:wgpu",))
    assert tomllib.loads(text_of(result, "app/Cargo.toml"))["features"] == {"gpu": ["dep:wgpu"], "wgpu": ["dep:wgpu"]}
    assert any("'wgpu' is kept" in note for note in result.notes)


def test_a_dependency_that_the_profile_names_as_a_feature_becomes_one() -> None:
    result = gated('[dependencies]\nwgpu = "25"\n', gpu=("dep:wgpu",), full=("wgpu",))
    assert tomllib.loads(text_of(result, "app/Cargo.toml"))["features"]["wgpu"] == ["dep:wgpu"]


def test_a_manifest_that_says_dep_already_gets_no_second_feature() -> None:
    manifest = '[dependencies]\nwgpu = { version = "25", optional = true }\n[features]\nrender = ["dep:wgpu"]\n'
    assert tomllib.loads(text_of(gated(manifest, gpu=("dep:wgpu",)), "app/Cargo.toml"))["features"] == {
        "render": ["dep:wgpu"],
        "gpu": ["dep:wgpu"],
    }


def test_a_strong_item_on_the_way_from_default_is_told() -> None:
    manifest = '[dependencies]\nwgpu = "25"\n[features]\ndefault = ["fast"]\nfast = ["wgpu/trace"]\n'
    result = gated(manifest, gpu=("dep:wgpu",))
    assert result.gated == ()
    assert any('through "fast"' in note for note in result.notes)
    assert text_of(result, "app/Cargo.toml").count('"wgpu/trace"') == 1
    weak = gated(
        manifest.replace("wgpu/", "wgpu?/").replace('"25"', '{ version = "25", optional = true }'), gpu=("dep:wgpu",)
    )
    assert not any("still built" in note for note in weak.notes)


def test_a_dev_dependency_beside_it_is_told() -> None:
    result = gated('[dependencies]\nwgpu = "25"\n[dev-dependencies]\nwgpu = "25"\n', gpu=("dep:wgpu",))
    assert 'wgpu = "25"\n\n[features]' in text_of(result, "app/Cargo.toml")
    assert any("dev-dependency too" in note for note in result.notes)


def test_dependents_that_lose_something_are_told() -> None:
    user = '[package]\nname = "user"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\napp = {}\n'
    app = '[dependencies]\nwgpu = "25"\n'

    def notes(dependency: str, root: str = "[workspace]\n", **features: tuple[str, ...]) -> list[str]:
        others = {"user/Cargo.toml": user.format(dependency), "Cargo.toml": root}
        return [note for note in gated(app, others=others, **features).notes if note.startswith("user")]

    assert 'where it is needed, write features = ["gpu"]' in notes('{ path = "../app" }', gpu=("dep:wgpu",))[0]
    assert notes('{ path = "../app", features = ["gpu"] }', gpu=("dep:wgpu",)) == []
    assert notes('{ path = "../app" }', gpu=("dep:wgpu",), default=("gpu",)) == []
    assert notes('{ path = "../app", default-features = false }', gpu=("dep:wgpu",), default=("gpu",)) != []
    root = '[workspace.dependencies]\napp = { path = "app", default-features = false }\n'
    assert notes("{ workspace = true }", root, gpu=("dep:wgpu",), default=("gpu",)) != []
    assert notes('{ workspace = true, features = ["gpu"] }', root, gpu=("dep:wgpu",)) == []


@pytest.mark.parametrize(
    ("manifest", "features", "expected"),
    [
        ('[dependencies]\nwgpu = "25"\n', {"gpu": ("dep:wpgu",)}, 'did you mean "wgpu"?'),
        ("", {"gpu": ("dep:wgpu",)}, "no dependency 'wgpu'"),
        ('[dev-dependencies]\nwgpu = "25"\n', {"gpu": ("dep:wgpu",)}, "only a dev-dependency"),
        ('[dependencies]\nwgpu = "25"\n', {"gpu": ("dep:wgpu",), "default": ("gup",)}, 'did you mean "gpu"?'),
        ('[dependencies]\nwgpu = "25"\nlog = "1"\n', {"gpu": ("dep:wgpu", "log")}, "write 'dep:log'"),
        ('[dependencies]\nwgpu = "25"\n', {"gpu": ("gpu", "dep:wgpu")}, "turns itself on"),
        ('[dependencies]\nwgpu = "25"\n', {"g pu": ("dep:wgpu",)}, "Cargo accepts no feature called 'g pu'"),
        ('[dependencies]\nwgpu = "25"\n', {"dep:x": ("dep:wgpu",)}, "Cargo accepts no feature called 'dep:x'"),
        ('[dependencies]\nwgpu = "25"\nlog = "1"\n', {"gpu": ("dep:wgpu", "log?/std")}, "log is not optional"),
    ],
)
def test_a_gate_that_would_break_the_package_is_refused(manifest: str, features, expected: str) -> None:
    assert any(expected in problem for problem in problems(manifest, **features))


def test_all_refusals_come_at_once() -> None:
    found = problems('[dev-dependencies]\na = "1"\n', x=("dep:a", "dep:b"), default=("nothing",))
    assert len(found) == 3


def test_a_package_that_is_no_member_is_refused_with_the_nearest_name() -> None:
    profile = Profile(version=1, features={"ap": {"x": ()}, "app": {"y": ("dep:z",)}})
    with pytest.raises(GateRefused) as raised:
        made(profile, {"app/Cargo.toml": HEAD})
    assert ['did you mean "app"?' in str(problem) for problem in raised.value.problems] == [True, False]


def test_the_star_gives_each_member_what_it_can_have() -> None:
    every = {
        "default": ("basic",),
        "basic": (),
        "gpu": ("dep:wgpu", "dep:vulkano"),
        "vulkan": ("dep:vulkano",),
        "frames": ("dep:polars",),
        "full": ("gpu", "vulkan", "frames"),
    }
    head = '[package]\nname = "{}"\nversion = "0.1.0"\n[dependencies]\n'
    files = {
        "app/Cargo.toml": head.format("app") + 'wgpu = "25"\n',
        "data/Cargo.toml": head.format("data") + 'polars = "1"\n',
        "tool/Cargo.toml": head.format("tool") + 'log = "0.4"\n',
    }
    result = made(Profile(version=1, features={"*": every}), files)
    assert "tool/Cargo.toml" not in result.files
    assert tomllib.loads(text_of(result, "app/Cargo.toml"))["features"] == {
        "default": ["basic"], "basic": [], "gpu": ["dep:wgpu"], "full": ["gpu"],
    }  # fmt: skip
    assert tomllib.loads(text_of(result, "data/Cargo.toml"))["features"] == {
        "default": ["basic"], "basic": [], "frames": ["dep:polars"], "full": ["frames"],
    }  # fmt: skip
    assert result.gated == ("app", "data")


def test_under_the_star_a_feature_that_only_other_members_have_is_left_out() -> None:
    head = '[package]\nname = "{}"\nversion = "0.1.0"\n[dependencies]\nlog = "0.4"\n[features]\n'
    files = {"a/Cargo.toml": head.format("a") + "std = []\n", "b/Cargo.toml": head.format("b")}
    every = {"logging": ("dep:log",), "full": ("std", "logging"), "standard": ("std",)}
    result = made(Profile(version=1, features={"*": every}), files)
    assert tomllib.loads(text_of(result, "a/Cargo.toml"))["features"] == {
        "std": [], "logging": ["dep:log"], "full": ["std", "logging"], "standard": ["std"],
    }  # fmt: skip
    assert tomllib.loads(text_of(result, "b/Cargo.toml"))["features"] == {"logging": ["dep:log"], "full": ["logging"]}


def test_under_the_star_a_feature_that_no_member_has_is_refused() -> None:
    with pytest.raises(GateRefused) as raised:
        gated('[dependencies]\nlog = "0.4"\n', package="*", logging=("dep:log",), full=("loging",))
    assert 'did you mean "logging"?' in str(raised.value.problems[0])


def test_the_star_and_a_package_of_its_own_are_joined() -> None:
    features = {"*": {"gpu": ("dep:wgpu",)}, "app": {"gpu": ("log/std",), "extra": ()}}
    manifest = HEAD + '[dependencies]\nwgpu = "25"\nlog = "0.4"\n'
    result = made(Profile(version=1, features=features), {"app/Cargo.toml": manifest})
    assert tomllib.loads(text_of(result, "app/Cargo.toml"))["features"] == {"gpu": ["log/std", "dep:wgpu"], "extra": []}


def test_hostile_names_are_quoted() -> None:
    manifest = HEAD + '[dependencies]\n"we.ird" = "1"\n'
    result = made(Profile(version=1, features={"app": {"1.2+x": ("dep:we.ird",)}}), {"app/Cargo.toml": manifest})
    assert tomllib.loads(text_of(result, "app/Cargo.toml"))["features"] == {"1.2+x": ["dep:we.ird"]}


def test_a_manifest_outside_of_the_root_is_refused() -> None:
    with pytest.raises(GateRefused, match="nothing was written") as raised:
        made(Profile(version=1, features={"app": {"x": ()}}), {"../app/Cargo.toml": HEAD})
    assert "not inside the workspace root" in str(raised.value.problems[0])
