from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from generate_inputs import MOLD, made_inputs

from buildopt.generate import generate, prepare, wanted_paths
from buildopt.profile.model import Cargo, CargoProfile, Ci, GitHub, GitLab, Ide, Incremental, Linker, Profile, Stage
from buildopt.profile.model import TestGroup as Group

HEAD = '[package]\nname = "p{0}"\nversion = "0.1.0"\n[features]\ngpu = []\n[dependencies]\nlog = "0.4"\n'
FILES = {
    "Cargo.toml": "[workspace]\n",
    **{
        f"p{n}/Cargo.toml": HEAD.format(n) + (f'p{n - 1} = {{ path = "../p{n - 1}" }}\n' if n else "")
        for n in range(500)
    },
}
FAST = Cargo(
    profile={"dev-fast": CargoProfile(inherits="dev", debug="line-tables-only")}, linker=Linker(prefer=("mold",))
)


@pytest.fixture
def cost(cpu_seconds: Callable[..., float]) -> Callable[[Profile], float]:
    """Return what tells the CPU seconds of a generation for 500 packages."""

    def of(profile: Profile) -> float:
        inputs = made_inputs(profile, FILES, linkers={"mold": MOLD})
        return cpu_seconds(lambda: (wanted_paths(profile, inputs.workspace), generate(inputs)))

    return of


def test_500_packages_without_gates_take_less_than_a_third_of_a_second(cost: Callable[[Profile], float]) -> None:
    profile = Profile(version=1, cargo=FAST, incremental=Incremental(), ide=Ide(features=("gpu",)))
    inputs = made_inputs(profile, FILES)
    assert not [path for path in inputs.texts if path.endswith("Cargo.toml")]
    assert cost(profile) < 0.3


def test_gates_that_no_package_can_have_read_no_manifest(cost: Callable[[Profile], float]) -> None:
    profile = Profile(version=1, cargo=FAST, features={"*": {"gpu": ("dep:wgpu",)}})
    assert not [path for path in made_inputs(profile, FILES).texts if path.endswith("Cargo.toml")]
    assert cost(profile) < 0.3


def test_gates_in_every_package_take_a_second_once_and_little_after_that(cpu_seconds: Callable[..., float]) -> None:
    inputs = made_inputs(Profile(version=1, features={"*": {"logging": ("dep:log",)}}), FILES)
    first = generate(inputs)
    assert len(first.gated) == 500
    assert len(first.notes) == 11
    texts = {**inputs.texts, **{path: content for path, content in first.files.items() if content is not None}}
    again = inputs._replace(texts=texts)
    assert cpu_seconds(lambda: generate(again)) < 0.5
    assert generate(again).notes == ()


def test_ci_for_500_packages_takes_a_tenth_of_a_second_once_its_templates_are_compiled(
    cost: Callable[[Profile], float],
) -> None:
    hosts = {"github": GitHub(platforms=("macos-15",)), "gitlab": GitLab(image="rust:1.95")}
    stages = {"core": Stage(run=("build", "test"))}
    profile = Profile(version=1, stages=stages, tests={"all": Group(shards=8)}, ci=Ci(minimal_versions=True, **hosts))
    prepare(profile)
    without = cost(Profile(version=1, stages=stages))
    assert cost(profile) - without < 0.1


def test_the_module_does_not_load_tomlkit() -> None:
    code = "import sys, buildopt.generate; sys.exit('tomlkit' in sys.modules or 'difflib' in sys.modules)"
    from buildopt.host import Command, Host

    assert Host().run(Command((sys.executable, "-c", code), Path.cwd())).returncode == 0
