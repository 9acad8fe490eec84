from __future__ import annotations

from pathlib import Path

import pytest

from buildopt.bench.edits import Place
from buildopt.bench.revision import Switch
from buildopt.bench.site import SWITCHED, Site, Spot
from buildopt.bench.tree import Tree
from buildopt.cargo.model import Package, Target, Workspace
from buildopt.errors import UnsafePath
from buildopt.host import Files, Host
from buildopt.testing import ScriptedHost

TEXT = "fn one() {\r\n    work();\r\n}\r\n"


def package(root: Path, kind: str = "lib") -> Package:
    source = root / "src" / ("main.rs" if kind == "bin" else "lib.rs")
    return Package(
        "a", "a", "0.1.0", root / "Cargo.toml", True, {}, (), (Target("a", (kind,), str(source), True, True),)
    )


@pytest.fixture
def site(tmp_path: Path, host: Host) -> Site:
    root = tmp_path / "top" / "ws"
    (root / "src" / "bin").mkdir(parents=True)
    (root / "src/lib.rs").write_bytes(b"pub mod more;\n")
    (root / "src/more.rs").write_bytes(TEXT.encode())
    (root / "src/bin/tool.rs").write_bytes(b"fn main() { }\n")
    return Site(host, Tree(tmp_path / "top", root), Workspace(root, root / "target", (package(root),), {}, 0, True))


def test_a_function_is_looked_for_beside_the_root_of_the_library_and_not_in_its_binaries(site: Site) -> None:
    (member,) = site.workspace.packages
    spots = list(site.spots(member, "body", binary=False))
    assert [(spot.path.name, spot.place.kind) for spot in spots] == [("more.rs", "body"), ("lib.rs", "signature")]
    assert [spot.place.kind for spot in site.spots(member, "signature", binary=False)] == ["signature"]


def test_a_build_script_and_tests_are_not_the_library(site: Site) -> None:
    root = site.tree.root
    for name in ("build.rs", "tests/all.rs", "lib.rs"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("fn other() { }\n" if name != "lib.rs" else "mod src;\n")
    (root / "src/lib.rs").unlink()
    (member,) = site.workspace.packages
    targets = (
        Target("a", ("lib",), str(root / "lib.rs"), True, True),
        Target("b", ("custom-build",), str(root / "build.rs"), False, False),
    )
    spots = list(site.spots(member._replace(targets=targets), "body", binary=False))
    assert [spot.path.relative_to(root).as_posix() for spot in spots] == ["src/more.rs", "lib.rs"]


def test_every_byte_is_back_after_an_edit_that_fails_too(site: Site) -> None:
    path = site.tree.root / "src/more.rs"
    path.chmod(0o640)
    seen: list[bytes] = []

    def fail() -> None:
        with site.edit(Spot(path, Place("body", 10)), 7, 1):
            seen.append(path.read_bytes())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert b"black_box(7_u64)" in seen[0]
    assert path.read_bytes() == TEXT.encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert site.marks == {str(path): 2}


def test_what_a_symlink_leads_to_outside_of_the_copy_is_never_edited(site: Site, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.rs"
    theirs.write_bytes(TEXT.encode())
    path = site.tree.root / "src/lib.rs"
    path.unlink()
    path.symlink_to(theirs)
    (member,) = site.workspace.packages
    spots = list(site.spots(member, "body", binary=False))
    assert [spot.path.name for spot in spots] == ["more.rs", "lib.rs"]
    with pytest.raises(UnsafePath, match="leads out of the copy"):
        site.edit(spots[-1], 1, 1).__enter__()
    assert theirs.read_bytes() == TEXT.encode()


def test_a_symlink_inside_the_copy_is_followed(site: Site) -> None:
    link = site.tree.root / "src/lib.rs"
    link.unlink()
    link.symlink_to("more.rs")
    with site.edit(Spot(link, Place("body", 10)), 1, 1):
        assert b"black_box" in (site.tree.root / "src/more.rs").read_bytes()
    assert link.is_symlink()


def test_a_file_that_is_no_text_has_no_function(site: Site) -> None:
    (site.tree.root / "src/more.rs").write_bytes(b"\xff\xfe fn one() { }")
    (member,) = site.workspace.packages
    assert [spot.place.kind for spot in site.spots(member, "body", binary=False)] == ["signature"]


def test_a_clock_that_is_set_back_hides_no_edit(site: Site) -> None:
    stamps: list[float] = []

    class Stamped(Files):
        def set_mtime(self, path: Path | str, mtime_ns: int) -> None:
            stamps.append(mtime_ns / 1e9)

    host = ScriptedHost({}, files=Stamped(), time=5000.0)
    moved = Site(host, site.tree, site.workspace)
    spot = Spot(site.tree.root / "src/more.rs", Place("body", 10))
    with moved.edit(spot, 1, 1):
        host.time += 60
    assert stamps == []
    host.now = lambda: host.time - 3600  # type: ignore[method-assign]
    host.time += 1
    with moved.edit(spot, 2, 1):
        host.time += 1
    assert stamps == [5061.0, 5062.0]


def test_a_switch_writes_adds_and_removes_and_goes_back(site: Site) -> None:
    changes = (
        Switch("ws/src/more.rs", (TEXT.encode(), 0o644), (b"other", 0o755)),
        Switch("ws/new/file.rs", None, (b"new", 0o644)),
        Switch("ws/src/lib.rs", (b"pub mod more;\n", 0o644), None),
    )
    before = {path: path.read_bytes() for path in site.tree.root.rglob("*") if path.is_file()}
    site.apply(changes, there=True)
    assert (site.tree.root / "src/more.rs").read_bytes() == b"other"
    assert (site.tree.root / "new/file.rs").read_bytes() == b"new"
    assert not (site.tree.root / "src/lib.rs").exists()
    site.apply(changes, there=False)
    assert {path: path.read_bytes() for path in site.tree.root.rglob("*") if path.is_file()} == before
    assert site.marks == {SWITCHED: 2}


@pytest.mark.parametrize("path", ["../out.rs", "/etc/out.rs"])
def test_a_switch_cannot_leave_the_copy(site: Site, path: str) -> None:
    with pytest.raises(UnsafePath):
        site.apply((Switch(path, None, (b"x", 0o644)),), there=True)
