"""Does a CI file hang together? Neither the JSON schemas nor zizmor see a name that leads nowhere; the host does, too late.

What is read here is only what the templates beside this module write, so lines and indentation say enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildopt.errors import Bug, Problem
from buildopt.generate.ci.lanes import MatrixEntry

__all__ = ["check_github", "check_gitlab"]

_JOB = re.compile(r"^  ([A-Za-z_][A-Za-z0-9_-]*):\n((?:(?:    .*)?\n)*)", re.MULTILINE)
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_TEXT = re.compile(r"'[^']*'")
_WORD = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*(?:\.(?:[A-Za-z0-9_-]+|\*))*)(\()?")
_FUNCTIONS = frozenset(("always", "cancelled", "contains", "failure", "fromJSON", "hashFiles", "toJSON"))
_GITHUB = frozenset(("event.pull_request.number", "event_name", "ref", "run_attempt", "run_id", "sha"))
_RUNNER = frozenset(("arch", "os", "temp"))
_DYNAMIC_MATRIX = "matrix: ${{ fromJSON(needs.plan.outputs.matrix) }}"
_OUTPUTS = {
    "cache": {"cache-hit", "cache-matched-key", "cache-primary-key"},  # of rust-cache or actions/cache/restore
    "matrix": {"lanes", "matrix", "tests"},  # of `buildopt ci-matrix`
}


class _Job(NamedTuple):
    head: str
    """Everything before the steps."""
    steps: str
    needs: frozenset[str]
    outputs: frozenset[str]
    matrix: frozenset[str]


def check_github(text: str) -> None:
    """Raise Bug with everything in a workflow that leads nowhere: jobs, outputs, matrix keys, steps, contexts."""
    top, _, body = text.partition("\njobs:\n")
    blocks = _JOB.findall(body)
    jobs = {name: _job(block) for name, block in blocks}
    problems = [Problem(why, key="top") for why in _wrong_words(top, _Job(top, "", *[frozenset[str]()] * 3), jobs)]
    seen = [name.lower() for name, _ in blocks]
    problems += (Problem("the job is there twice", key=name) for name in sorted({*seen}) if seen.count(name) > 1)
    for name, job in jobs.items():
        problems += (Problem(why, key=name) for why in _wrong_in_job(job, jobs))
    if len(blocks) != len(re.findall(r"^  \S", body, re.MULTILINE)):
        problems.append(Problem("a line that opens a job cannot be read", key="jobs"))
    _raise(problems)


def check_gitlab(text: str) -> None:
    """Raise Bug with every `needs` and `extends` of jobs for GitLab that leads nowhere, and every name given twice."""
    names = re.findall(r"^(\S[^:\n]*):$", text, re.MULTILINE)
    problems = [Problem("the job is there twice", key=name) for name in {*names} if names.count(name) > 1]
    for word, pattern in (("needs", r"^    - job: (.+)$"), ("extends", r"^  extends: (.+)$")):
        missing = (name for name in re.findall(pattern, text, re.MULTILINE) if name not in names)
        problems += (Problem(f"{word} {name}, which is not there", key=word) for name in missing)
    _raise(problems)


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise Bug("a generated CI file does not hang together", problems=tuple(problems))


def _job(block: str) -> _Job:
    head, _, steps = block.partition("    steps:\n")
    matrix = frozenset(_keys(head, "      matrix:\n", 8))
    if _DYNAMIC_MATRIX in head:
        matrix = frozenset(MatrixEntry._fields)
    needs = re.search(r"^    needs:\n((?:      - .+\n)*)", head, re.MULTILINE)
    return _Job(
        head,
        steps,
        frozenset(line.removeprefix("      - ") for line in needs[1].splitlines()) if needs else frozenset(),
        frozenset(_keys(head, "    outputs:\n", 6)),
        matrix,
    )


def _keys(text: str, above: str, indent: int) -> Iterator[str]:
    """Yield the keys of the mapping below the line `above`."""
    for line in text.partition(above)[2].splitlines():
        if not line.startswith(" " * indent):
            return
        if not line.startswith(" " * (indent + 1)):
            yield line.strip().partition(":")[0]


def _wrong_in_job(job: _Job, jobs: Mapping[str, _Job]) -> Iterator[str]:
    for key in ("name", "runs-on", "timeout-minutes", "permissions"):
        if f"\n    {key}:" not in f"\n{job.head}":
            yield f"there is no {key}"
    yield from (f"needs {name}, which is not there" for name in sorted(job.needs - jobs.keys()))
    known: set[str] = set()
    for step in re.split(r"^      - ", job.steps, flags=re.MULTILINE)[1:]:
        if not step.startswith("name: "):
            yield f"a step has no name: {step[:40]!r}"
        if "${{" in re.sub(r"^        (?:env|if|with):.*(?:\n          .*)*", "", step, flags=re.MULTILINE):
            yield f"an expression stands where a shell reads it: {step[:40]!r}"
        yield from _wrong_words(step, job, jobs, known)
        known |= {*re.findall(r"^        id: (\S+)$", step, re.MULTILINE)}
    for line in job.head.splitlines():  # only the outputs of a job, six deep, may name its steps
        output = line.startswith("      ") and line.strip().partition(":")[0] in job.outputs
        yield from _wrong_words(line, job, jobs, known if output else None)


def _wrong_words(text: str, job: _Job, jobs: Mapping[str, _Job], steps: set[str] | None = None) -> Iterator[str]:
    """Yield each word in the expressions of `text` that means nothing there; `steps` are None outside of steps."""
    for found in _EXPRESSION.findall(text):
        for word, call in _WORD.findall(_TEXT.sub("''", found)):
            context, _, path = word.partition(".")
            parts = path.split(".")
            if call:
                fine = word in _FUNCTIONS
            elif context == "needs":
                fine = _fine_need(parts, job, jobs)
            elif context == "steps":
                fine = steps is not None and parts[0] in steps and parts[2:] != [] and parts[1] == "outputs"
                fine = fine and parts[2] in _OUTPUTS.get(parts[0], ())
            else:
                known: Mapping[str, frozenset[str]] = {"github": _GITHUB, "matrix": job.matrix}
                fine = path in known.get(context, ()) or (steps is not None and context == "runner" and path in _RUNNER)
                fine = (
                    fine or (steps is not None and context == "secrets" and path.isupper()) or word in ("true", "false")
                )
            if not fine:
                yield f"{word} means nothing here: {found.strip()}"


def _fine_need(parts: list[str], job: _Job, jobs: Mapping[str, _Job]) -> bool:
    """Whether `needs.<parts>` is a result or an output that is there."""
    name, what, *rest = (*parts, "", "")
    if name == "*":
        return what == "result"
    if name not in job.needs or name not in jobs:
        return False
    return what == "result" or (what == "outputs" and rest[0] in jobs[name].outputs)
