from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from buildopt.cargo.affected import Reached
from buildopt.watch.ledger import Ledger
from buildopt.watch.tree import Edit

PACKAGES = ("a", "b", "c")
FILES = tuple("pqrst")
CONTENTS = st.sampled_from([None, "0", "1", "2"])
GRAPHS = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.frozensets(st.sampled_from(PACKAGES))) for name in FILES}
)  # None: everything


def ledger(**reach: str | None) -> Ledger:
    return Ledger(PACKAGES, reaching({name: None if to is None else frozenset(to) for name, to in reach.items()}))


def reaching(graph: Mapping[str, frozenset[str] | None]):
    def reach(path: str) -> Reached:
        packages = graph[path]
        return Reached(frozenset(PACKAGES), "it steers all") if packages is None else Reached(packages, None)

    return reach


def edit(path: str, before: str | None, after: str | None) -> Edit:
    return Edit(path, before, after)


def test_an_edit_is_pending_for_what_it_reaches_until_that_has_passed():
    book = ledger(p="ab")
    for name in PACKAGES:
        book.passed("check", book.contents([name]))
    assert book.take([edit("p", "0", "1")]) == {"a", "b"}
    assert book.pending("check", whole=False) == ("a", "b")
    book.passed("check", book.contents(["a"]))
    assert book.pending("check", whole=False) == ("b",)
    assert book.pending("test", whole=False) == PACKAGES


def test_an_undo_leads_back_to_what_has_passed():
    book = ledger(p="a", q="a")
    book.passed("check", book.contents(PACKAGES))
    book.take([edit("p", "0", "1")])
    book.take([edit("q", None, "1")])
    book.take([edit("p", "1", "0")])
    assert book.pending("check", whole=False) == ("a",)
    book.take([edit("q", "1", None)])
    assert book.pending("check", whole=False) == ()


def test_a_stage_over_the_workspace_is_pending_as_a_whole():
    book = ledger(p="a", q="")
    book.passed("full", book.contents())
    book.take([edit("q", "0", "1")])
    assert book.pending("full", whole=True) == ()
    book.take([edit("p", "0", "1")])
    assert book.pending("full", whole=True) == PACKAGES


def test_an_undo_under_another_graph_does_not_hide_an_edit():
    """While a did not depend on b, b was edited; then the old manifest comes back."""
    together = reaching({"manifest": frozenset("a"), "source": frozenset("ab")})
    apart = reaching({"manifest": frozenset("a"), "source": frozenset("b")})
    book = Ledger(PACKAGES, together)
    book.passed("check", book.contents(PACKAGES))
    book.take([edit("manifest", "0", "1")])
    book.use(PACKAGES, apart)
    book.take([edit("source", "0", "1")])
    book.take([edit("manifest", "1", "0")])
    book.use(PACKAGES, together)
    assert book.pending("check", whole=False) == ("a", "b")


@pytest.mark.parametrize("stage", ["check", "test"])
def test_what_is_taken_back_is_pending_again(stage: str):
    book = ledger(p="a")
    contents = book.contents(PACKAGES)
    book.passed("check", contents)
    book.passed("test", contents)
    book.retract(stage, contents)
    assert book.pending(stage, whole=False) == PACKAGES
    assert book.pending("test" if stage == "check" else "check", whole=False) == ()
    book.forget("check", ["a"])
    assert "a" in book.pending("check", whole=False)


class Model(RuleBasedStateMachine):
    """The ledger beside one that keeps whole contents."""

    def __init__(self) -> None:
        super().__init__()
        self.graph: dict[str, frozenset[str] | None] = {name: frozenset("a") for name in FILES}
        self.files: dict[str, str | None] = dict.fromkeys(FILES, "0")
        self.seen: set[tuple[str, tuple[tuple[str, str | None], ...]]] = set()
        self.book = Ledger(PACKAGES, reaching(self.graph))

    def inputs(self, package: str) -> tuple[tuple[str, str | None], ...]:
        # What differs from the start and reaches the package, which is all that two contents can differ in.
        reaches = (name for name in FILES if self.graph[name] is None or package in self.graph[name])
        return tuple((name, self.files[name]) for name in reaches if self.files[name] != "0")

    @rule(changes=st.dictionaries(st.sampled_from(FILES), CONTENTS, min_size=1))
    def edit(self, changes: dict[str, str | None]) -> None:
        edits = [Edit(name, self.files[name], after) for name, after in changes.items() if self.files[name] != after]
        affected = self.book.take(edits)
        self.files.update(changes)
        for each in edits:
            reached = self.graph[each.path]
            assert affected >= (frozenset(PACKAGES) if reached is None else reached)

    @rule(graph=GRAPHS)
    def read_manifests(self, graph: dict[str, frozenset[str] | None]) -> None:
        self.graph = graph
        self.book.use(PACKAGES, reaching(graph))

    @rule(package=st.sampled_from(PACKAGES))
    def passes(self, package: str) -> None:
        self.book.passed("check", self.book.contents([package]))
        self.seen.add((package, self.inputs(package)))

    @invariant()
    def what_is_pending_is_what_never_passed(self) -> None:
        expected = tuple(name for name in PACKAGES if (name, self.inputs(name)) not in self.seen)
        assert self.book.pending("check", whole=False) == expected


TestModel = Model.TestCase


@given(st.lists(st.tuples(st.sampled_from(FILES), CONTENTS), max_size=20))
def test_contents_do_not_depend_on_the_way(changes: list[tuple[str, str | None]]):
    one, other = ledger(**dict.fromkeys(FILES, "abc")), ledger(**dict.fromkeys(FILES, "abc"))
    now: dict[str, str | None] = dict.fromkeys(FILES, "0")
    for path, content in changes:
        one.take([Edit(path, now[path], content)])
        now[path] = content
    other.take([Edit(path, "0", content) for path, content in now.items()])
    assert one.contents(PACKAGES) == other.contents(PACKAGES)
