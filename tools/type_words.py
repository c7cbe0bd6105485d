"""The types of pydantic fields in words, for docs/parameters.md."""

from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

TYPES = {date: "date", str: "text", int: "integer", float: "number", bool: "`true` or `false`", Any: "any value"}
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def words(kind: Any, links: dict[type[BaseModel], str], limits: list[Any] | None = None) -> str:
    """Return the accepted values of a type.

    Args:
        links: Model -> markdown link to its table.
        limits: Constraints of the field, as pydantic lists them.
    """
    origin, members = get_origin(kind), get_args(kind)
    limits = limits or []
    if origin is Annotated:
        return words(members[0], links, [*limits, *members[1:]])
    if origin is Literal:
        return choices(members)
    if origin in (Union, UnionType):
        found = [words(member, links, limits) for member in members if member is not NoneType]
        return ", or ".join(dict.fromkeys(found))
    if origin is list:
        return f"list of {words(members[0], links)}{length(limits)}"
    if origin is dict:
        return f"mapping of {words(members[0], links)} to {words(members[1], links)}"
    return links[kind] if kind in links else TYPES[kind] + bounds(limits)


def choices(values: Any) -> str:
    """Return accepted values, separated by commas."""
    return ", ".join(f"`{value}`" for value in values)


def bounds(limits: list[Any]) -> str:
    """Return the limits of a number or a text, each after a comma; empty if there are none."""
    found = [
        f", {word} {getattr(limit, name)}"
        for limit in inner_limits(limits)
        for name, word in LIMITS.items()
        if getattr(limit, name, None) is not None
    ]
    patterns = [getattr(limit, "pattern", None) for limit in inner_limits(limits)]
    return "".join([*found, *(f", matches `{pattern}`" for pattern in patterns if pattern)])


def length(limits: list[Any]) -> str:
    """Return the smallest number of entries of a list, after a comma; empty without a minimum."""
    least = [limit.min_length for limit in inner_limits(limits) if isinstance(limit, annotated_types.MinLen)]
    return "".join(f", at least {count} {'entry' if count == 1 else 'entries'}" for count in least)


def inner_limits(limits: list[Any]) -> list[Any]:
    """Return limits, with those in a `Field` in its place."""
    return [part for limit in limits for part in (limit.metadata if isinstance(limit, FieldInfo) else [limit])]


def models(kind: Any) -> list[tuple[str, type[BaseModel]]]:
    """Return the models in a type, each with the step that leads to it from its key: nothing, `.NAME` or `[]`."""
    origin, members = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [("", kind)]
    if origin is dict:
        return [(f".NAME{step}", model) for step, model in models(members[1])]
    if origin is list:
        return [(f"[]{step}", model) for step, model in models(members[0])]
    if origin is Annotated:
        return models(members[0])
    if origin in (Union, UnionType):
        return [found for member in members for found in models(member)]
    return []
