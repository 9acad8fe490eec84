"""The lab with a real Cargo on a small workspace: every action, edits that are real and taken back, what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from buildopt.bench.arms import Arm
from buildopt.bench.lab import Lab
from buildopt.bench.scenarios import Action, Scenario, Task, parse_scenario
from buildopt.cargo import load_workspace
from buildopt.errors import ArmFailed, MachineRefused, ToolMissing
from buildopt.host import Command, Finished, Host
from buildopt.host.trees import walk
from buildopt.profile.bench_tables import Bench
from buildopt.profile.model import Profile

pytestmark = pytest.mark.slow

DEFAULT = Arm("default")
Write = Callable[[Path, Mapping[str, str]], Path]
TEST = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn works() {\n        assert_eq!(1, super::one());\n    }\n}\n"
FILES = {
    "Cargo.toml": '[workspace]\nmembers = ["app", "api", "base"]\nresolver = "2"\n[profile.dev]\ndebug = 0\n',
    ".gitignore": "/target\n/.buildopt\n",
    "base/Cargo.toml": '[package]\nname = "base"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nbeside = { path = "../../beside" }\n',
    "base/src/lib.rs": f"//! Base.\npub mod more;\n{TEST.replace('super::one', 'super::more::one')}",
    "base/src/more.rs": "pub const fn zero() -> u32 {\n    0\n}\n\npub fn one() -> u32 {\n    zero() + beside::one()\n}\n",
    "api/Cargo.toml": '[package]\nname = "api"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nbase = { path = "../base" }\n',
    "api/src/lib.rs": "pub fn two() -> u32 {\n    base::more::one() + 1\n}\n",
    "app/Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\napi = { path = "../api" }\n',
    "app/src/main.rs": 'fn main() {\n    println!("{}", api::two());\n}\n',
}
BESIDE = {"Cargo.toml": '[package]\nname = "beside"\nversion = "0.1.0"\n', "src/lib.rs": "pub fn one() -> u32 { 1 }\n"}


class Watched(Host):
    """The real host; `seen` is told before each command in a copy."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.commands: list[Command] = []
        self.free: int | None = 1 << 40
        self.seen: Callable[[Command], None] = lambda _command: None

    def run(self, command: Command, **more: object) -> Finished:  # type: ignore[override]
        self.commands.append(command)
        self.seen(command)
        return super().run(command, **more)  # type: ignore[arg-type]

    def free_bytes(self, path: Path) -> int | None:
        return self.free


@pytest.fixture
def here(tmp_path: Path, need: Callable[[str], Path]) -> Watched:
    need("cargo")
    return Watched({**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "CARGO_NET_OFFLINE": "true"})


@pytest.fixture
def root(tmp_path: Path, tree: Write) -> Path:
    tree(tmp_path / "beside", BESIDE)
    return tree(tmp_path / "ws", FILES)


def everything(root: Path) -> dict[str, bytes]:
    found = {}
    for folder, names in walk(str(root), lambda _folder, below: {k: v for k, v in below.items() if k != ".git"}):
        found.update(
            {f"{folder}/{x}": Path(folder, x).read_bytes() for x, status in names.items() if status.kind == "file"}
        )
    return found


@pytest.fixture
def lab(here: Watched, root: Path) -> Iterator[Lab]:
    """A lab on the workspace; in the end nothing of it is left, and the user's files are as they were."""
    workspace = load_workspace(here, root, root / ".buildopt")
    before = everything(root.parent / "beside") | everything(root)
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)) as opened:
        yield opened
    assert everything(root.parent / "beside") | {
        k: v for k, v in everything(root).items() if "/.buildopt/" not in k
    } == {name: content for name, content in before.items() if "/.buildopt/" not in name}
    assert not [
        name
        for name in (root.parent / "cache/buildopt/bench").rglob("*")
        if name.name not in ("lock", "Cargo.lock") and name.is_file()
    ]


def scenario(action: Action, task: Task = "build") -> Scenario:
    return Scenario(action, task)


def test_what_each_action_rebuilds(lab: Lab) -> None:
    rebuilt = {}
    for name in (
        "clean/build",
        "no-change/build",
        "leaf/build",
        "hub/build",
        "binary/check",
        "release/check",
        "second-tree/check",
    ):
        lab.prepare(DEFAULT, parse_scenario(name))
        rebuilt[name] = [lab.sample(DEFAULT, parse_scenario(name)).rebuilt for _ in range(2)]
    assert rebuilt == {
        "clean/build": [4, 4], "no-change/build": [0, 0], "leaf/build": [2, 2], "hub/build": [3, 3], "binary/check": [1, 1],
        "release/check": [4, 4], "second-tree/check": [4, 4],
    }  # fmt: skip
    found = lab.sample(DEFAULT, scenario("leaf"))  # after something else, without being prepared
    assert found.rebuilt == 2
    assert found.wall_seconds > 0
    assert found.cpu_seconds > 0
    assert found.peak_bytes > 1 << 20
    assert found.cpu_complete
    sizes = lab.sizes(DEFAULT)
    assert list(sizes.artifacts) == ["debug/app"]
    assert sizes.target_bytes > (sizes.artifact_bytes or 0) > 0
    lab.forget(DEFAULT)
    assert lab.sizes(DEFAULT).target_bytes == 0


