"""What the tables of the model are made from: one base, one decorator, and marks that narrow a type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform

__all__ = ["Duration", "Size", "Specifier", "Table", "Within", "Without", "table"]

T = TypeVar("T")

Duration = Annotated[float, "duration"]
Size = Annotated[int, "size"]
Specifier = Annotated[str, "specifier"]


class Within(NamedTuple):
    """Marks a whole number that must lie between two bounds, both included."""

    least: int
    most: int


class Without(NamedTuple):
    """Marks a table that does not take some of the keys of its type, and says why."""

    keys: tuple[str, ...]
    reason: str


class Table:
    """What dataclasses would write into each class anew, at many times the import time of this module."""

    def __init__(self, **values: Any) -> None:
        fields: Mapping[str, Field[Any]] = self.__dataclass_fields__  # type: ignore[attr-defined] # set by `table`
        if unknown := values.keys() - fields.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        for name, declared in fields.items():
            if name in values:
                value = values[name]
            elif declared.default_factory is not MISSING:
                value = declared.default_factory()
            elif declared.default is not MISSING:
                value = declared.default
            else:
                raise TypeError(f"{type(self).__name__} needs {name}")
            self.__dict__[name] = value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def table(cls: type[T]) -> type[T]:
    """Make `cls` a dataclass whose fields are known, without the methods that `Table` has for all of them."""
    return dataclass(init=False, eq=False, repr=False, match_args=False)(cls)
