from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from dockerfile_runner import instructions
from generate_inputs import NO_CONFIG, made, made_inputs, text_of
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from buildopt.cargo.model import ConfigValue, Package, Target, Workspace
from buildopt.errors import ManifestError, ProfileError
from buildopt.generate import Generated, Inputs, generate
from buildopt.profile.model import Cargo, CargoProfile, Docker, Profile

HEAD = '[package]\nname = "{}"\nversion = "0.1.0"\n'
TARGETS = {
    "tool": [("tl", "bin"), ("gui", "bin", "gui"), ("shown", "example"), ("tool", "lib")],
    "viewer": [("viewer", "bin")],
}
VIRTUAL = {
    "Cargo.toml": "[workspace]\n",
    "Cargo.lock": "",
    "crates/tool/Cargo.toml": HEAD.format("tool") + "[features]\ngui = []\nall = ['gui']\nloud = []\n",
    "crates/viewer/Cargo.toml": HEAD.format("viewer") + "[features]\nloud = []\n",
}
SINGLE = {"Cargo.toml": HEAD.format("viewer"), "Cargo.lock": ""}
DIGEST = "@sha256:" + "0" * 64


def profile(**more: object) -> Profile:
    image = {"image": f"rust:1.95-slim-bookworm{DIGEST}", "runtime": "debian:bookworm-slim", **more}
    return Profile(version=1, docker=Docker(**image))


def with_targets(workspace: Workspace, targets: Mapping[str, list[tuple[str, ...]]]) -> Workspace:
    def given_to(package: Package) -> Package:
        made_of = (
            Target(name, (kind,), f"{package.directory}/{name}.rs", False, False, tuple(needs))
            for name, kind, *needs in targets.get(package.name, ())
        )
        return package._replace(targets=tuple(made_of))

    packages = tuple(given_to(package) for package in workspace.packages)
    return workspace._replace(packages=packages, has_lock=True)


def inputs_for(declared: Profile, files: Mapping[str, str], targets: Mapping[str, list[tuple[str, ...]]]) -> Inputs:
    inputs = made_inputs(declared, files)
    return inputs._replace(workspace=with_targets(inputs.workspace, targets))


def generated(declared: Profile, files: Mapping[str, str] = VIRTUAL, **changes: object) -> Generated:
    inputs = inputs_for(declared, files, TARGETS)._replace(**changes)
    found = generate(inputs)
    texts = {**inputs.texts, **{path: text for path, text in found.files.items() if text is not None}}
    assert generate(inputs._replace(texts=texts)).files == found.files
    return found


def problems(declared: Profile, files: Mapping[str, str] = VIRTUAL, targets: Mapping = TARGETS) -> str:
    with pytest.raises(ProfileError) as caught:
        generate(inputs_for(declared, files, targets))
    return "\n".join(str(problem) for problem in caught.value.problems)


def dockerfile(declared: Profile, files: Mapping[str, str] = VIRTUAL, **changes: object) -> str:
    return text_of(generated(declared, files, **changes), "Dockerfile")


def built_with(text: str) -> str:
    """Return what the code is built with, after a check that the dependencies are built with the same."""
    first, last = (rest for name, rest in instructions(text) if name == "RUN" and "cargo build" in rest)
    arguments = last.partition("cargo build --locked ")[2]
    assert f"cargo build --locked --keep-going {arguments} ||" in first
    return arguments


def test_a_virtual_workspace(snapshot: SnapshotAssertion) -> None:
    found = generated(profile(binaries=("tl", "viewer"), features=("loud",), cargo_profile="fast"))
    assert text_of(found, "Dockerfile") == snapshot(name="Dockerfile")
    assert text_of(found, ".dockerignore") == snapshot(name="dockerignore")
    assert found.notes == ()


def test_a_package_with_a_toolchain_file_vendored_dependencies_and_a_neighbour(snapshot: SnapshotAssertion) -> None:
    files = {
        **SINGLE,
        "rust-toolchain.toml": '[toolchain]\nchannel = "1.94.0"\n',
        "near/Cargo.toml": HEAD.format("near"),
    }
    declared = profile()
    inputs = inputs_for(declared, files, {"viewer": [("viewer", "bin")]})
    packages = tuple(p._replace(member=p.name != "near") for p in inputs.workspace.packages)
    config = NO_CONFIG._replace(
        values=(ConfigValue(("source", "kept", "directory"), "vendor/", ".cargo/config.toml", False),)
    )
    found = generate(inputs._replace(workspace=inputs.workspace._replace(packages=packages), config=config))
    assert text_of(found, "Dockerfile") == snapshot


