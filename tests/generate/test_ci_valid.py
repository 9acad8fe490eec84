"""What people and programs that know workflows say about ours: nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ci_profiles import HOSTS, SCCACHE, github, gitlab, profile, profiles, workspace
from hypothesis import given, settings

from buildopt.generate.ci.github import render as render_github
from buildopt.generate.ci.gitlab import render as render_gitlab
from buildopt.generate.ci.lanes import lanes
from buildopt.generate.ci.pins import Pin, Pins, read_pins, render_pins, shipped_pins
from buildopt.profile import load, preset_names
from buildopt.profile.model import Profile

MODES = {
    **{mode: {"cache": mode} for mode in ("dependencies", "workspace", "none")},
    **{f"sccache-{kind}": {"cache": "sccache", "compiler_cache": cache} for kind, cache in SCCACHE.items()},
}


def of_preset(name: str) -> Profile:
    text = f'version = 1\nextends = ["{name}", "stages"]\n[tests.all]\nshards = 2\n[ci.github]\n[ci.gitlab]\nimage = "rust:1.95"\n'
    root = Path("/w")
    return load(root / "buildopt.toml", root=root, read=lambda _: text.encode(), environ={}, ci=True).profile


def declared() -> Iterator[tuple[str, Profile]]:
    yield from ((f"mode-{name}", profile(**how)) for name, how in MODES.items())
    yield from ((f"preset-{name}", of_preset(name)) for name in preset_names())
    yield "release-branch", profile(branch="release/1.x")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of declared profiles, and of those that hypothesis makes."""
    root = tmp_path_factory.mktemp("generated")
    for folder in (".github/workflows", ".gitlab"):
        (root / folder).mkdir(parents=True)

    def write(name: str, made: Profile) -> None:
        (root / ".github" / "workflows" / f"{name}.yml").write_text(github(made))
        (root / ".gitlab" / f"{name}.yml").write_text(gitlab(made))

    for name, made in declared():
        write(name, made)

    @settings(max_examples=40)
    @given(profiles())
    def from_hypothesis(made: Profile) -> None:
        write(f"made-{len(list((root / '.gitlab').iterdir()))}", made)

    from_hypothesis()
    return root


def checked(root: Path, *command: str) -> str:
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def test_zizmor_finds_nothing(generated: Path, need: Callable[[str], Path]) -> None:
    # Without --strict-collection a file that it cannot read is a warning, and the answer still "no findings".
    options = ("--no-progress", "--offline", "--persona=auditor", "--strict-collection")
    assert "No findings to report" in checked(generated, str(need("zizmor")), *options, ".github/workflows")


@pytest.mark.slow
@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_the_schemas_of_github_take_every_workflow(schema: str, generated: Path, need: Callable[[str], Path]) -> None:
    files = sorted(map(str, (generated / ".github" / "workflows").iterdir()))
    assert len(files) > 50
    assert "ok" in checked(generated, str(need("check-jsonschema")), "--builtin-schema", schema, *files)


@pytest.mark.slow
def test_the_schema_of_gitlab_takes_every_file(generated: Path, need: Callable[[str], Path]) -> None:
    files = sorted(map(str, (generated / ".gitlab").iterdir()))
    options = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    assert "ok" in checked(generated, str(need("check-jsonschema")), *options, *files)


def test_zizmor_would_find_something(tmp_path: Path, need: Callable[[str], Path]) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    bad = (
        github(profile())
        .replace("persist-credentials: false", "persist-credentials: true")
        .replace("permissions: {}\n", "", 1)
    )
    (workflows / "bad.yml").write_text(bad)
    command = [str(need("zizmor")), "--no-progress", "--offline", "--persona=auditor", "--strict-collection", "."]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "artipacked" in found.stdout


@pytest.mark.slow
def test_shellcheck_finds_nothing_in_what_shells_read(
    generated: Path, tmp_path: Path, need: Callable[[str], Path]
) -> None:
    program = str(need("shellcheck"))
    workflows = {text for path in (generated / ".github" / "workflows").iterdir() for text in runs_of(path.read_text())}
    jobs = {text for path in (generated / ".gitlab").iterdir() for text in scripts_of(path.read_text())}
    assert min(len(workflows), len(jobs)) > 10
    for shell, scripts in (("bash", workflows), ("sh", jobs)):
        for number, script in enumerate(sorted(scripts)):
            (tmp_path / f"{number}.{shell}").write_text(f"#!/bin/{shell}\nset -e\n{script}\n")
    # The host sets the variables that these scripts read.
    checked(tmp_path, program, "--exclude=SC2154", *sorted(path.name for path in tmp_path.iterdir()))


def runs_of(workflow: str) -> list[str]:
    """Return what each `run:` of a workflow has in it, as a YAML reader sees it."""
    return [step["run"] for job in read(workflow)["jobs"].values() for step in job["steps"] if "run" in step]


def scripts_of(document: str) -> list[str]:
    """Return the scripts of jobs for GitLab, each as one text."""
    jobs = read(document).values()
    return ["\n".join(job[key]) for job in jobs for key in ("before_script", "script") if key in job]


def read(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


@pytest.mark.slow
def test_every_value_is_what_a_yaml_reader_gets_back() -> None:
    @settings(max_examples=40)
    @given(profiles())
    def round_trip(made: Profile) -> None:
        assert made.ci is not None
        assert made.ci.gitlab is not None
        workflow = read(github(made))
        assert workflow["on"]["push"]["branches"] == [made.ci.branch]
        jobs = workflow["jobs"]
        for name in made.ci.stages or made.stages:
            assert jobs[f"stage-{name}"]["name"] == name
        installed = [s["env"]["REQUIREMENT"] for s in jobs["plan"]["steps"] if s["name"] == "Install buildopt"]
        assert installed == [made.ci.install] or made.ci.install is None
        document = read(gitlab(made))
        assert document[".buildopt"].get("tags", []) == list(made.ci.gitlab.tags)
        for name, group in made.tests.items():
            assert document[f"buildopt tests {name}"].get("parallel", 1) == group.shards

    round_trip()


def test_no_expression_reaches_a_shell() -> None:
    for name, made in declared():
        assert not [script for script in runs_of(github(made)) if "${{" in script], name


def test_every_action_is_at_a_commit_that_the_lock_file_names() -> None:
    for _, made in declared():
        uses = re.findall(r"uses: (\S+)@(\S+) # (\S+)\n", github(made))
        assert len(uses) == github(made).count("uses:")
        for action, commit, version in uses:
            assert shipped_pins().actions["/".join(action.split("/")[:2])] == Pin(version, commit)


def test_a_pin_of_the_project_is_taken_before_ours() -> None:
    moved = Pins(
        {**shipped_pins().actions, "actions/checkout": Pin("v9.9.9", "a" * 40)},
        {**shipped_pins().tools, "nextest": "0.9.1"},
    )
    assert read_pins(render_pins(moved)) == moved
    pipeline = lanes(profile(), workspace())
    text = render_github(HOSTS["github"], pipeline, moved)
    assert f"actions/checkout@{'a' * 40} # v9.9.9\n" in text
    assert "nextest@0.9.1" in text
    assert "--version 0.9.1\n" in render_gitlab(HOSTS["gitlab"], pipeline, moved)
