"""The texts of the model, read out of its source: the docstring of each table and the text under each field."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Mapping

from buildopt.profile import bench_tables, model

__all__ = ["field_texts", "table_text"]


def field_texts(table: type) -> Mapping[str, str]:
    """Return the documentation of each field of a dataclass of the model, as one line each."""
    return _texts()[table.__name__][1]


def table_text(table: type) -> str:
    """Return the documentation of a dataclass of the model, as one line."""
    return _texts()[table.__name__][0]


@functools.cache
def _texts() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    bodies = [ast.parse(inspect.getsource(module)).body for module in (model, bench_tables)]
    classes = [node for body in bodies for node in body if isinstance(node, ast.ClassDef)]
    return {node.name: (_line(ast.get_docstring(node) or ""), _fields(node)) for node in classes}


def _fields(node: ast.ClassDef) -> Mapping[str, str]:
    texts = {}
    for statement, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            texts[statement.target.id] = _line(str(value.value)) if isinstance(value, ast.Constant) else ""
    return texts


def _line(text: str) -> str:
    return " ".join(text.split())
