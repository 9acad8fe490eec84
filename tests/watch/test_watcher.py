from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.watch import watcher as watcher_module
from buildopt.watch.notices import Notices
from buildopt.watch.places import Places
from buildopt.watch.tree import Edit
from buildopt.watch.watcher import Watcher

NEVER = (Path(".git"), Path("node_modules"), Path(".buildopt"))
DEADLINE = 20.0


class Heard:
    """What a watcher has told, for tests that wait for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Edit, ...]] = []
        self.notes: list[str] = []
        self.changed = threading.Condition()

    def on_edits(self, edits: tuple[Edit, ...]) -> None:
        with self.changed:
            self.batches.append(edits)
            self.changed.notify_all()

    def on_note(self, text: str) -> None:
        with self.changed:
            self.notes.append(text)
            self.changed.notify_all()

    @property
    def edits(self) -> list[Edit]:
        return [edit for batch in list(self.batches) for edit in batch]

    @property
    def paths(self) -> set[str]:
        return {edit.path for edit in self.edits}

    def last(self, path: str) -> str | None:
        """Return the content of `path` as the edits say, or `never` when they say nothing."""
        return next((edit.after for edit in reversed(self.edits) if edit.path == path), "never")

    def wait(self, condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), (self.edits[-5:], self.notes)


Start = Callable[..., tuple[Watcher, Heard]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ws"
    write(root, {"Cargo.toml": "[workspace]\n", "src/lib.rs": "one", "src/shapes/mod.rs": "two", "target/x": "built"})
    return root


def write(root: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def usual(root: Path, *files: str) -> Places:
    named = ("Cargo.toml", "Cargo.lock", ".cargo/config.toml", *files)
    return Places((root / "src", root / "tests"), tuple(root / name for name in named), (root / "target", *NEVER))


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    """Return a function that starts a watcher, which has read everything when it returns."""
    started: list[Watcher] = []

    def begin(
        places: Places | None = None, poll_seconds: float | None = None, host: Host | None = None
    ) -> tuple[Watcher, Heard]:
        heard = Heard()
        watcher = Watcher(
            host or Host(),
            root,
            places or usual(root),
            poll_seconds=poll_seconds,
            on_edits=heard.on_edits,
            on_note=heard.on_note,
        )
        watcher.start()
        started.append(watcher)
        settle(watcher)
        return watcher, heard

    yield begin
    for watcher in started:
        watcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "watcher"]


def settle(watcher: Watcher) -> None:
    """Return when a comparison of everything was made after now, and everything has been read."""
    until = time.monotonic() + DEADLINE
    while watcher._tree.unread and time.monotonic() < until:
        time.sleep(0.005)
    assert not watcher._tree.unread
    watcher._order(watcher._rescan, wait=True)


def of(text: str) -> str:
    return digest(text.encode())


def test_an_edit_is_told_soon(start: Start, root: Path) -> None:
    watcher, heard = start()
    assert (watcher.files, watcher.directories, watcher.polling) == (3, 3, False)
    seconds = []
    for number in range(20):
        began = time.perf_counter()
        write(root, {"src/lib.rs": str(number)})
        heard.wait(lambda number=number: heard.last("src/lib.rs") == of(str(number)))
        seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[10] < 0.1, "a loose bound for a busy machine; alone it is 0.02 s"
    assert heard.notes == []


def test_fifty_atomic_saves_are_fifty_edits(start: Start, root: Path) -> None:
    _, heard = start()
    path = root / "src/lib.rs"
    for number in range(50):
        path.with_name(".lib.rs.tmp").write_text(str(number))
        os.replace(path.with_name(".lib.rs.tmp"), path)
        heard.wait(lambda number=number: heard.last("src/lib.rs") == of(str(number)))
    assert len(heard.edits) == 50
    assert heard.paths == {"src/lib.rs"}


def test_fifty_identical_saves_and_touches_are_no_edit(start: Start, root: Path) -> None:
    watcher, heard = start()
    path = root / "src/lib.rs"
    for number in range(50):
        if number % 3 == 0:
            path.write_text("one")
        elif number % 3 == 1:
            os.utime(path)
        else:
            path.with_name("saved").write_text("one")
            os.replace(path.with_name("saved"), path)
        time.sleep(0.003 * (number % 5))
    settle(watcher)
    assert [edit for edit in heard.edits if edit.path == "src/lib.rs"] == []


def test_an_editor_that_moves_the_file_away_first_makes_one_edit(start: Start, root: Path) -> None:
    """As vim does with `backupcopy=no`: for a moment there is no file."""
    watcher, heard = start()
    path = root / "src/lib.rs"
    for number in range(10):
        path.rename(path.with_name("lib.rs~"))
        time.sleep(0.001 * number)
        path.write_text("one" if number < 5 else "two")
        path.with_name("lib.rs~").unlink()
        settle(watcher)
    assert heard.edits == [Edit("src/lib.rs", of("one"), of("two"))]


def test_no_file_in_a_directory_made_a_moment_before_is_missed(start: Start, root: Path) -> None:
    _, heard = start()
    expected = set()
    for number in range(200):
        name = f"src/n{number % 40}/a{number}/b/f.rs"
        write(root, {name: str(number)})
        expected.add(name)
    heard.wait(lambda: heard.paths >= expected)
    assert heard.paths == expected
    for name in sorted(expected)[::40]:
        write(root, {name: "edited"})
        heard.wait(lambda name=name: heard.last(name) == of("edited"))


def test_files_written_into_new_directories_over_time_are_all_seen(start: Start, root: Path) -> None:
    _, heard = start()
    for number in range(15):
        name = f"src/late{number}/deep/f.rs"
        (root / name).parent.mkdir(parents=True)
        time.sleep(0.004 * number)
        write(root, {name: str(number)})
    heard.wait(lambda: len(heard.paths) == 15)


def test_what_is_renamed_or_removed_is_told(start: Start, root: Path) -> None:
    _, heard = start()
    (root / "src/shapes").rename(root / "src/forms")
    (root / "src/lib.rs").unlink()
    heard.wait(lambda: len(heard.edits) == 3)
    assert set(heard.edits) == {
        Edit("src/shapes/mod.rs", of("two"), None),
        Edit("src/forms/mod.rs", None, of("two")),
        Edit("src/lib.rs", of("one"), None),
    }
    write(root, {"src/forms/mod.rs": "three"})
    heard.wait(lambda: heard.last("src/forms/mod.rs") == of("three"))


@pytest.mark.parametrize("name", ["src/shapes", "src", "."])
def test_a_directory_that_is_removed_and_made_again_is_watched_again(start: Start, root: Path, name: str) -> None:
    _, heard = start()
    for number in range(5):
        shutil.rmtree(root / name)
        write(root, {"src/shapes/mod.rs": f"new {number}", "Cargo.toml": f"{number}"})
        heard.wait(lambda number=number: heard.last("src/shapes/mod.rs") == of(f"new {number}"))
        time.sleep(0.02 * number)
        write(root, {"src/shapes/mod.rs": f"edited {number}"})
        heard.wait(lambda number=number: heard.last("src/shapes/mod.rs") == of(f"edited {number}"))


def test_a_workspace_that_is_gone_for_a_while_is_watched_when_it_is_back(start: Start, root: Path) -> None:
    watcher, heard = start()
    shutil.rmtree(root)
    heard.wait(lambda: len(heard.edits) == 3)
    for _ in range(3):
        settle(watcher)
    for text in ("back", "edited"):
        write(root, {"src/lib.rs": text})
        heard.wait(lambda text=text: heard.last("src/lib.rs") == of(text))


def test_a_directory_that_comes_later_is_watched(start: Start, root: Path) -> None:
    watcher, heard = start()
    write(root, {"tests/a.rs": "a", ".cargo/config.toml": "c"})
    heard.wait(lambda: heard.paths == {"tests/a.rs", ".cargo/config.toml"})
    write(root, {"tests/a.rs": "b", ".cargo/config.toml": "d"})
    heard.wait(lambda: heard.last("tests/a.rs") == of("b") and heard.last(".cargo/config.toml") == of("d"))
    settle(watcher)
    assert watcher.directories == 5


def test_what_is_made_in_the_target_directory_is_not_even_heard(start: Start, root: Path) -> None:
    watcher, heard = start()
    for number in range(300):
        write(root, {f"target/debug/d{number % 7}/f{number}": "x"})
    write(root, {"notes.txt": "x", "src/.lib.rs.swp": "x", "src/4913": "", "src/lib.rs~": "x"})
    write(root, {"src/lib.rs": "changed"})
    heard.wait(lambda: heard.last("src/lib.rs") == of("changed"))
    settle(watcher)
    assert heard.paths == {"src/lib.rs"}
    assert watcher.directories == 3


def test_a_path_dependency_outside_of_the_root_is_watched(start: Start, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, {"src/lib.rs": "dep", "Cargo.toml": "x"})
    places = usual(root)
    _, heard = start(places._replace(trees=(*places.trees, other / "src"), files=(*places.files, other / "Cargo.toml")))
    write(other, {"src/lib.rs": "changed", "Cargo.toml": "changed"})
    heard.wait(lambda: heard.paths == {"../other/src/lib.rs", "../other/Cargo.toml"})


def test_a_thousand_edits_in_a_second_are_all_told_in_the_end(start: Start, root: Path) -> None:
    write(root, {f"src/f{number}.rs": "old" for number in range(100)})
    watcher, heard = start()
    for number in range(1000):
        write(root, {f"src/f{number % 100}.rs": f"edit {number}"})
        time.sleep(0.0005)
    heard.wait(lambda: all(heard.last(f"src/f{number}.rs") == of(f"edit {900 + number}") for number in range(100)))
    assert len(heard.batches) < 200
    assert watcher.polling is False


def test_a_branch_switch_that_changes_every_file_is_told(need, start: Start, root: Path, tmp_path: Path) -> None:
    program = need("git")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
    }

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "gc.auto=0")
        subprocess.run([program, *who, *arguments], cwd=root, check=True, capture_output=True, env=environment)

    def state(branch: str) -> dict[str, str]:
        return {f"src/m{number % 30}/{branch if number % 10 == 0 else 'f'}{number}.rs": branch for number in range(600)}

    git("init", "-q", "-b", "one")
    for branch in ("one", "two"):
        git("checkout", "-q", *(("-b", branch) if branch == "two" else ("--orphan", "one")))
        shutil.rmtree(root / "src")
        write(root, state(branch))
        git("add", "src")
        git("commit", "-qm", branch)
    _, heard = start()
    for branch, other in (("one", "two"), ("two", "one")):
        git("checkout", "-q", branch)
        gone = state(other).keys() - state(branch).keys()
        heard.wait(
            lambda branch=branch, gone=gone: (
                all(heard.last(path) == of(branch) for path in state(branch))
                and all(heard.last(path) is None for path in gone)
            )
        )


def test_directories_that_come_and_go_all_the_time_are_no_reason_to_give_up(
    start: Start, root: Path, monkeypatch
) -> None:
    """Each time that somebody listens, a directory of the list is gone and another one is there."""
    rounds = iter(range(40))

    def churn(directories: list[str]) -> None:
        number = next(rounds, None)
        if number is not None:
            write(root, {f"src/n{number}/f.rs": "x"})
            if number > 0 and str(root / f"src/n{number - 1}") in directories:
                shutil.rmtree(root / f"src/n{number - 1}")

    watcher, heard = start()
    standing_in(monkeypatch, churn)
    write(root, {"src/first/f.rs": "x"})
    heard.wait(lambda: "src/n39/f.rs" in heard.paths)
    write(root, {"src/n39/f.rs": "edited", "src/lib.rs": "edited"})
    heard.wait(lambda: heard.last("src/n39/f.rs") == of("edited") and heard.last("src/lib.rs") == of("edited"))
    settle(watcher)
    assert not watcher.polling
    assert heard.notes == []
    after = {edit.path for edit in heard.edits if heard.last(edit.path) is not None}
    assert after == {path.relative_to(root).as_posix() for path in (root / "src").rglob("*.rs")} - {"src/shapes/mod.rs"}


def test_names_that_are_not_text_do_no_harm(start: Start, root: Path) -> None:
    watcher, heard = start()
    for number in range(5):
        with open(os.fsencode(root / "src") + b"/\xff%d.rs" % number, "w") as file:
            file.write("x")
        os.mkdir(os.fsencode(root / "src") + b"/\xfe%d" % number)
        write(root, {"src/lib.rs": str(number)})
        heard.wait(lambda number=number: heard.last("src/lib.rs") == of(str(number)))
    assert heard.paths == {"src/lib.rs"}
    assert watcher.polling is False


def test_polling_finds_the_same(start: Start, root: Path) -> None:
    watcher, heard = start(poll_seconds=0.05)
    assert watcher.polling
    assert watcher._notices is None
    write(root, {"src/new/a.rs": "a", "src/lib.rs": "two"})
    heard.wait(lambda: heard.paths == {"src/new/a.rs", "src/lib.rs"})
    write(root, {"src/lib.rs": "six"})
    write(root, {"src/lib.rs": "ten"})
    heard.wait(lambda: heard.last("src/lib.rs") == of("ten"))
    shutil.rmtree(root / "src/new")
    heard.wait(lambda: heard.last("src/new/a.rs") is None)
    os.utime(root / "src/lib.rs")
    settle(watcher)
    assert heard.edits[-1].path == "src/new/a.rs"


# A system that refuses. The stand-ins are for what cannot be brought about without changing the machine.


def standing_in(monkeypatch: pytest.MonkeyPatch, refuse: Callable[[list[str]], None]) -> None:
    class Refusing(Notices):
        def __init__(self, directories: list[str]) -> None:
            refuse(directories)
            super().__init__(directories)

    monkeypatch.setattr(watcher_module, "Notices", Refusing)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            OSError('OS file watch limit reached. about ["/x"] (Error { kind: MaxFilesWatch })'),
            "fs.inotify.max_user_watches=",
        ),
        (OSError(28, "No space left on device"), "fs.inotify.max_user_watches="),
        (
            RuntimeError("Error creating recommended watcher: Too many open files (os error 24)"),
            "fs.inotify.max_user_instances=",
        ),
        (PermissionError("Permission denied (os error 13)"), "Permission denied"),
    ],
)
def test_where_the_system_cannot_notify_that_is_said_and_files_are_compared(
    start: Start, root: Path, monkeypatch, error: Exception, advice: str
) -> None:
    import watchfiles

    def refuse(*_: object, **__: object) -> Iterator[set[object]]:
        raise error
        yield set()

    monkeypatch.setattr(watchfiles, "watch", refuse)
    monkeypatch.setattr(watcher_module, "_FALL_BACK_SECONDS", 0.05)
    watcher, heard = start()
    assert watcher.polling
    (note,) = heard.notes
    assert advice in note
    assert "\n" not in note
    assert "compared" in note
    write(root, {"src/lib.rs": "changed", "src/new/x.rs": "x"})
    heard.wait(lambda: heard.paths == {"src/lib.rs", "src/new/x.rs"})


def test_a_limit_that_is_reached_later_is_said_too_and_nothing_is_missed(start: Start, root: Path, monkeypatch) -> None:
    def refuse(directories: list[str]) -> None:
        if len(directories) > 10:
            raise MachineRefused("the limit is reached", hint="raise it")

    standing_in(monkeypatch, refuse)
    monkeypatch.setattr(watcher_module, "_FALL_BACK_SECONDS", 0.05)
    watcher, heard = start()
    assert not watcher.polling
    expected = {f"src/d{number}/f.rs" for number in range(20)}
    write(root, dict.fromkeys(expected, "x"))
    heard.wait(lambda: heard.paths == expected)
    heard.wait(lambda: len(heard.notes) == 1)
    assert watcher.polling


def test_two_at_once_may_be_too_many_and_one_is_enough(start: Start, root: Path, monkeypatch) -> None:
    """The new one is made before the old one is closed, unless the system has room for one only."""
    alive: set[Notices] = set()

    class OnlyOne(Notices):
        def __init__(self, directories: list[str]) -> None:
            if alive:
                raise MachineRefused("the limit is reached")
            super().__init__(directories)
            alive.add(self)

        def close(self) -> None:
            alive.discard(self)
            super().close()

    monkeypatch.setattr(watcher_module, "Notices", OnlyOne)
    watcher, heard = start()
    for number in range(3):
        write(root, {f"src/d{number}/f.rs": "x"})
        heard.wait(lambda number=number: f"src/d{number}/f.rs" in heard.paths)
    settle(watcher)
    assert not watcher.polling
    assert heard.notes == []


def test_a_real_limit_of_watches_is_recognised(tmp_path: Path, need, unable) -> None:
    """In a user namespace of its own, where the limit may be lowered without touching anybody else's."""
    need("unshare")
    for number in range(40):
        (tmp_path / str(number)).mkdir()
    script = (
        "from buildopt.errors import MachineRefused\nfrom buildopt.watch.notices import Notices\n"
        f"try:\n    Notices([f'{tmp_path}/{{n}}' for n in range(40)])\nexcept MachineRefused as refused:\n    print(refused.hint)\n"
    )
    limit = 'echo 20 > /proc/sys/user/max_inotify_watches && exec "$0" -c "$1"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        unable(f"no user namespace to be had here: {done.stderr.strip()[-200:]}")
    assert "fs.inotify.max_user_watches" in done.stdout


