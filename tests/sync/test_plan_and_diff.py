from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from meddling import Wanted, plant

from buildopt.errors import MachineRefused, UnsafePath
from buildopt.host import Host
from buildopt.sync import Edit, Plan, diff_of, diff_text, make_plan, read_texts


def test_reading_returns_only_what_exists(tmp_path: Path, host: Host) -> None:
    plant(tmp_path, {"a": b"1", "d/b": b""})
    assert read_texts(host, tmp_path, ["a", "d/b", "c", "a/below-a-file"]) == {"a": b"1", "d/b": b""}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "",
        ".",
        "a\nb",
        "a\0b",
        ".git/hooks/post-checkout",
        ".buildopt/x",
    ],
)
def test_a_path_that_is_not_a_file_of_the_workspace_is_refused(tmp_path: Path, host: Host, path: str) -> None:
    with pytest.raises(UnsafePath):
        read_texts(host, tmp_path, [path])
    with pytest.raises(UnsafePath):
        make_plan(host, tmp_path, Wanted({path: b"x"}))


def test_what_is_only_looked_at_counts_as_not_there_when_it_is_no_plain_file(tmp_path: Path, host: Host) -> None:
    plant(tmp_path, {"plain": b"1", "folder/x": b"2"})
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    paths = ("plain", "folder", "link", "gone")
    assert read_texts(host, tmp_path, paths, loose=paths) == {"plain": b"1"}
    with pytest.raises(UnsafePath):
        read_texts(host, tmp_path, paths, loose=("folder",))
    with pytest.raises(MachineRefused):
        read_texts(host, tmp_path, paths, loose=("link",))


def test_a_symlink_is_refused_as_the_file_and_as_a_directory_on_the_way(tmp_path: Path, host: Host) -> None:
    outside = plant(tmp_path / "outside", {"f": b"secret"})
    root = plant(tmp_path / "root", {"real/f": b"x"})
    (root / "link").symlink_to(outside / "f")
    (root / "directory").symlink_to(outside)
    (root / "inward").symlink_to(root / "real")
    (root / "dangling").symlink_to(root / "nowhere")
    for path in ("link", "directory/f", "directory/new", "inward/f", "dangling"):
        with pytest.raises(UnsafePath, match="symlink"):
            read_texts(host, root, [path])


def test_a_directory_where_a_file_is_expected_is_refused(tmp_path: Path, host: Host) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(MachineRefused, match="cannot read"):
        read_texts(host, tmp_path, ["a"])


def test_a_plan_holds_only_differences_sorted_by_path(tmp_path: Path, host: Host) -> None:
    plant(tmp_path, {"same": b"s", "z": b"old", "gone": b"g"})
    wanted = Wanted({"z": b"new", "same": b"s", "b/new": b"", "gone": None, "never": None}, ("a note",), ("heavy",))
    plan = make_plan(host, tmp_path, wanted)
    assert plan == Plan(
        (Edit("b/new", None, b""), Edit("gone", b"g", None), Edit("z", b"old", b"new")), ("a note",), ("heavy",)
    )
    assert [edit.kind for edit in plan.edits] == ["create", "delete", "modify"]


def test_a_plan_takes_the_texts_it_was_made_from_as_what_stands_there(tmp_path: Path, host: Host) -> None:
    texts = {"a": b"as it was read"}
    plant(tmp_path, {"a": b"edited in the meantime"})
    plan = make_plan(host, tmp_path, Wanted({"a": b"new"}), texts)
    assert plan.edits == (Edit("a", b"as it was read", b"new"),)


def test_create_modify_and_delete_are_shown() -> None:
    plan = Plan((Edit("a", None, b"1\n"), Edit("b", b"1\n2\n", b"1\n3\n"), Edit("c", b"x\n", None)))
    assert diff_text(plan) == (
        "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n"
        "--- a/b\n+++ b/b\n@@ -1,2 +1,2 @@\n 1\n-2\n+3\n"
        "--- a/c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    )
    assert diff_text(Plan(())) == ""


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (b"a\n", b"a", "-a\n+a\n\\ No newline at end of file\n"),
        (b"a\r\n", b"a\n", "-a\\r\n+a\n"),
        (b"", b"caf\xe9\n", "+caf\\xe9\n"),
        (b"", b"\x1b[31mred\x1b[0m\n", "+\\x1b[31mred\\x1b[0m\n"),
        (b"", "a\u202eb\ufeff\n".encode(), "+a\\u202eb\\ufeff\n"),
        (b"", b"\ta\x0cb\n", "+\ta\\x0cb\n"),
        (b"", 'größe = "ü"\n'.encode(), '+größe = "ü"\n'),
        (b"++ x\n", b"-- y\n", "-++ x\n+-- y\n"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(before: bytes, after: bytes, shown: str) -> None:
    assert diff_of(Edit("f", before, after)).split("@@\n")[1] == shown


def test_binary_and_empty_files_are_named() -> None:
    assert diff_of(Edit("f", None, b"\0\1")) == "Binary files /dev/null (0 bytes) and b/f (2 bytes) differ\n"
    assert diff_of(Edit("f", None, b"")) == "--- /dev/null\n+++ b/f\n"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("with space", "b/with space"),
        ("größe", "b/größe"),
        ("a\x1b[2J", '"b/a\\033[2J"'),
        ('say "x" \\', '"b/say \\"x\\" \\\\"'),
        (os.fsdecode(b"caf\xe9"), '"b/caf\\351"'),
        ("a\u202eb", '"b/a\\342\\200\\256b"'),
    ],
)
def test_a_path_cannot_act_on_the_terminal(path: str, shown: str) -> None:
    assert diff_of(Edit(path, None, b"")).splitlines()[1] == f"+++ {shown}"


LINES = st.lists(st.sampled_from(["a", "b", "", "same", "@@ -1 +1 @@", "--- x", "\ttab"]), max_size=12)


def text(lines: list[str], newline: bool) -> bytes:
    return ("\n".join(lines) + ("\n" if newline and lines else "")).encode()


@given(LINES, st.booleans(), LINES, st.booleans())
@example(["a"], False, ["a"], True)
def test_plain_diffs_are_understood_by_git(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], old_end: bool, new: list[str], new_end: bool
) -> None:
    before, after = text(old, old_end), text(new, new_end)
    if before == after:
        return
    root = plant(tmp_path_factory.mktemp("git"), {"f": before})
    result = subprocess.run(
        ["git", "apply", "-"],
        input=diff_of(Edit("f", before, after)).encode(),
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (root / "f").read_bytes() == after


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_diff_is_printable(before: bytes, after: bytes) -> None:
    shown = diff_of(Edit("f", before, after))
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    if before != after:
        assert len(shown) > len("--- a/f\n+++ b/f\n")