def test_edits_are_unique_and_arms_do_not_disturb_each_other(lab: Lab, here: Watched) -> None:
    texts: list[bytes] = []

    def look(command: Command) -> None:
        if command.argv[1:2] == ("check",):
            texts.append((command.cwd / "base/src/more.rs").read_bytes())

    other = Arm("debug=1", ("profile.dev.debug=1",))
    here.seen = look
    for arm in (DEFAULT, other):
        lab.prepare(arm, scenario("hub", "check"))
    start = len(texts)
    assert [lab.sample(arm, scenario("hub", "check")).rebuilt for arm in (DEFAULT, other, other, DEFAULT)] == [3] * 4
    assert len(set(texts[start:])) == 4
    assert all(b"black_box" in text for text in texts[start:])
    assert [lab.sample(arm, scenario("no-change", "check")).rebuilt for arm in (DEFAULT, other)] == [0, 0]
    assert texts[-1] == FILES["base/src/more.rs"].encode()


def test_tests_are_run_and_timed(lab: Lab) -> None:
    lab.prepare(DEFAULT, scenario("hub", "cycle"))
    found = lab.sample(DEFAULT, scenario("hub", "cycle"))
    assert found.result == "success"
    assert found.test_seconds is not None
    assert 0 < found.test_seconds < found.wall_seconds


def test_an_arm_that_does_not_build_says_why_and_others_go_on(lab: Lab) -> None:
    with pytest.raises(ArmFailed, match=r"broken: leaf/check: cargo check fails: error: .*nightly"):
        lab.prepare(Arm("broken", ("build.rustflags=['-Zunstable-options']",)), scenario("leaf", "check"))
    assert lab.prepare(DEFAULT, scenario("leaf", "check")) > 0


def test_a_disk_without_room_is_refused_before_anything_is_built(lab: Lab, here: Watched) -> None:
    lab.prepare(DEFAULT, scenario("leaf", "check"))
    here.free = 1 << 20
    with pytest.raises(MachineRefused, match=r"may need 1\.0 GiB"):
        lab.prepare(DEFAULT, scenario("hub", "check"))


def test_a_cargo_that_vanishes_is_said_and_nothing_is_left(lab: Lab, here: Watched) -> None:
    def vanish(command: Command) -> None:
        if command.argv[1:2] == ("check",):
            raise ToolMissing("program cargo is not found")

    here.seen = vanish
    with pytest.raises(ToolMissing):
        lab.prepare(DEFAULT, scenario("leaf", "check"))


def test_an_interrupt_in_the_middle_of_an_edit_takes_it_back(lab: Lab, here: Watched) -> None:
    lab.prepare(DEFAULT, scenario("leaf", "check"))
    edited: list[Path] = []

    def interrupt(command: Command) -> None:
        edited.append(command.cwd / "api/src/lib.rs")
        assert b"black_box" in edited[-1].read_bytes()
        raise KeyboardInterrupt

    here.seen = interrupt
    with pytest.raises(KeyboardInterrupt):
        lab.sample(DEFAULT, scenario("leaf", "check"))
    assert edited[0].read_text() == FILES["api/src/lib.rs"]


def test_a_failing_test_is_a_failure_and_a_flaky_one_gets_a_second_chance(
    here: Watched, root: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "fails"
    (root / "api/src/lib.rs").write_text(
        f'{FILES["api/src/lib.rs"]}#[cfg(test)]\n#[test]\nfn flaky() {{\n    assert!(std::fs::remove_file("{flag}").is_err());\n}}\n'
    )
    workspace = load_workspace(here, root, root / ".buildopt")
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)) as lab:
        flag.touch()
        lab.prepare(DEFAULT, scenario("no-change", "test"))
        assert not flag.exists()
        flag.touch()
        assert lab.sample(DEFAULT, scenario("no-change", "test")).result == "failure"
        assert lab.sample(DEFAULT, scenario("no-change", "test")).result == "success"