@pytest.mark.parametrize(
    ("more", "arguments"),
    [
        ({"binaries": ("tl",)}, "--profile release --package tool --bin tl"),
        ({"binaries": ("viewer", "tl")}, "--profile release --package viewer --package tool --bin viewer --bin tl"),
        ({"binaries": ("gui", "tl"), "features": ("gui",)}, "--profile release --features tool/gui --package tool --bin gui --bin tl"),
        ({"binaries": ("gui",), "features": "all"}, "--profile release --all-features --package tool --bin gui"),
        ({"binaries": ("viewer",), "features": "none"}, "--profile release --no-default-features --package viewer --bin viewer"),
        ({"binaries": ("viewer",), "features": ("loud", "gui")}, "--profile release --features viewer/loud --package viewer --bin viewer"),
        ({"binaries": ("tl", "viewer"), "features": ("tool/loud",)}, "--profile release --features tool/loud --package tool --package viewer --bin tl --bin viewer"),
        ({"features": ("all",)}, "--profile release --features tool/all --package tool --package viewer --bin gui --bin tl --bin viewer"),
    ],
)  # fmt: skip
def test_the_dependencies_are_built_with_the_same_words_as_the_binaries(
    more: dict[str, object], arguments: str
) -> None:
    assert built_with(dockerfile(profile(**more))) == arguments


@pytest.mark.parametrize(
    ("cargo_profile", "folder"),
    [("dev", "debug"), ("test", "debug"), ("bench", "release"), ("release", "release"), ("fast", "fast")],
)
def test_binaries_are_copied_from_where_cargo_puts_them(cargo_profile: str, folder: str) -> None:
    text = dockerfile(profile(binaries=("tl",), cargo_profile=cargo_profile))
    assert f'COPY --from=build ["/app/target/{folder}/tl", "/usr/local/bin/"]\n' in text


def test_what_is_left_out_or_decided_is_said() -> None:
    assert generated(profile(features=("cuda",))).notes == (
        'docker: gui is left out, since it needs the features ["gui"]',
        "docker.binaries is not set: the image starts tl, and also has viewer",
        "docker: no package of the image has the feature 'cuda': it is left out",
    )
    inputs = inputs_for(profile(binaries=("tl",)), VIRTUAL, TARGETS)
    assert generate(inputs._replace(workspace=inputs.workspace._replace(has_lock=False))).notes == (
        "docker: there is no Cargo.lock, and the image is built from one: `cargo generate-lockfile` writes it",
    )


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("rust:1.93.1-slim", True), ("docker.io/library/rust:1.9", True), ("rust:1.94", False), ("rust:2.0", False),
        ("rust:bookworm", False), ("my/rust:1.85", False),
    ],
)  # fmt: skip
def test_a_cargo_that_cannot_include_our_file_is_told_of(image: str, said: bool) -> None:
    declared = profile(image=image, binaries=("tl",))
    declared = replace(declared, cargo=Cargo(profile={"fast": CargoProfile(inherits="release")}))
    assert any("cannot include" in note for note in generated(declared).notes) == said
    own = {**VIRTUAL, "rust-toolchain": "1.95.0"}
    assert generated(declared, own).notes == ()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"binaries": ("viwer",)}, 'docker.binaries: no package has a binary "viwer" (did you mean "viewer"?)'),
        ({"binaries": ("tool",)}, 'docker.binaries: no package has a binary "tool" (the package "tool" has "gui" and "tl")'),
        ({"binaries": ("shown",)}, 'docker.binaries: no package has a binary "shown" ("shown" is an example, which no image gets)'),
        ({"binaries": ("q", "tl")}, 'docker.binaries: no package has a binary "q" (there are "gui", "tl" and "viewer")'),
        ({"binaries": ("gui",)}, 'docker.features: the binary "gui" needs features that the image is not built with (add ["gui"])'),
    ],
)  # fmt: skip
def test_a_binary_that_cannot_be_had_is_refused(more: dict[str, object], said: str) -> None:
    assert problems(profile(**more)) == said