def test_whatever_goes_wrong_is_said_and_the_watch_goes_on(start: Start, root: Path, monkeypatch) -> None:
    monkeypatch.setattr(watcher_module, "_FALL_BACK_SECONDS", 0.05)
    watcher, heard = start()
    real = watcher._tree.look
    monkeypatch.setattr(watcher._tree, "look", lambda _: 1 / 0)
    write(root, {"src/lib.rs": "changed"})
    heard.wait(lambda: heard.last("src/lib.rs") == of("changed"))
    monkeypatch.setattr(watcher._tree, "look", real)
    assert watcher.polling
    assert "ZeroDivisionError" in heard.notes[0]
    write(root, {"src/lib.rs": "again"})
    heard.wait(lambda: heard.last("src/lib.rs") == of("again"))


def test_a_clock_that_jumps_makes_a_comparison(root: Path, start: Start, monkeypatch) -> None:
    class Clock(Host):
        ahead = 0.0

        def now(self) -> float:
            return super().now() + self.ahead

    host = Clock()
    monkeypatch.setattr(watcher_module.Watcher, "_look", lambda *_: None)  # nobody hears anything
    _, heard = start(host=host)
    write(root, {"src/lib.rs": "changed while asleep"})
    host.ahead = 3600.0
    heard.wait(lambda: heard.last("src/lib.rs") == of("changed while asleep"))


