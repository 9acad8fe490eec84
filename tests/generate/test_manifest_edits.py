from __future__ import annotations

import re
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from buildopt.generate.manifest import ManifestEdit, edit_manifest
from buildopt.generate.toml import decode, encode, key_text, quoted

NAMES = st.text("abcdefgh-_", min_size=1, max_size=6).filter(lambda name: name[0] not in "-_")
GAPS = st.sampled_from(["", "\n", "# a comment\n", "\n\n# [dependencies]\n", "   # indented = true\n", "\t\n"])
ENDS = st.sampled_from(["", " # behind", "  ", "\t# x = { optional = true }"])
VERSIONS = st.sampled_from(['"1"', "'1.2'", '"""1"""', "'''1'''"])


@st.composite
def declarations(draw: st.DrawFn, section: str, name: str) -> tuple[str, bool]:
    """Return a dependency in one of Cargo's forms, and whether it stands in a table of its own."""
    version, end, gap, key = draw(VERSIONS), draw(ENDS), draw(GAPS), draw(st.sampled_from([name, quoted(name)]))
    space = draw(st.sampled_from(["", " ", "  "]))
    forms = [
        f"{key}{space}={space}{version}{end}\n",
        f"{key} = {{{space}version = {version}{space}}}{end}\n",
        f'{key} = {{ version={version}, features = [ "a", "b" ],optional=false }}{end}\n',
        f'{key} = {{ features = [\n    "a", # one ] }}\n  ], version = {version} }}{end}\n',
        f"{key}.version = {version}{end}\n{gap}{key}.default-features = false\n",
        f"{key}.workspace = true{end}\n",
        f"{key} . 'version' = {version}{end}\n{key}.optional = false\n",
    ]
    if draw(st.booleans()):
        return f"{gap}{draw(st.sampled_from(forms))}", False
    header = f"[{section}.{key}]" if draw(st.booleans()) else f"[ {section} . {key} ]{end}"
    return f"{gap}{header}\nversion = {version}{end}\n{gap}", True


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, list[tuple[str, ...]], dict[str, list[str]]]:
    """Return a manifest, its dependencies, and its features."""
    sections = draw(
        st.lists(
            st.sampled_from(["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]), unique=True
        )
    )
    text = '[package]\nname = "made"\nversion = "0.1.0"\n'
    paths = []
    for section in sections:
        parts = [
            draw(declarations(section, name)) for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        ]
        inline = [part for part, own in parts if not own]
        if inline:
            text += f"{draw(GAPS)}[{section}]{draw(ENDS)}\n" + "".join(inline)
        text += "".join(part for part, own in parts if own)
        prefix = ("target", "cfg(unix)", "dependencies") if section.startswith("target") else (section,)
        found = tomllib.loads(text)
        for part in prefix:
            found = found[part]
        paths += [(*prefix, name) for name in found]
    features: dict[str, list[str]] = {}
    if draw(st.booleans()):
        text += f"{draw(GAPS)}[features]{draw(ENDS)}\n"
        for name in draw(st.lists(NAMES, max_size=3, unique=True)):
            features[name] = draw(st.lists(NAMES, max_size=2, unique=True))
            inside = f",{draw(st.sampled_from([' ', chr(10) + '    ', ' # x' + chr(10)]))}".join(
                map(quoted, features[name])
            )
            text += f"{draw(GAPS)}{key_text(name)} = [{inside}]{draw(ENDS)}\n"
    text += draw(
        st.sampled_from(
            [
                "",
                "# the end\n",
                '\n[[bin]]\nname = "one"\n',
                "\n[profile.dev]\ndebug = false # fast\n",
                "[lints]\nworkspace = true",
            ]
        )
    )
    return text, paths, features


@given(manifests(), st.data())
def test_an_edit_changes_only_what_was_asked(made: tuple, data: st.DataObject) -> None:
    text, paths, features = made
    if data.draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    optional = tuple(path for path in paths if data.draw(st.booleans()))
    names = st.one_of(NAMES, st.sampled_from(sorted(features) or ["new"]))
    added = data.draw(
        st.dictionaries(
            names, st.lists(st.sampled_from(["dep:x", 'q"uote', "a/b"]), unique=True).map(tuple), max_size=3
        )
    )
    source = decode(text.encode(), "Cargo.toml")
    result = edit_manifest(source, "Cargo.toml", ManifestEdit(optional, added))

    before, after = tomllib.loads(text), tomllib.loads(result)
    for path in optional:
        table = after
        for part in path:
            table = table[part]
        assert table.pop("optional") is True
    for path in optional:  # then what is left is what was there
        old, new = before, after
        for part in path[:-1]:
            old, new = old[part], new[part]
        was = old[path[-1]]
        old[path[-1]] = {"version": was} if isinstance(was, str) else {k: v for k, v in was.items() if k != "optional"}
    for name, items in added.items():
        assert after["features"][name] == [*before.get("features", {}).get(name, []), *items]
    before.pop("features", None)
    after.pop("features", None)
    assert after == before
    assert comments(text) == comments(result)
    kept = [line for line in text.splitlines() if line.strip()]
    assert len([line for line in kept if line not in result.splitlines()]) <= len(optional) + 3 * len(added)
    assert encode(result, source).count(b"\r\n") == (result.count("\n") if source.newline == "\r\n" else 0)


def comments(text: str) -> list[str]:
    """Return the comments of a made manifest (whose strings hold no `#`)."""
    return [match.strip() for match in re.findall(r"#[^\n]*", text)]


@given(manifests())
def test_no_edit_changes_no_byte(made: tuple) -> None:
    source = decode(b"\xef\xbb\xbf" + made[0].encode(), "Cargo.toml")
    assert source.bom
    assert (
        encode(edit_manifest(source, "Cargo.toml", ManifestEdit((), {})), source) == b"\xef\xbb\xbf" + made[0].encode()
    )
