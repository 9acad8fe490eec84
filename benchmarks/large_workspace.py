"""`buildopt sync --check` on a generated workspace of 500 packages, against one `cargo metadata --format-version 1`.

Peak memory is that of buildopt's own process, without the cargo that it starts.
Call: python benchmarks/large_workspace.py [--packages N] [--pairs N]
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pairs import Cost, abba, measure, median

PROFILE = """version = 1
extends = ["dev-fast"]
[cargo.linker]
prefer = ["mold", "rust-lld"]
[ide]
[features."*"]
json = ["dep:serde"]
[tests.all]
shards = 4
[ci.github]
[ci.gitlab]
image = "rust:1.95-bookworm"
[docker]
image = "rust:1.95-slim-bookworm"
runtime = "debian:bookworm-slim"
"""
PEAK = (
    "import resource, sys\n"
    "from buildopt.cli import main\n"
    "main(['sync', '--check', '--json'])\n"
    "sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\n"
)


def workspace(root: Path, packages: int) -> Path:
    """Write a virtual workspace in which each package depends on up to four earlier ones."""
    chance = random.Random(7)
    for number in range(packages):
        folder = root / "crates" / f"p{number}"
        (folder / "src").mkdir(parents=True)
        below = chance.sample(range(number), min(number, chance.randint(0, 4)))
        lines = "".join(f'p{other} = {{ path = "../p{other}" }}\n' for other in sorted(below))
        (folder / "Cargo.toml").write_text(
            f'[package]\nname = "p{number}"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n{lines}'
        )
        (folder / "src" / "lib.rs").write_text("")
    (folder / "src" / "main.rs").write_text("fn main() {}\n")  # the image of [docker] runs something
    (root / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n')
    (root / "buildopt.toml").write_text(PROFILE)
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, check=True)
    return root


def compare(name: str, root: Path, pairs: int, *, cold: bool) -> None:
    """Print the ratio of `sync --check` to `cargo metadata`, with buildopt's own cache kept or removed before each."""
    command = [str(Path(sys.executable).with_name("buildopt")), "sync", "--check"]

    def check() -> Cost:
        if cold:
            shutil.rmtree(root / ".buildopt", ignore_errors=True)
        return measure(command, root)

    ours, cargo = abba(check, lambda: measure(["cargo", "metadata", "--format-version", "1"], root), pairs)
    a, b = median(ours), median(cargo)
    print(f"{name} ({pairs} ABBA pairs, medians; wall ms / CPU ms)")
    print(f"  buildopt sync --check        {a.wall * 1000:7.1f} / {a.cpu * 1000:7.1f}")
    print(f"  cargo metadata               {b.wall * 1000:7.1f} / {b.cpu * 1000:7.1f}")
    print(f"  ratio                        {a.wall / b.wall:7.2f} / {a.cpu / b.cpu:7.2f}   (goal: at most 2)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(Path(folder) / "ws", arguments.packages)
        subprocess.run([sys.executable, "-m", "buildopt", "sync"], cwd=root, check=True, capture_output=True)
        compare(f"{arguments.packages} packages, nothing kept from before", root, arguments.pairs, cold=True)
        compare(f"{arguments.packages} packages, metadata kept from before", root, arguments.pairs, cold=False)
        for state in ("kept", "removed"):
            if state == "removed":
                shutil.rmtree(root / ".buildopt")
            result = subprocess.run([sys.executable, "-c", PEAK], cwd=root, check=True, capture_output=True, text=True)
            peak = int(result.stderr.split()[-1]) / 1024
            print(f"peak memory of buildopt itself, metadata {state}: {peak:.1f} MiB   (goal: below 80)")
