from __future__ import annotations

import sys
import time
from pathlib import Path

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


def cpu_seconds(profile: Profile) -> float:
    inputs = made_inputs(profile, FILES, linkers={"mold": MOLD})
    start = time.process_time()
    wanted_paths(profile, inputs.workspace)
    generate(inputs)
    return time.process_time() - start


def test_500_packages_without_gates_take_less_than_a_third_of_a_second() -> None:
    profile = Profile(version=1, cargo=FAST, incremental=Incremental(), ide=Ide(features=("gpu",)))
    inputs = made_inputs(profile, FILES)
    assert not [path for path in inputs.texts if path.endswith("Cargo.toml")]
    assert min(cpu_seconds(profile) for _ in range(3)) < 0.3


def test_gates_that_no_package_can_have_read_no_manifest() -> None:
    profile = Profile(version=1, cargo=FAST, features={"*": {"gpu": ("dep:wgpu",)}})
    assert not [path for path in made_inputs(profile, FILES).texts if path.endswith("Cargo.toml")]
    assert min(cpu_seconds(profile) for _ in range(3)) < 0.3


def test_gates_in_every_package_take_a_second_once_and_little_after_that() -> None:
    inputs = made_inputs(Profile(version=1, features={"*": {"logging": ("dep:log",)}}), FILES)
    first = generate(inputs)
    assert len(first.gated) == 500
    assert len(first.notes) == 11
    texts = {**inputs.texts, **{path: content for path, content in first.files.items() if content is not None}}
    start = time.process_time()
    again = generate(inputs._replace(texts=texts))
    assert time.process_time() - start < 0.5
    assert again.notes == ()


def test_ci_for_500_packages_takes_a_tenth_of_a_second_once_its_templates_are_compiled() -> None:
    hosts = {"github": GitHub(platforms=("macos-15",)), "gitlab": GitLab(image="rust:1.95")}
    stages = {"core": Stage(run=("build", "test"))}
    profile = Profile(version=1, stages=stages, tests={"all": Group(shards=8)}, ci=Ci(minimal_versions=True, **hosts))
    prepare(profile)
    without = min(cpu_seconds(Profile(version=1, stages=stages)) for _ in range(3))
    assert min(cpu_seconds(profile) for _ in range(3)) - without < 0.1


def test_the_module_does_not_load_tomlkit() -> None:
    code = "import sys, buildopt.generate; sys.exit('tomlkit' in sys.modules or 'difflib' in sys.modules)"
    from buildopt.host import Command, Host

    assert Host().run(Command((sys.executable, "-c", code), Path.cwd())).returncode == 0
