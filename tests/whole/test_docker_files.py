"""A Dockerfile out of the profile, from the first sync to the day when the table leaves it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildopt.cli import main

TABLE = '[docker]\nimage = "rust:1.95-slim-bookworm"\nruntime = "debian:bookworm-slim"\n'


@pytest.fixture
def root(three_packages: Path) -> Path:
    (three_packages / "app/src/main.rs").write_text("fn main() {}\n")
    subprocess.run(["cargo", "generate-lockfile", "--offline", "--quiet"], cwd=three_packages, check=True)
    declare(three_packages, TABLE)
    return three_packages


def declare(root: Path, text: str) -> None:
    (root / "buildopt.toml").write_text(f"version = 1\n{text}")


def call(root: Path, *words: str) -> int:
    return main([*words, "--root", str(root)])


def test_the_files_come_are_watched_over_and_go(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = [root / "Dockerfile", root / ".dockerignore"]
    assert call(root, "sync") == 0
    assert all(path.is_file() for path in ours)
    assert call(root, "drift") == 0

    ours[0].write_text(ours[0].read_text().replace("USER 65532:65532", "USER 0:0"))
    assert call(root, "drift") == 1
    assert "+USER 65532:65532" in capsys.readouterr().out
    declare(root, "")
    assert call(root, "sync") == 0
    assert "Dockerfile stays: it was written by buildopt, and has been edited since" in capsys.readouterr().err
    assert [path.exists() for path in ours] == [True, False]

    declare(root, TABLE)
    assert call(root, "sync") == 0
    declare(root, "")
    assert call(root, "sync") == 0
    assert not any(path.exists() for path in ours)
    assert call(root, "rollback") == 0
    assert all(path.is_file() for path in ours)


def test_a_dockerfile_of_somebody_else_is_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = root / "images" / "Dockerfile"
    own.parent.mkdir()
    own.write_text("FROM scratch\n")
    (root / "Dockerfile").symlink_to(own)
    assert call(root, "sync") == 2
    assert "is a symlink" in capsys.readouterr().err
    declare(root, "")
    assert call(root, "sync") == 0

    (root / "Dockerfile").unlink()
    (root / "Dockerfile").write_text("FROM scratch\n")
    assert call(root, "sync") == 0
    declare(root, TABLE)
    assert call(root, "sync") == 2
    assert "Dockerfile: exists and was not written by buildopt" in capsys.readouterr().err
    assert (root / "Dockerfile").read_text() == own.read_text() == "FROM scratch\n"
    assert not (root / ".dockerignore").exists()


def test_what_cannot_be_built_is_refused_with_the_key(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(root, f'{TABLE}binaries = ["ap"]\n')
    assert call(root, "sync") == 2
    assert 'docker.binaries: no package has a binary "ap" (did you mean "app"?)' in capsys.readouterr().err
    away = root.parent / "away"
    (away / "src").mkdir(parents=True)
    (away / "src/lib.rs").touch()
    (away / "Cargo.toml").write_text('[package]\nname = "away"\nversion = "0.1.0"\n')
    with (root / "app/Cargo.toml").open("a") as manifest:
        manifest.write('away = { path = "../../away" }\n')
    declare(root, TABLE)
    assert call(root, "sync") == 2
    assert "../away/Cargo.toml: docker: the package away lies outside" in capsys.readouterr().err
