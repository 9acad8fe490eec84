"""`ci-matrix` and `ci`: what CI has to run, which actions it is pinned to, what it will store."""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path
from typing import Any

from buildopt.errors import Bug
from buildopt.host import Host
from buildopt.show.common import open_context, print_json, say
from buildopt.verbs.ci import Matrix, ci_matrix

__all__ = ["show_caches", "show_ci_matrix", "show_pins"]


def show_ci_matrix(host: Host, arguments: argparse.Namespace, _via_nox: bool) -> int:
    """Print what CI has to run as one JSON document, and add it to the file that GITHUB_OUTPUT names; return 0."""
    context = open_context(host, arguments, strict=False)
    matrix = ci_matrix(context, arguments.base)
    document = matrix_document(matrix)
    output = host.environ.get("GITHUB_OUTPUT")
    if output:
        host.files.append(Path(output), _outputs(document).encode())
    say(matrix.why)
    print_json(document)
    return 0


def matrix_document(matrix: Matrix) -> dict[str, Any]:
    """Return the document of `ci-matrix`; its keys are a contract with the generated workflow."""
    return {
        "version": 1,
        "lanes": list(matrix.lanes),
        "tests": len(matrix.tests),
        "matrix": {"include": [job._asdict() for job in matrix.tests]},
        "why": matrix.why,
    }


def _outputs(document: dict[str, Any]) -> str:
    """Return the outputs of the job, each between lines that nobody could have foreseen."""
    end = f"end-{secrets.token_hex(16)}"
    values = ((key, json.dumps(document[key])) for key in ("lanes", "tests", "matrix"))
    return "".join(f"{key}<<{end}\n{value}\n{end}\n" for key, value in values)


def show_pins(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Show, adopt or check the pins of the generated workflow, and return the exit code."""
    raise Bug("ci pins is not there yet")


def show_caches(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Show what CI will store against the limit, and return 0."""
    raise Bug("ci caches is not there yet")