def test_a_workspace_that_no_image_can_be_made_of_is_refused() -> None:
    twice = {**TARGETS, "viewer": [("tl", "bin")]}
    assert problems(profile(), targets=twice) == (
        'docker.binaries: the binary "tl" stands in several packages: "tool" and "viewer"'
        " (Cargo would let one overwrite the other: rename one)"
    )
    assert "odd" in problems(profile(), targets={"tool": [("odd $(name)", "bin")]})
    assert problems(profile(), targets={}) == "docker: no package here has a binary (remove the table [docker])"
    off = {"tool": [("gui", "bin", "gui")]}
    assert problems(profile(), targets=off) == 'docker.features: every binary needs features that are off (try "all")'


def test_a_package_outside_of_the_root_is_refused() -> None:
    files = {**VIRTUAL, "../away/Cargo.toml": HEAD.format("away")}
    with pytest.raises(ManifestError) as caught:
        generate(inputs_for(profile(), files, TARGETS))
    (problem,) = caught.value.problems
    assert str(problem) == (
        "../away/Cargo.toml: docker: the package away lies outside of the workspace root, where docker build cannot see it"
        " (move it below the root, or take it from a registry or by git)"
    )


def test_a_member_named_like_a_published_package_is_told_from_it() -> None:
    lock = '[[package]]\nname = "viewer"\nversion = "0.1.0"\n\n[[package]]\nname = "viewer"\nversion = "0.1.0"\nsource = "r"\n'
    text = dockerfile(profile(binaries=("viewer",)), {**VIRTUAL, "Cargo.lock": lock})
    assert built_with(text) == "--profile release --package 'path+file:///app/crates/viewer#viewer' --bin viewer"


def configured(key: str, value: object, where: str = ".cargo/config.toml") -> dict[str, object]:
    return {"config": NO_CONFIG._replace(values=(ConfigValue(tuple(key.split(".")), value, where, False),))}


def test_committed_settings_of_cargo_that_would_break_the_image_are_answered() -> None:
    declared = profile(binaries=("tl",))
    plain = dockerfile(declared)
    assert "ENV CARGO_HOME=/usr/local/cargo CARGO_TARGET_DIR=/app/target\n" in plain
    assert "RUSTC_WRAPPER=\n" not in plain
    wrapped = dockerfile(declared, **configured("build.rustc-wrapper", "sccache"))
    assert " CARGO_TARGET_DIR=/app/target RUSTC_WRAPPER=\n" in wrapped
    split = dockerfile(declared, **configured("build.build-dir", "elsewhere"))
    assert " CARGO_TARGET_DIR=/app/target CARGO_BUILD_BUILD_DIR=/app/target\n" in split
    cross = dockerfile(declared, **configured("build.target", "x86_64-unknown-linux-musl"))
    assert '["/app/target/x86_64-unknown-linux-musl/release/tl", "/usr/local/bin/"]' in cross
    for where in ("/home/me/.cargo/config.toml", "$CARGO_BUILD_TARGET", ".cargo/buildopt.host.toml"):
        assert dockerfile(declared, **configured("build.target", "x86_64-unknown-linux-musl", where)) == plain
    for value in (["x86_64-unknown-linux-musl"], "host-tuple", "a b-c", "$HOME-x"):
        with pytest.raises(ManifestError, match="no Dockerfile"):
            dockerfile(declared, **configured("build.target", value))


def test_a_target_directory_that_is_committed_is_ignored() -> None:
    ours = text_of(
        generated(profile(binaries=("tl",)), **configured("build.target-dir", "built/here")), ".dockerignore"
    )
    assert ours.endswith("\nbuilt/here\n")
    for path in ("/built", "../built", "{workspace-root}/built", 1):
        other = generated(profile(binaries=("tl",)), **configured("build.target-dir", path))
        assert text_of(other, ".dockerignore").endswith("\n.vscode\n")


def test_a_folder_that_holds_a_package_is_not_ignored() -> None:
    assert "\n**/node_modules\n" in text_of(generated(profile(binaries=("tl",))), ".dockerignore")
    files = {**VIRTUAL, "web/node_modules/x/Cargo.toml": HEAD.format("x"), ".github/x/Cargo.toml": HEAD.format("y")}
    text = text_of(generated(profile(binaries=("tl",)), files), ".dockerignore")
    assert "node_modules" not in text
    assert ".github" not in text
    assert "\n.gitlab\n" in text


def test_files_of_somebody_else_are_not_touched() -> None:
    files = {**VIRTUAL, "Dockerfile": "FROM scratch\n", ".dockerignore": "# syntax=docker/dockerfile:1\n"}
    with pytest.raises(ManifestError, match="in the way") as caught:
        generate(inputs_for(profile(), files, TARGETS))
    assert [problem.file for problem in caught.value.problems] == ["Dockerfile", ".dockerignore"]
    nothing = made(Profile(version=1), files)
    assert not {"Dockerfile", ".dockerignore"} & nothing.files.keys()
    assert nothing.notes == ()


