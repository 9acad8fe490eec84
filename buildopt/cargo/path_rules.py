"""The profile's rules for changed files: globs, and the packages that they mean.

Globs are relative to the workspace root and match whole paths, case by case: `*` and `?` match within one name, `**` any
number of directories (`docs/**`, `**/*.md`, `a/**/b.txt`), `[ab]` and `[!ab]` one character. A glob that ends in `/` means all below it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import Problem, ProfileError

__all__ = ["PathRules", "glob_pattern"]


class PathRules:
    """The rules of the profile: of several that match a file, the most specific decides.

    Raises ProfileError for a rule that names a package which is not there, or whose glob cannot be read.
    """

    def __init__(self, workspace: Workspace, rules: Mapping[str, tuple[str, ...]]) -> None:
        ordered = sorted(rules, key=lambda glob: (-len(re.sub(r"[*?]|\[.*?\]", "", glob)), glob))
        by_name: dict[str, list[Package]] = {}
        for package in workspace.packages:
            by_name.setdefault(package.name, []).append(package)
        problems: list[Problem] = []
        patterns: list[str] = []
        self._named: list[frozenset[str]] = []
        for glob in ordered:
            key = f'affected.paths."{glob}"'
            problems.extend(
                Problem(f"no package named {name!r} in this workspace", key=key)
                for name in rules[glob]
                if name not in by_name
            )
            try:
                patterns.append(glob_pattern(glob))
                re.compile(patterns[-1])
            except (ValueError, re.error) as error:
                problems.append(Problem(f"expected a glob: {error}", key=key))
            named = (package.id for name in rules[glob] for package in by_name.get(name, ()))
            self._named.append(frozenset(named))
        if problems:
            raise ProfileError("the rules for changed files cannot be used", problems=tuple(problems))
        self._match = (
            re.compile("|".join(f"({pattern})" for pattern in patterns), re.DOTALL).fullmatch if patterns else None
        )

    def packages(self, path: str) -> frozenset[str] | None:
        """Return the ids of the packages that the rule which decides for `path` names, or None when none does."""
        found = self._match(path) if self._match else None
        return self._named[found.lastindex - 1] if found and found.lastindex else None


def glob_pattern(glob: str) -> str:
    """Return the regular expression of a glob; the module says what a glob means. Raises ValueError for an open `[`."""
    glob = glob.removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    pattern: list[str] = []
    names = glob.split("/")
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if name == "**":
            pattern.append(".*" if last else "(?:[^/]+/)*")
        else:
            pattern.append(_name_pattern(name) + ("" if last else "/"))
    return "".join(pattern)


def _name_pattern(name: str) -> str:
    pattern = ""
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            pattern += "" if pattern.endswith("[^/]*") else "[^/]*"
        elif character == "?":
            pattern += "[^/]"
        elif character == "[":
            negated = name[at : at + 1] == "!"
            end = name.find("]", at + negated + 1)  # a "]" that comes first is a character like any other
            if end < 0:
                raise ValueError('"[" without "]"')
            content = re.sub(r"([\\\[\]^&~|])", r"\\\1", name[at + negated : end])
            pattern += f"(?!/)[{'^' if negated else ''}{content}]"
            at = end + 1
        else:
            pattern += re.escape(character)
    return pattern