def test_a_branch_switch_goes_there_and_back(here: Watched, root: Path, need: Callable[[str], Path]) -> None:
    need("git")
    git = ("git", "-c", "user.email=a@b", "-c", "user.name=a", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one")):
        subprocess.run((*git, *arguments), cwd=root, check=True)
    workspace = load_workspace(here, root, root / ".buildopt")
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)) as lab:
        with pytest.raises(ArmFailed) as found:
            lab.prepare(DEFAULT, scenario("branch-switch", "check"))
        assert "bench.revision" in str(found.value.hint)
        (root / "api/src/lib.rs").write_text("pub fn two() -> u32 {\n    base::more::one() * 2\n}\n")
        subprocess.run((*git, "commit", "-qam", "two"), cwd=root, check=True)
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)) as lab:
        assert lab.sample(DEFAULT, scenario("branch-switch", "check")).rebuilt == 4
        older = Arm("rev:HEAD^", revision="HEAD^")
        assert lab.sample(older, scenario("leaf", "check")).rebuilt == 2
    assert subprocess.run(
        (*git, "status", "--porcelain"), cwd=root, capture_output=True, check=True
    ).stdout.strip() in (b"", b"?? Cargo.lock")


def test_a_file_that_is_not_compiled_here_is_not_edited(here: Watched, root: Path, tree: Write) -> None:
    never = "pub fn never() -> u32 {\n    0\n}\n"
    tree(
        root,
        {"base/src/lib.rs": '#[cfg(target_os = "none")]\nmod a_never;\npub mod more;\n', "base/src/a_never.rs": never},
    )
    workspace = load_workspace(here, root, root / ".buildopt")
    texts: list[bytes] = []
    here.seen = lambda command: (
        texts.append((command.cwd / "base/src/more.rs").read_bytes()) if "clippy" in command.argv else None
    )
    with Lab.open(
        here, root, root / ".buildopt", workspace, profile=Profile(version=1, bench=Bench(leaf="base"))
    ) as lab:
        assert lab.sample(Arm("plain", kind="plain"), scenario("leaf", "cycle")).rebuilt
    assert b"black_box" in texts[-1]


def test_a_signature_is_one_more_function(here: Watched, root: Path) -> None:
    workspace = load_workspace(here, root, root / ".buildopt")
    profile = Profile(version=1, bench=Bench(edit="signature", leaf="base"))
    texts: list[bytes] = []
    here.seen = lambda command: (
        texts.append((command.cwd / "base/src/lib.rs").read_bytes()) if "check" in command.argv else None
    )
    with Lab.open(here, root, root / ".buildopt", workspace, profile=profile) as lab:
        assert lab.sample(DEFAULT, scenario("leaf", "check")).rebuilt == 3
    assert b"pub fn buildopt_edit_" in texts[-1]


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_compiler_cache_of_its_own_is_filled_used_and_ended(
    here: Watched, root: Path, short: Path, need: Callable[[str], Path]
) -> None:
    need("sccache")
    workspace = load_workspace(here, root, root / ".buildopt")
    here.environ = {**here.environ, "XDG_CACHE_HOME": str(short)}
    arm = Arm("incremental=false", ("profile.dev.incremental=false",))
    servers: set[str] = set()
    counted: list[bytes] = []
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)) as lab:
        lab.prepare(arm, scenario("warm-cache"))
        found = lab.sample(arm, scenario("warm-cache"))
        build = here.commands[-1]
        servers.add(str(build.env["SCCACHE_SERVER_UDS"]))
        counted.append(here.run(Command(("sccache", "--show-stats"), root, build.env)).stdout)
    assert not found.cpu_complete
    assert found.external_share is None
    hits = next(line for line in counted[0].decode().splitlines() if line.startswith("Cache hits  "))
    assert int(hits.split()[-1]) >= 3
    assert not any(Path(server).exists() for server in servers)


KILLED = """
import sys
from pathlib import Path
from buildopt.bench.arms import Arm
from buildopt.bench.lab import Lab
from buildopt.bench.scenarios import Scenario
from buildopt.cargo import load_workspace
from buildopt.host import Host
from buildopt.profile.model import Profile
root, host = Path(sys.argv[1]), Host()
with Lab.open(host, root, root / ".buildopt", load_workspace(host, root, root / ".buildopt"), profile=Profile(version=1)) as lab:
    lab.prepare(Arm("default"), Scenario("leaf", "check"))
    print("ready", flush=True)
    while True:
        lab.sample(Arm("default"), Scenario("leaf", "check"))
"""


def test_after_a_kill_the_users_files_are_untouched_and_the_next_start_cleans_up(here: Watched, root: Path) -> None:
    workspace = load_workspace(here, root, root / ".buildopt")
    before = everything(root / "api") | everything(root / "base")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(root)], env=dict(here.environ), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(MachineRefused, match=f"process {process.pid} measures"):
        Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1)).__enter__()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert everything(root / "api") | everything(root / "base") == before
    notes: list[str] = []
    with Lab.open(here, root, root / ".buildopt", workspace, profile=Profile(version=1), note=notes.append) as lab:
        assert len(notes) == 1
        assert len(list((root.parent / "cache/buildopt/bench").glob("*/use-*"))) == 1
        assert lab.sample(DEFAULT, scenario("leaf", "check")).rebuilt == 2
