from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import MachineRefused, UnsafePath
from buildopt.host import Files
from buildopt.host.files import digest, inside


@pytest.fixture
def files() -> Files:
    return Files()


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_what_is_written_is_read_back_with_its_mode(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert files.read(path) is None
    assert files.mode(path) is None
    old = os.umask(0o077)
    try:
        files.write_new(path, b"one\r\n", 0o754)
    finally:
        os.umask(old)
    assert (files.read(path), files.mode(path)) == (b"one\r\n", 0o754)
    files.write(path, b"two", 0o600)
    assert (files.read(path), files.mode(path)) == (b"two", 0o600)
    assert names(tmp_path) == ["f"]


def test_a_new_file_never_replaces_one_and_never_follows_a_link(files: Files, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"there")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("f", "link"):
        with pytest.raises(MachineRefused, match="cannot write"):
            files.write_new(tmp_path / name, b"new")
    assert (tmp_path / "f").read_bytes() == b"there"
    assert not (tmp_path / "target").exists()


def test_replacing_a_link_replaces_the_link(files: Files, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"there")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    files.write(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"there"
    assert not (tmp_path / "link").is_symlink()


def test_what_stands_in_the_way_is_reported_and_nothing_is_left(files: Files, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/child").touch()
    for attempt in (
        lambda: files.read(tmp_path / "d"),
        lambda: files.write(tmp_path / "d", b"x"),
        lambda: files.write(tmp_path / "d/child/below", b"x"),
        lambda: files.write_new(tmp_path / "nowhere/f", b"x"),
        lambda: files.remove(tmp_path / "d"),
        lambda: files.make_directory(tmp_path / "d/child"),
        lambda: files.replace(tmp_path / "nothing", tmp_path / "f"),
        lambda: files.duplicate(tmp_path / "nothing", tmp_path / "f"),
    ):
        with pytest.raises(MachineRefused, match=r"^cannot (read|write|remove|create) /"):
            attempt()
    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["child"]


def test_a_failed_rename_leaves_both_files(files: Files, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"s")
    (tmp_path / "target/full").mkdir(parents=True)
    with pytest.raises(MachineRefused):
        files.replace(tmp_path / "source", tmp_path / "target")
    assert names(tmp_path) == ["source", "target"]


def test_removing_and_listing_take_nothing_for_granted(files: Files, tmp_path: Path) -> None:
    files.remove(tmp_path / "nothing")
    files.remove_empty_directory(tmp_path / "nothing")
    assert files.names(tmp_path / "nothing") == []
    files.make_directory(tmp_path / "a/b")
    files.make_directory(tmp_path / "a/b")
    files.remove_empty_directory(tmp_path / "a")
    assert files.names(tmp_path) == ["a"]
    files.remove_empty_directory(tmp_path / "a/b")
    assert files.names(tmp_path / "a") == []


def test_a_second_name_shares_the_file(files: Files, tmp_path: Path) -> None:
    files.write_new(tmp_path / "f", b"x", 0o640)
    files.duplicate(tmp_path / "f", tmp_path / "g")
    assert (tmp_path / "g").stat().st_ino == (tmp_path / "f").stat().st_ino
    with pytest.raises(MachineRefused):
        files.duplicate(tmp_path / "f", tmp_path / "g")


def test_a_file_system_without_second_names_gets_a_copy(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    files.write_new(tmp_path / "f", b"x", 0o640)
    files.duplicate(tmp_path / "f", tmp_path / "g")
    assert (files.read(tmp_path / "g"), files.mode(tmp_path / "g")) == (b"x", 0o640)
    assert (tmp_path / "g").stat().st_ino != (tmp_path / "f").stat().st_ino


def test_a_full_disk_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from buildopt.errors import MachineRefused
from buildopt.host import Files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Files().write(Path(sys.argv[1]) / "f", b"x" * 5000)
except MachineRefused as error:
    sys.exit(error.message)
"""
    (tmp_path / "f").write_bytes(b"old")
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot write" in result.stderr
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_lock_is_held_by_one_at_a_time(files: Files, tmp_path: Path) -> None:
    order: list[str] = []
    inside_lock = threading.Event()

    def second() -> None:
        inside_lock.wait()
        with files.lock(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with files.lock(tmp_path / "lock"):
        inside_lock.set()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_that_is_taken_need_not_be_waited_for(files: Files, tmp_path: Path) -> None:
    with files.lock(tmp_path / "lock") as first, files.lock(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, False)
    with files.lock(tmp_path / "lock", wait=False) as third:
        assert third is True


def test_a_lock_that_cannot_be_made_is_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(MachineRefused, match="cannot lock"), files.lock(tmp_path / "nowhere/lock"):
        pass


def test_the_digest_is_stable() -> None:
    assert digest(b"") == "cae66941d9efbd404e4d88758ea67670"
    assert digest(b"a") != digest(b"b")


@pytest.mark.parametrize("path", ["/a", "..", "a/..", "a/../../b", "", ".", "a\nb", "a\rb", "a\0b"])
def test_paths_out_of_the_root_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsafePath):
        inside(tmp_path, path)


def test_symlinks_are_refused_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/loop").symlink_to("loop")
    for path in ("link", "link/f", "real/loop", "real/loop/f"):
        with pytest.raises(UnsafePath, match="symlink"):
            inside(tmp_path, path)
    assert inside(tmp_path, "real/f") == tmp_path / "real/f"


def test_the_root_itself_may_be_reached_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to("real")
    assert inside(tmp_path / "root", "a/b") == tmp_path / "root/a/b"


@given(st.text(max_size=20))
def test_whatever_is_accepted_lies_below_the_root(path: str) -> None:
    root = Path("/nowhere/tree")
    try:
        target = inside(root, path)
    except UnsafePath:
        return
    assert os.path.normpath(target).startswith("/nowhere/tree/")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MachineRefused, match="too long"):
        inside(tmp_path, "x" * 300)
    with pytest.raises(MachineRefused, match="too long"):
        Files().mode(tmp_path / ("x" * 300))
    with pytest.raises(UnsafePath):
        inside(tmp_path, "\ud800")
    assert names(tmp_path) == []


def test_modes_are_permission_bits_only(files: Files, tmp_path: Path) -> None:
    assert files.mode(tmp_path) == stat.S_IMODE(tmp_path.stat().st_mode)