def test_what_was_not_heard_is_found_when_asked(root: Path, start: Start, monkeypatch) -> None:
    monkeypatch.setattr(watcher_module.Watcher, "_look", lambda *_: None)
    watcher, heard = start()
    write(root, {"src/lib.rs": "changed"})
    watcher.rescan()
    heard.wait(lambda: heard.last("src/lib.rs") == of("changed"))


def test_other_places_are_watched_from_now_on(start: Start, root: Path) -> None:
    write(root, {"extra/a.rs": "a"})
    watcher, heard = start()
    places = usual(root)
    watcher.move_to(places._replace(trees=(*places.trees, root / "extra")))
    assert watcher.directories == 4
    write(root, {"extra/a.rs": "b"})
    heard.wait(lambda: heard.last("extra/a.rs") == of("b"))
    watcher.move_to(places)
    write(root, {"extra/a.rs": "c", "src/lib.rs": "c"})
    heard.wait(lambda: heard.last("src/lib.rs") == of("c"))
    settle(watcher)
    assert heard.last("extra/a.rs") == of("b")


def test_moving_from_a_callback_does_not_wait_for_itself(root: Path) -> None:
    moved = threading.Event()

    def on_edits(edits: tuple[Edit, ...]) -> None:
        if not moved.is_set():
            watcher.move_to(usual(root, "other.txt"))
            moved.set()

    watcher = Watcher(Host(), root, usual(root), poll_seconds=None, on_edits=on_edits, on_note=lambda _: None)
    watcher.start()
    try:
        write(root, {"src/lib.rs": "changed"})
        assert moved.wait(DEADLINE)
    finally:
        watcher.stop()


