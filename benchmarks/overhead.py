"""What buildopt adds: around cargo when there is nothing to do, and to `nox -l`.

Both are held against one `python -c "import nox"` and one plain `nox -l` of the same machine, in the same run.
Call: python benchmarks/overhead.py [--pairs N]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from pairs import Cost, abba, measure, median

MEMBERS = 10
PROFILE = 'version = 1\nextends = ["dev-fast"]\n'
PLAIN_NOXFILE = 'import nox\n\n\n@nox.session(python=False)\ndef one(session):\n    """one"""\n'
NOXFILE = f"{PLAIN_NOXFILE}\n\nimport buildopt\n\nbuildopt.sessions()\n"


def workspace(root: Path) -> Path:
    """Write a workspace of ten packages that depend on each other, checked and synced."""
    members = ", ".join(f'"p{number}"' for number in range(MEMBERS))
    root.mkdir()
    (root / "Cargo.toml").write_text(f'[workspace]\nmembers = [{members}]\nresolver = "2"\n')
    for number in range(MEMBERS):
        (root / f"p{number}" / "src").mkdir(parents=True)
        below = f'[dependencies]\np{number - 1} = {{ path = "../p{number - 1}" }}\n' if number else ""
        (root / f"p{number}" / "Cargo.toml").write_text(
            f'[package]\nname = "p{number}"\nversion = "0.1.0"\nedition = "2021"\n{below}'
        )
        (root / f"p{number}" / "src" / "lib.rs").write_text(f"pub fn f{number}() -> u32 {{ {number} }}\n")
    (root / "buildopt.toml").write_text(PROFILE)
    (root / ".gitignore").write_text("target\n")
    call = [sys.executable, "-m", "buildopt"]
    for words in (
        ["cargo", "generate-lockfile", "--quiet"],
        ["git", "init", "-q"],
        [*call, "sync"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "one"],
        [*call, "run", "quick-check", "--scope", "workspace"],
    ):
        subprocess.run(words, cwd=root, check=True, capture_output=True)
    return root


def around_cargo(root: Path, pairs: int) -> None:
    """Print what `buildopt run quick-check` adds to the cargo command that it runs, with nothing to do."""
    buildopt = [str(Path(sys.executable).with_name("buildopt")), "run", "quick-check", "--scope", "workspace"]
    plain = ["cargo", "clippy", "--workspace", "--profile", "dev-fast"]
    nox: list[Cost] = []

    def with_buildopt() -> Cost:
        nox.append(measure([sys.executable, "-c", "import nox"], root))
        return measure(buildopt, root)

    ours, cargo = abba(with_buildopt, lambda: measure(plain, root), pairs)
    added = Cost(median(ours).wall - median(cargo).wall, median(ours).cpu - median(cargo).cpu)
    yardstick = median(nox)
    print(f"nothing to do, {MEMBERS} packages, {pairs} ABBA pairs (medians; wall ms / CPU ms)")
    for name, cost in (
        ("buildopt run quick-check", median(ours)),
        ("cargo clippy --workspace", median(cargo)),
        ("added by buildopt", added),
        ('python -c "import nox"', yardstick),
    ):
        print(f"  {name:28} {cost.wall * 1000:7.1f} / {cost.cpu * 1000:7.1f}")
    print(
        f"  ratio added : import nox     {added.wall / yardstick.wall:7.2f} / {added.cpu / yardstick.cpu:7.2f}   (goal: below 1)"
    )


def nox_list(root: Path, pairs: int) -> None:
    """Print what `buildopt.sessions()` adds to `nox -l`."""
    plain, ours = root / "plain_noxfile.py", root / "noxfile.py"
    plain.write_text(PLAIN_NOXFILE)
    ours.write_text(NOXFILE)

    def listing(file: Path) -> Cost:
        return measure([sys.executable, "-m", "nox", "-l", "-f", str(file)], root)

    with_sessions, without = abba(lambda: listing(ours), lambda: listing(plain), pairs)
    a, b = median(with_sessions), median(without)
    print(f"nox -l, {pairs} ABBA pairs (medians; wall ms / CPU ms)")
    print(f"  with buildopt.sessions()     {a.wall * 1000:7.1f} / {a.cpu * 1000:7.1f}")
    print(f"  without                      {b.wall * 1000:7.1f} / {b.cpu * 1000:7.1f}")
    print(
        f"  added                        {(a.wall / b.wall - 1) * 100:6.1f}% / {(a.cpu / b.cpu - 1) * 100:6.1f}%   (goal: below 20%)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(Path(folder) / "ws")
        around_cargo(root, arguments.pairs)
        nox_list(root, arguments.pairs)