def test_the_files_go_with_their_table_unless_they_were_edited() -> None:
    declared = profile(binaries=("tl",))
    first = generated(declared)
    texts = {path: text_of(first, path) for path in ("Dockerfile", ".dockerignore")}
    gone = generate(made_inputs(Profile(version=1), {**VIRTUAL, **texts}))
    assert {path: gone.files[path] for path in texts} == dict.fromkeys(texts)
    windows = {path: text.replace("\n", "\r\n") for path, text in texts.items()}
    assert generate(made_inputs(Profile(version=1), {**VIRTUAL, **windows})).files["Dockerfile"] is None

    edited = {**texts, "Dockerfile": texts["Dockerfile"].replace("USER 65532:65532", "USER 0:0")}
    kept = generate(made_inputs(Profile(version=1), {**VIRTUAL, **edited}))
    assert "Dockerfile" not in kept.files
    assert kept.files[".dockerignore"] is None
    assert kept.notes == ("Dockerfile stays: it was written by buildopt, and has been edited since",)
    again = generated(declared, {**VIRTUAL, **edited})
    assert again.files["Dockerfile"] == first.files["Dockerfile"]


NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True)
IMAGES = st.from_regex(
    r"([a-z0-9]{1,4}\.[a-z]{2,3}(:[0-9]{2})?/)?[a-z0-9]{1,9}(/[a-z0-9][a-z0-9._-]{0,9}){0,2}:[0-9][A-Za-z0-9._-]{0,9}",
    fullmatch=True,
)
FOLDERS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=9).filter(
    lambda name: "/" not in name and name.strip(".")
)


@st.composite
def declared_images(draw: st.DrawFn) -> tuple[Profile, Inputs]:
    """Draw a workspace with packages anywhere below the root, and an image of some of its binaries."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    features = draw(st.lists(st.from_regex(r"[a-z0-9_][a-z0-9_+.-]{0,9}", fullmatch=True), max_size=2, unique=True))
    listed = "".join(f'"{feature}" = []\n' for feature in features)
    folders = draw(st.lists(FOLDERS, min_size=len(names), max_size=len(names), unique=True))
    files = {
        "Cargo.lock": "",
        **{f"{folder}/Cargo.toml": f"{HEAD.format(name)}[features]\n{listed}" for folder, name in zip(folders, names, strict=True)},
        **draw(st.sampled_from([{}, {"rust-toolchain": "stable"}, {"rust-toolchain.toml": ""}])),
    }  # fmt: skip
    targets = {name: [(name, "bin")] for name in names}
    members = draw(st.sets(st.sampled_from(names), min_size=1))
    declared = profile(
        image=draw(IMAGES),
        runtime=draw(IMAGES),
        binaries=tuple(draw(st.lists(st.sampled_from(sorted(members)), unique=True, max_size=4))),
        features=draw(st.sampled_from(["default", "all", "none", tuple(features)])),
        cargo_profile=draw(NAMES),
    )
    inputs = inputs_for(declared, files, targets)
    packages = tuple(p._replace(member=p.name in members) for p in inputs.workspace.packages)
    return declared, inputs._replace(workspace=inputs.workspace._replace(packages=packages))


def test_hadolint_finds_nothing(tmp_path: Path, need: Callable[[str], Path]) -> None:
    written: list[Path] = []

    @settings(max_examples=150)
    @given(declared_images())
    def write(drawn: tuple[Profile, Inputs]) -> None:
        try:
            found = generate(drawn[1])
        except ManifestError:  # a folder with signs that no Dockerfile can hold
            return
        text = text_of(found, "Dockerfile")
        path = tmp_path / f"Dockerfile.{len(written)}"
        path.write_text(text)
        written.append(path)
        assert [name for name, _ in instructions(text)][-2:] == ["USER", "ENTRYPOINT"]

    write()
    assert len(written) > 50
    command = [str(need("hadolint")), "--no-color", "--failure-threshold", "style", *map(str, written)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path, need: Callable[[str], Path]) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(dockerfile(profile(binaries=("tl",))).replace('ENTRYPOINT ["/usr/local/bin/tl"]', "ENTRYPOINT tl"))
    finished = subprocess.run([str(need("hadolint")), str(path)], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "DL3025" in finished.stdout
