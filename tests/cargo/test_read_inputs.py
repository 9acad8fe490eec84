from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildopt.cargo import Package, Target, Workspace, read_inputs
from buildopt.cargo.metadata import query_workspace
from buildopt.host import Command, Host

ROOT_MANIFEST = '[workspace]\nmembers = ["core", "api"]\nresolver = "2"\n'
MANIFEST = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n{}'
Files = Mapping[str, str]
Write = Callable[[Path, Files], Path]


@pytest.fixture
def built(tmp_path: Path, tree: Write, need: Callable[[str], Path]) -> Callable[..., dict[str, set[str]]]:
    """Return a function that builds a workspace (core <- api, with `files`) and says who reads what, by package name."""
    need("cargo")

    def build(files: Files, *options: str, links: Files | None = None, env: Files | None = None) -> dict[str, set[str]]:
        standard = {
            "Cargo.toml": ROOT_MANIFEST,
            "core/Cargo.toml": MANIFEST.format("core", ""),
            "core/src/lib.rs": "",
            "api/Cargo.toml": MANIFEST.format("api", '[dependencies]\ncore = { path = "../core" }\n'),
            "api/src/lib.rs": "",
        }
        root = tree(tmp_path / "ws", {**standard, **files})
        for link, target in (links or {}).items():
            (root / link).symlink_to(target)
        host = Host({**os.environ, **(env or {})})
        done = host.run(Command(("cargo", "check", "--workspace", "--all-targets", "--offline", "-q", *options), root))
        assert done.returncode == 0, done.stderr.decode()
        return names(host, query_workspace(host, root))

    return build


def names(host: Host, workspace: Workspace) -> dict[str, set[str]]:
    name = {package.id: package.name for package in workspace.packages}
    return {path: {name[id_] for id_ in ids} for path, ids in read_inputs(host, workspace).items()}


def include(path: str) -> str:
    return f'const _: &str = include_str!("{path}");\n'


def test_nothing_is_read_before_the_first_build(tmp_path, tree, need):
    need("cargo")
    root = tree(
        tmp_path, {"Cargo.toml": MANIFEST.format("a", ""), "src/lib.rs": include("../README.md"), "README.md": ""}
    )
    assert names(Host(), query_workspace(Host(), root)) == {}


def test_files_of_no_package_and_of_another(built):
    found = built({
        "core/src/lib.rs": include("../../READ ME.md") + include("own.txt"), "core/src/own.txt": "", "READ ME.md": "",
        "api/src/lib.rs": include("../../core/data.txt") + include("../../docs/ü#1.txt"), "core/data.txt": "", "docs/ü#1.txt": "",
        "core/tests/it.rs": include("../../api/src/x.txt"), "api/src/x.txt": "",
    })  # fmt: skip
    assert found == {
        "READ ME.md": {"core"}, "core/data.txt": {"api"}, "docs/ü#1.txt": {"api"}, "api/src/x.txt": {"core"},
    }  # fmt: skip


def test_what_a_package_has_beside_its_sources(built):
    """`Reach` knows whose they are, and a watch has to look there."""
    found = built({"core/src/lib.rs": include("../README.md") + include("../data/x.txt"), "core/README.md": "", "core/data/x.txt": ""})  # fmt: skip
    assert found == {"core/README.md": {"core"}, "core/data/x.txt": {"core"}}


def test_what_a_library_takes_from_its_tests(built):
    found = built({
        "core/src/lib.rs": include("../tests/data.txt"), "core/tests/data.txt": "",
        "core/tests/it.rs": include("other.txt"), "core/tests/other.txt": "",
    })  # fmt: skip
    assert found == {"core/tests/data.txt": {"core"}}


def test_a_file_of_a_package_inside_the_package(built):
    found = built({
        "Cargo.toml": ROOT_MANIFEST.replace('"api"', '"api", "core/src/inner"'),
        "core/src/inner/Cargo.toml": MANIFEST.format("inner", ""), "core/src/inner/src/lib.rs": "", "core/src/inner/src/x.txt": "",
        "core/src/lib.rs": include("inner/src/x.txt"),
    })  # fmt: skip
    assert found == {"core/src/inner/src/x.txt": {"core"}}


@pytest.mark.parametrize("separator", [":", "::"])
def test_what_build_scripts_declare(built, separator):
    lines = "".join(
        f'println!("cargo{separator}rerun-if-changed={path}");' for path in ("../proto", "build.rs", "../a b.txt")
    )
    found = built({"core/build.rs": f"fn main() {{ {lines} }}\n", "proto/x.proto": "", "a b.txt": ""})
    assert found == {"proto": {"core"}, "core/build.rs": {"core"}, "a b.txt": {"core"}}


def test_what_a_build_script_is_made_of(built):
    script = '#[path = "../shared/gen.rs"] mod gen;\nfn main() { println!("cargo:rerun-if-changed=build.rs"); }\n'
    found = built({"core/build.rs": script, "shared/gen.rs": ""})
    assert found == {"shared/gen.rs": {"core"}, "core/build.rs": {"core"}}


def test_what_is_in_the_target_directory_is_nobodys_input(built):
    script = 'fn main() { let out = std::env::var("OUT_DIR").unwrap(); std::fs::write(out.clone() + "/g.rs", "").unwrap(); println!("cargo:rerun-if-changed={out}/g.rs"); }'
    files = {"core/build.rs": script, "core/src/lib.rs": 'include!(concat!(env!("OUT_DIR"), "/g.rs"));\n'}
    assert built(files) == {}
    assert built(files, env={"CARGO_TARGET_DIR": "elsewhere/target"}) == {}