def test_after_the_stop_nothing_is_told(start: Start, root: Path) -> None:
    watcher, heard = start()
    watcher.stop()
    write(root, {"src/lib.rs": "changed"})
    time.sleep(0.1)
    assert heard.edits == []
    watcher.stop()
    watcher.move_to(usual(root))


def test_what_was_noticed_and_not_told_is_not_lost_with_the_listener(tmp_path: Path) -> None:
    notices = Notices([str(tmp_path)])
    expected = set()
    for number in range(5):
        write(tmp_path, {f"f{number}": "x"})
        expected.add(str(tmp_path / f"f{number}"))
        if number == 1:
            notices._first |= notices.wait()
    heard, until = set[str](), time.monotonic() + DEADLINE
    while not heard >= expected and time.monotonic() < until:
        heard |= notices.rest()
    notices.close()
    assert heard == expected


def test_the_public_watch_takes_what_is_asked_of_it() -> None:
    from watchfiles import watch

    taken = inspect.signature(watch).parameters
    assert taken.keys() >= {
        "watch_filter", "step", "debounce", "rust_timeout", "yield_on_timeout", "recursive", "force_polling",
        "ignore_permission_denied", "debug",
    }  # fmt: skip


NAMES = st.sampled_from(["a.rs", "b.rs", "d", "d/a.rs", "d/b.rs", "d/e", "d/e/a.rs", "x"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["write", "save", "remove", "rename", "mkdir", "wait"]), NAMES, NAMES, st.sampled_from("123")),
    min_size=3,
    max_size=25,
)  # fmt: skip


