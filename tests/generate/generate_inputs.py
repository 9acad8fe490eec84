"""What tests of generation are made of: a workspace out of manifest texts, without cargo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from buildopt.cargo.model import CargoConfig, Dependency, LinkerProbe, Package, RustFlags, Toolchain, Workspace
from buildopt.generate import Generated, Inputs, generate, wanted_paths
from buildopt.generate.toml import parse
from buildopt.profile.model import Profile

ROOT = Path("/made/workspace")
TOOLCHAIN = Toolchain("1.95.0", "1.95.0", "x86_64-unknown-linux-gnu", False)
OLD_TOOLCHAIN = TOOLCHAIN._replace(cargo="1.85.1", rustc="1.85.1")
NO_CONFIG = CargoConfig((), (), (), ())
MOLD = LinkerProbe("mold", Path("/usr/bin/mold"), True, False, ("-Clink-arg=-fuse-ld=mold",), "mold 2.40")


def flags(table: str, *words: str, form: str = "array", where: str = ".cargo/config.toml") -> RustFlags:
    return RustFlags(table, words, form, where, False)


def made_package(path: str, text: str) -> Package:
    values = parse(text, path)
    name = values["package"]["name"]
    dependencies = []
    tables = [(None, values), *values.get("target", {}).items()]
    for target, table in tables:
        for section, kind in (("dependencies", "normal"), ("build-dependencies", "build"), ("dev-dependencies", "dev")):
            for key, given in table.get(section, {}).items():
                value = given if isinstance(given, dict) else {}
                package = value.get("package", key)
                path_of = str(ROOT / package) if "path" in value else None
                dependencies.append(Dependency(key, package, kind, target, value.get("optional", False), path_of))
    features = {key: tuple(items) for key, items in values.get("features", {}).items()}
    manifest = Path(os.path.normpath(ROOT / path))
    return Package(f"path+file://{manifest.parent}", name, "0.1.0", manifest, True, features, tuple(dependencies), ())


def made_workspace(files: Mapping[str, str]) -> Workspace:
    packages = [
        made_package(path, text)
        for path, text in sorted(files.items())
        if path.endswith("Cargo.toml") and "package" in parse(text, path)
    ]
    ids = {package.name: package.id for package in packages}
    edges = {
        package.id: tuple((ids[each.package], (each.kind,)) for each in package.dependencies if each.package in ids)
        for package in packages
    }
    return Workspace(ROOT, ROOT / "target", tuple(packages), edges, None, False)


def made_inputs(profile: Profile, files: Mapping[str, str | bytes], **changes: object) -> Inputs:
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    manifests = {path: text.decode() for path, text in content.items() if path.endswith("Cargo.toml")}
    workspace = made_workspace(manifests)
    texts = {path: content[path] for path in wanted_paths(profile, workspace) if path in content}
    inputs = Inputs(profile, workspace, TOOLCHAIN, NO_CONFIG, {}, 8, 16 * 2**30, texts)
    return inputs._replace(**changes)


def made(profile: Profile, files: Mapping[str, str | bytes], **changes: object) -> Generated:
    """Generate, and check that generating again over the result changes nothing."""
    inputs = made_inputs(profile, files, **changes)
    first = generate(inputs)
    texts = {**inputs.texts, **first.files}
    again = generate(inputs._replace(texts={path: text for path, text in texts.items() if text is not None}))
    assert again.files == first.files
    assert again.gated == ()
    return first


def text_of(generated: Generated, path: str) -> str:
    content = generated.files[path]
    assert content is not None
    return content.decode()
