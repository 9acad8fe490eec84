from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from generate_inputs import MOLD

from buildopt import cargo
from buildopt.generate import Generated, Inputs, generate, wanted_paths
from buildopt.host import Command, Finished, Host
from buildopt.profile.model import Profile

Sync = Callable[..., Generated]


@pytest.fixture
def sync(tmp_path: Path, host: Host) -> Sync:
    """Return a function that generates for a real workspace and writes the result, as `buildopt sync` would."""

    def run(root: Path, profile: Profile, **changes: object) -> Generated:
        state = tmp_path / "state"
        workspace = cargo.load_workspace(host, root, state, fresh=True)
        texts = {
            path: found
            for path in wanted_paths(profile, workspace)
            if (found := host.files.read(root / path)) is not None
        }
        toolchain, config = cargo.probe_toolchain(host, root, state), cargo.load_config(host, root)
        inputs = Inputs(profile, workspace, toolchain, config, {"mold": MOLD}, 8, 16 * 2**30, texts)._replace(**changes)
        result = generate(inputs)
        for path, content in result.files.items():
            if content is None:
                (root / path).unlink(missing_ok=True)
            elif content != texts.get(path):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        return result

    return run


@pytest.fixture
def run_cargo(need: Callable[[str], Path], host: Host) -> Callable[..., Finished]:
    """Return a function that runs cargo offline and expects it to succeed."""

    def run(root: Path, *arguments: str) -> Finished:
        result = host.run(Command((str(need("cargo")), *arguments, "--offline"), root, timeout_seconds=300.0))
        assert result.returncode == 0, result.stderr.decode()
        return result

    return run
