"""Rules that hold for every source file."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import buildopt

PACKAGE = Path(buildopt.__file__).parent
PROJECT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
TEXTS = sorted(
    path
    for folder in ("buildopt", "profiles", "templates", "tests", "docs", "benchmarks", ".ci")
    for path in (PROJECT / folder).rglob("*")
    if path.is_file()
    and path.suffix in {"", ".py", ".toml", ".md", ".rs", ".json"}
    and not {"target", ".buildopt"} & {*path.parts}
)
HERE_ONLY = "|".join(re.escape(f"{path}/") for path in (PROJECT, Path.home()) if len(path.parts) > 1)
MACHINE_PATH = re.compile(rf"(?<![\w./])(?:{HERE_ONLY or '(?!)'})")
HOMES = {
    "subprocess": {"host/process.py"},
    "sqlite3": {"record"},
    "tomlkit": {"generate"},
    "jsonschema": {"profile"},
    "nox": {"sessions.py"},
    "watchfiles": {"watch"},
}


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    found: list[ast.FunctionDef | ast.ClassDef] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += [f for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")]
    return found


def imports_of(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def assigned_in(tree: ast.Module) -> set[str]:
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_a_module_says_what_it_is_for_and_what_it_offers() -> None:
    trees = {name_of(path): tree_of(path) for path in MODULES if path.name != "__main__.py"}
    assert not [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert not [name for name, tree in trees.items() if tree.body and "__all__" not in assigned_in(tree)]


def test_everything_public_has_a_docstring() -> None:
    definitions = [(path, node) for path in MODULES for node in public_definitions(tree_of(path))]
    assert len(definitions) > 100
    assert not [f"{name_of(path)}: {node.name}" for path, node in definitions if not ast.get_docstring(node)]


def test_a_file_can_be_read_in_one_sitting() -> None:
    assert not [name_of(path) for path in MODULES if len(path.read_text().splitlines()) > 400]


def test_a_library_with_a_home_is_imported_only_there() -> None:
    homes = {path: {path.relative_to(PACKAGE).as_posix(), path.relative_to(PACKAGE).parts[0]} for path in MODULES}
    used = [(path, library) for path in MODULES for library in imports_of(tree_of(path)) & HOMES.keys()]
    assert not [f"{name_of(path)} imports {library}" for path, library in used if not homes[path] & HOMES[library]]


def test_no_path_of_one_machine_stands_anywhere() -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found


def test_no_room_reaches_above_its_floor(need: Callable[[str], Path]) -> None:
    command = [str(need("lint-imports")), "--no-cache"]
    checked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_no_two_test_files_share_a_name() -> None:
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
