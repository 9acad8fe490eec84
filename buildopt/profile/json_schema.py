"""The JSON Schema of a profile (draft 2020-12), made from the model; and its enforcement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildopt.errors import Problem, ProfileError
from buildopt.profile.documentation import field_texts, table_text
from buildopt.profile.shapes import DURATION, PROFILE, SIZE, SPECIFIER, Shape, fields_of
from buildopt.profile.wording import dotted, shown
from buildopt.units import parse_duration, parse_size

if TYPE_CHECKING:
    from jsonschema import FormatChecker

    from buildopt.profile.loading import Loaded

__all__ = ["enforce", "format_checker", "schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXTS = {
    "duration": {"pattern": DURATION, "format": "buildopt-duration"},
    "size": {"pattern": SIZE, "format": "buildopt-size"},
    "specifier": {"pattern": SPECIFIER},
    "text": {},
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one document; it accepts exactly what the parser accepts for a single file.

    The formats `buildopt-duration` and `buildopt-size` say that a value is above zero and within the limits that
    `buildopt.units` documents; a validator that does not know them accepts a little more.
    """
    definitions: dict[str, Any] = {}
    top = _schema(PROFILE, definitions, complete=True)
    whole = definitions.pop(str(top["$ref"]).rpartition("/")[2])
    return {
        "$schema": _DIALECT,
        "title": "buildopt profile",
        **whole,
        "$defs": dict(sorted(definitions.items())),
    }


def enforce(loaded: Loaded) -> None:
    """Check every document of a profile against the JSON Schema, with jsonschema.

    The parser has accepted all of them by then, so a difference between the two is what this finds.
    Raises ProfileError. A caller that keeps `loaded.fingerprint` can skip a profile that was enforced before.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy, and skipped for a known fingerprint

    validator = Draft202012Validator(schema(), format_checker=format_checker())
    problems = []
    for file, document in loaded.documents:
        for error in validator.iter_errors(document):
            # Unknown keys that were let through as warnings stay warnings.
            if loaded.warnings and error.validator == "additionalProperties":
                continue
            message = f"{shown(error.instance)} is not what the schema says ({error.validator})"
            problems.append(Problem(message, file=file, key=dotted(tuple(error.absolute_path)) or None))
    if problems:
        raise ProfileError("the profile does not match its schema", problems=tuple(problems))


def format_checker() -> FormatChecker:
    """Return the jsonschema checker for the formats that only buildopt has."""
    from jsonschema import FormatChecker  # noqa: PLC0415 - as in `enforce`

    checker = FormatChecker(formats=())

    @checker.checks("buildopt-duration", raises=ValueError)
    def _duration(value: object) -> bool:
        return not isinstance(value, str) or parse_duration(value) > 0

    @checker.checks("buildopt-size", raises=ValueError)
    def _size(value: object) -> bool:
        return not isinstance(value, str) or parse_size(value) > 0

    return checker


def _schema(shape: Shape, definitions: dict[str, Any], *, complete: bool = False) -> dict[str, Any]:
    if shape.kind == "table":
        return _reference(shape, definitions, complete=complete)
    if shape.kind in ("map", "list") and shape.item is not None:
        inner = _schema(shape.item, definitions, complete=shape.kind == "list")
        word = {"map": ("object", "additionalProperties"), "list": ("array", "items")}[shape.kind]
        return {"type": word[0], word[1]: inner}
    if shape.kind == "union":
        return {"anyOf": [_schema(option, definitions) for option in shape.options]}
    if shape.kind == "choice":
        return {"enum": list(shape.choices)} if len(shape.choices) > 1 else {"const": shape.choices[0]}
    if shape.kind == "integer":
        limits = {"minimum": shape.within.least, "maximum": shape.within.most} if shape.within else {}
        return {"type": "integer", **limits}
    return {"type": "boolean"} if shape.kind == "boolean" else {"type": "string", **_TEXTS[shape.kind]}


def _reference(shape: Shape, definitions: dict[str, Any], *, complete: bool) -> dict[str, Any]:
    """Return a `$ref` to the definition of a table, which is made on first use."""
    assert shape.table is not None
    name = shape.table.__name__ + ("Part" if shape.without.keys else "")
    if name not in definitions:
        definitions[name] = {}  # so that a table may hold tables of its own kind
        fields = fields_of(shape.table, shape.without)
        texts = field_texts(shape.table)
        required = [key for key, field in fields.items() if field.required]
        definitions[name] = {
            "type": "object",
            "description": table_text(shape.table),
            "properties": {
                key: {
                    "description": texts[field.name],
                    **_schema(field.shape, definitions),
                    **_default(field.default, field.shape),
                }
                for key, field in fields.items()
            },
            **({"required": required} if complete and required else {}),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _default(value: Any, shape: Shape) -> dict[str, Any]:
    """Return the default for the schema, where it is a plain value."""
    plain = shape.kind in ("boolean", "integer", "choice", "text", "union") and value is not None
    return {"default": list(value) if isinstance(value, tuple) else value} if plain else {}