def do(base: Path, operation: str, name: str, other: str, text: str) -> None:
    path = base / name
    try:
        if operation == "write":
            path.write_text(text)
        elif operation == "save":
            path.with_name(".tmpAb12Cd").write_text(text)
            os.replace(path.with_name(".tmpAb12Cd"), path)
        elif operation == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif operation == "rename":
            path.rename(base / other)
        elif operation == "mkdir":
            path.mkdir(parents=True)
        else:
            time.sleep(0.01 * int(text))
    except OSError:
        pass


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_the_sum_of_the_edits_is_the_difference_of_the_contents(tmp_path_factory, operations) -> None:
    root = tmp_path_factory.mktemp("model")
    write(root, {"src/a.rs": "start", "src/d/a.rs": "start"})

    def contents() -> dict[str, str]:
        found = (path for path in (root / "src").rglob("*") if path.is_file() and path.name != ".tmpAb12Cd")
        return {path.relative_to(root).as_posix(): of(path.read_text()) for path in found}

    def told() -> dict[str, str]:
        after = {edit.path: edit.after for edit in heard.edits}
        return {path: content for path, content in {**before, **after}.items() if content is not None}

    before, heard = contents(), Heard()
    places = Places((root / "src",), (), NEVER)
    watcher = Watcher(Host(), root, places, poll_seconds=None, on_edits=heard.on_edits, on_note=heard.on_note)
    watcher.start()
    try:
        settle(watcher)
        for operation in operations:
            do(root / "src", *operation)
        expected = contents()
        heard.wait(lambda: told() == expected)
    finally:
        watcher.stop()
    assert heard.notes == []
