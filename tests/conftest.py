from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from buildopt.host import Host

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("default"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Whatever the surrounding shell says about Cargo must not decide whether a test passes.
_SCRUBBED = (
    "CARGO_",
    "RUSTFLAGS",
    "RUSTC",
    "SCCACHE_",
    "BUILDOPT_",
    "NOX",
    "GITHUB_",
    "GITLAB_",
    "CI",
    "NO_COLOR",
    "FORCE_COLOR",
)
_KEPT = ("CARGO_HOME", "CARGO_REGISTRIES", "CARGO_SOURCE", "CARGO_NET", "CARGO_HTTP", "CARGO_REGISTRY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_SCRUBBED) and not name.startswith(_KEPT):
            monkeypatch.delenv(name)


IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}


@pytest.fixture(scope="session")
def need() -> Callable[[str], Path]:
    """Return the path of a program; without it the test fails in CI and is skipped on a developer's machine."""

    def find(program: str) -> Path:
        found = shutil.which(program)
        return Path(found) if found is not None else cannot_run(f"{program} is missing on this machine")

    return find


def cannot_run(why: str) -> NoReturn:
    """Fail the test in CI, where every test runs; skip it on a developer's machine."""
    if IN_CI:
        pytest.fail(f"in CI every test runs: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def unable() -> Callable[[str], NoReturn]:
    """Return what a test calls when this machine does not let it run."""
    return cannot_run


_LOOP_SECONDS = 0.0042  # of `_loop`, on the machine whose CPU seconds the budgets of the tests are


def _loop() -> float:
    started = time.process_time()
    sorted(str(number) for number in range(20_000))
    return time.process_time() - started


@pytest.fixture
def cpu_seconds() -> Callable[..., float]:
    """Return what tells the CPU seconds of a call: of `calls` the least, or what `of` picks, each set against a known loop beside it.

    A slow machine, and a neighbour, make both dearer; a collection of garbage makes one call dearer. Neither is of the code.
    `first` is called before each call, and not counted.
    """

    def measure(
        call: Callable[[], object],
        *,
        first: Callable[[], object] = lambda: None,
        calls: int = 5,
        of: Callable[[list[float]], float] = min,
    ) -> float:
        costs = []
        for _ in range(calls):
            first()
            loop = _loop()
            started = time.process_time()
            call()
            spent = time.process_time() - started
            costs.append(spent / ((loop + _loop()) / 2 / _LOOP_SECONDS))
        return of(costs)

    return measure


@pytest.fixture
def host() -> Host:
    """Return the real host, with the scrubbed environment."""
    return Host()


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write `files` (relative path to text) under `root` and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def package(name: str, *, extra: str = "", lib: str = "", **files: str) -> dict[str, str]:
    """Return the files of a small library package in the folder `name`."""
    manifest = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{extra}'
    return {f"{name}/Cargo.toml": manifest, f"{name}/src/lib.rs": lib, **files}


@pytest.fixture
def tree() -> Callable[[Path, Mapping[str, str]], Path]:
    """Return `write_tree`."""
    return write_tree


@pytest.fixture
def three_packages(tmp_path: Path) -> Path:
    """Return a virtual workspace: `app` depends on `api`, `api` on `base`; no registry dependency."""
    root = tmp_path / "ws"
    return write_tree(
        root,
        {
            "Cargo.toml": '[workspace]\nmembers = ["base", "api", "app"]\nresolver = "2"\n',
            **package(
                "base",
                lib="pub fn one() -> u32 { 1 }\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn one_is_one() {\n        assert_eq!(1, super::one());\n    }\n}\n",
            ),
            **package(
                "api",
                extra='\n[dependencies]\nbase = { path = "../base" }\n',
                lib="pub fn two() -> u32 { base::one() + 1 }\n",
            ),
            **package(
                "app",
                extra='\n[dependencies]\napi = { path = "../api" }\n',
                lib="pub fn three() -> u32 { api::two() + 1 }\n",
            ),
        },
    )
