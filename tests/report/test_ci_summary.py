from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from buildopt.cargo.units import UnitRow
from buildopt.pipeline.events import CacheUse, StageFinished
from buildopt.report.ci_summary import RunFacts, as_markdown, escaped
from buildopt.watch.diagnostics import Diagnostic


def stage(name: str = "core", result: str = "success", **facts) -> StageFinished:
    given = {
        "wall_seconds": 4.2, "cpu_seconds": 6.0, "peak_bytes": 0, "packages": ("a", "b"), "fresh": 40, "rebuilt": 14,
        "budget_seconds": None, "timeout_seconds": None, "lock_wait": False, **facts,
    }  # fmt: skip
    return StageFinished(name, result, **given)


def facts(**given) -> RunFacts:
    told = {
        "command": "run core", "result": "success", "wall_seconds": 4.5, "stages": (stage(),), "covered": {"core": (12, "a (edited)")},
        "units": (), "diagnostics": (), "notes": (), **given,
    }  # fmt: skip
    return RunFacts(**told)


def unit(package: str, seconds: float | None, *, fresh: bool = False) -> UnitRow:
    return UnitRow(package, "1.0.0", "lib", "build", fresh, duration_seconds=seconds)


def tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def cells(text: str) -> list[str]:
    """Return what a reader sees in the cells of all tables."""
    found = [token for before, token in zip(tokens(text), tokens(text)[1:], strict=False) if before.type == "td_open"]
    return ["".join(c.content for c in token.children or () if c.type in ("text", "text_special")) for token in found]


def test_a_run_as_a_person_reads_it(snapshot):
    cache = CacheUse(10, 4, 1, {}, "local")
    told = facts(
        command="run full",
        result="failure",
        stages=(
            stage("quick-check", budget_seconds=5.0),
            stage("core", budget_seconds=3.0, cache=cache),
            stage("slow", budget_seconds=3.0, lock_wait=True),
            stage("full", "failure", detail="test: exit code 101", budget_seconds=3.0),
            stage("last", "skipped", detail="full did not pass", fresh=0, rebuilt=0),
        ),
        covered={
            "quick-check": (12, "a (edited), b (depends on a)"),
            "core": (2, "all 2 packages"),
            "full": (2, "all 2 packages"),
        },
        units=(
            unit("serde", 1.5),
            unit("serde", 0.5),
            unit("syn", 9.25),
            unit("fresh", 5.0, fresh=True),
            unit("unknown", None),
        ),
        diagnostics=(
            Diagnostic("test", "tests::adds: assertion `left == right` failed", "src/lib.rs", 3, 4, b""),
            Diagnostic("error", "linking with `cc` failed", None, None, None, b""),
            Diagnostic("warning", "unused variable", "src/lib.rs", 3, 4, b""),
        ),
        notes=("cargo-nextest is not there: cargo test is used", "cargo-nextest is not there: cargo test is used"),
    )
    assert as_markdown(told) == snapshot


def test_columns_of_which_nothing_is_known_are_left_out():
    text = as_markdown(facts(stages=(stage(fresh=0, rebuilt=0),)))
    assert "budget" not in text
    assert "cache" not in text
    assert "units" not in text


def test_the_slowest_come_first_and_what_was_fresh_not_at_all():
    text = as_markdown(
        facts(units=[*(unit(f"c{n:02}", float(n)) for n in range(1, 15)), unit("zzz", 99.0, fresh=True)])
    )
    names = [cell for cell in cells(text) if cell.startswith("c")]
    assert names == ["core", *(f"c{n:02}" for n in range(14, 4, -1))]


WORDS = st.text(
    st.sampled_from("ab|`*_<>&#[]()!\\~:/@.-+=\n\r\t \"'1$\u202e") | st.characters(), max_size=40
) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "| a |\n| - |",
        "```",
        "</details>",
        "![x](http://x)",
        "www.example.com",
        "https://e.org",
        "-->",
    ]
)


@given(WORDS)
def test_what_is_escaped_is_shown_and_is_never_markup(word):
    text = escaped(word)
    text.encode()
    inline = tokens(f"x{text}x")
    assert [token.type for token in inline] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in inline[1].children or ()} <= {"text", "text_special"}
    assert not set(text) & set("<>|`*_[]()!\\~\n\r")


@given(st.lists(WORDS.map(lambda word: f"{word}x"), min_size=9, max_size=9))
def test_no_name_can_change_the_shape_of_the_summary(words):
    def told(
        name: str, why: str, note: str, crate: str, version: str, message: str, path: str, detail: str, command: str
    ) -> str:
        units = (UnitRow(crate, version, "lib", "build", False, duration_seconds=1.0),)
        stages = (stage(name, "failure", detail=detail or "d"),)
        diagnostics = (Diagnostic("error", message, path, 1, 1, b""),)
        return as_markdown(
            facts(
                command=command,
                stages=stages,
                covered={name: (3, why)},
                units=units,
                diagnostics=diagnostics,
                notes=(note,),
            )
        )

    def shape(text: str) -> list[tuple[str, str]]:
        inline = (child for token in tokens(text) for child in (token.children or (token,)))
        return [
            (token.type, token.content if "html" in token.type else "")
            for token in inline
            if token.type not in ("text", "text_special")
        ]

    assert shape(told(*words)) == shape(told(*("plain",) * 9))


def test_a_huge_run_stays_below_what_github_takes():
    name = "|" * 500
    many = [stage(f"{name}{n}", "failure", detail=name) for n in range(500)]
    diagnostics = [Diagnostic("test", f"{name}{n}", name, n, 1, b"") for n in range(500)]
    text = as_markdown(
        facts(
            stages=many,
            diagnostics=diagnostics,
            notes=[f"{name}{n}" for n in range(500)],
            units=[unit(f"{n}{name}", 1.0) for n in range(500)],
        )
    )
    assert len(text.encode()) < 64 * 1024
    assert "470 more stages" in text
    assert "left out" in text