def test_examples_and_a_path_dependency_outside_of_the_root(built):
    found = built({
        "core/Cargo.toml": MANIFEST.format("core", '[dependencies]\nout = { path = "../../out side" }\n'),
        "../out side/Cargo.toml": MANIFEST.format("out", "[workspace]\n"),
        "../out side/src/lib.rs": include("../../above.md") + include("../README.md"), "../out side/README.md": "", "../above.md": "",
        "core/examples/ex.rs": "fn main() {}\n" + include("../../x.txt"), "x.txt": "",
    })  # fmt: skip
    assert found == {"../above.md": {"out"}, "../out side/README.md": {"out"}, "x.txt": {"core"}}


def test_symlinks_are_named_and_followed(built):
    found = built(
        {"core/src/lib.rs": include("../README.md") + include("../docs/a.txt"), "README.md": "", "text/a.txt": ""},
        links={"core/README.md": "../README.md", "core/docs": "../text"},
    )
    assert found == {
        "README.md": {"core"}, "core/README.md": {"core"}, "core/docs/a.txt": {"core"}, "text/a.txt": {"core"},
    }  # fmt: skip


def test_other_profiles_platforms_and_build_directories(built):
    files = {"core/src/lib.rs": include("../../x.txt"), "x.txt": ""}
    triple = next(line[6:] for line in Host().run(Command(("rustc", "-vV"), Path("/"))).stdout.decode().splitlines() if line.startswith("host: "))  # fmt: skip
    assert built(files, "--release", "--target", triple) == {"x.txt": {"core"}}


@pytest.mark.parametrize("given", ["built", "{workspace-root}/../built"])
def test_a_build_directory_of_its_own(built, given):
    files = {
        "core/src/lib.rs": include("../../x.txt"),
        "x.txt": "",
        ".cargo/config.toml": f'[build]\nbuild-dir = "{given}"\n',
    }
    assert built(files) == {"x.txt": {"core"}}
    assert built(files, env={"CARGO_BUILD_BUILD_DIR": "elsewhere"}) == {"x.txt": {"core"}}


def test_two_packages_whose_tests_have_the_same_name(built):
    found = built({
        "core/tests/it.rs": include("../../one.txt"), "api/tests/it.rs": include("../../two.txt"), "one.txt": "", "two.txt": "",
    })  # fmt: skip
    assert found == {"one.txt": {"core"}, "two.txt": {"api"}}


# ---- without cargo


def made(root: Path) -> Workspace:
    package = Package("a", "a", "0.1.0", root / "a/Cargo.toml", True, {}, (),
                      (Target("a", ("lib",), str(root / "a/src/lib.rs"), True, True),
                       Target("build-script-build", ("custom-build",), str(root / "a/build.rs"), False, False)))  # fmt: skip
    return Workspace(root, root / "target", (package,), {"a": ()}, 0, True)


def dep_info(*paths: str) -> str:
    return (
        f"target/debug/deps/a.d: {' '.join(paths)}\n\n" + "".join(f"{path}:\n" for path in paths) + "\n# env-dep:X=y:\n"
    )


def test_the_layout_that_cargo_will_have(tmp_path, tree):
    hashed = "target/debug/build/a/0123456789abcdef"
    tree(
        tmp_path,
        {
            f"{hashed}/out/a-0123456789abcdef.d": dep_info("a/src/lib.rs", "a/../x.txt"),
            f"{hashed}/run/stdout": "noise\ncargo::rerun-if-changed=../y\n",
        },
    )
    assert names(Host(), made(tmp_path)) == {"x.txt": {"a"}, "y": {"a"}}


def test_what_is_no_dep_info_is_passed_over(tmp_path, tree):
    deps = "target/debug/deps"
    tree(
        tmp_path,
        {
            f"{deps}/a-0123456789abcdef.d": dep_info("b/src/lib.rs", "x.txt"),
            f"{deps}/a-1123456789abcdef.d": "",
            f"{deps}/a-2123456789abcdef.d": "a/src/lib.rs",
            f"{deps}/serde-2123456789abcdef.d": dep_info("a/src/lib.rs", "x.txt"),
            f"{deps}/a-4123456789abcdef.d/x": "",
        },
    )
    (tmp_path / deps / "a-3123456789abcdef.d").write_bytes(b"\xff\x00:\n\n:\n\xff:\n")
    assert names(Host(), made(tmp_path)) == {}


def test_thousands_of_dep_info_files_take_well_under_a_second(tmp_path, tree, cpu_seconds):
    own = [f"a/src/m{n}.rs" for n in range(200)]
    files = {f"target/debug/deps/a-{n:016x}.d": dep_info("a/src/lib.rs", *own, "x.txt") for n in range(200)}
    files |= {f"target/debug/deps/other{n}-{n:016x}.d": dep_info("other/src/lib.rs") for n in range(3000)}
    tree(tmp_path, files)
    workspace = made(tmp_path)
    assert names(Host(), workspace) == {"x.txt": {"a"}}
    assert cpu_seconds(lambda: names(Host(), workspace)) < 0.5


def test_a_build_script_that_names_nothing_reads_its_whole_package(built):
    assert built({"core/build.rs": "fn main() {}\n", "core/notes.txt": ""}) == {"core": {"core"}}
    named = 'fn main() { println!("cargo:rerun-if-changed=notes.txt"); }\n'
    assert built({"core/build.rs": named}) == {"core/notes.txt": {"core"}}
