"""Read YAML and check it against a pydantic model, with messages that name the place, the key and what was found."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from fineline.errors import InputError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)

_LONGEST_VALUE = 80
_PATTERNS = {
    r"^sha256:[0-9a-f]{64}$": "must be `sha256:` and 64 lowercase hexadecimal digits",
    r"^[0-9a-f]{64}$": "must be 64 lowercase hexadecimal digits",
    r"^[0-9a-f]{40}$": "must be a full commit id: 40 lowercase hexadecimal digits",
}
"""Regular expression -> message, for patterns that are hard to read."""


class NoRepeats(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, of which YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; raise `ConstructorError` with the position of a duplicate key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def check(model: type[Model], content: Any, place: str, *, under: str = "", show_values: bool = True) -> Model:
    """Return content as an instance of a model; see `explain` for the arguments.

    Raises:
        InputError: A key is unknown or missing, or a value is not accepted. The message has one line per problem.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(explain(error, place, model, under=under, show_values=show_values))) from error


def explain(
    error: ValidationError, place: str, model: type[BaseModel], *, under: str = "", show_values: bool = True
) -> list[str]:
    """Return one line per problem: place, path of the key, what is accepted, and what was found, without credentials.

    Args:
        place: File of the content.
        model: Model that the content was checked against; the accepted keys come from it.
        under: Path of the block within the file, such as `adapters.home.retrain`.
        show_values: False where a value may be a secret.
    """
    lines: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        keys, block = _resolve(problem["loc"], model)
        path = ".".join([*([under] if under else []), *keys])
        text = _message(problem, _accepted_keys(block))
        if show_values and problem["type"] not in ("missing", "extra_forbidden"):
            text += _found(problem["input"])
        if text not in lines.setdefault(path, []):
            lines[path].append(text)
    return [": ".join([place, *([path] if path else []), text]) for path, texts in lines.items() for text in texts]


def _message(problem: Any, accepted: list[str]) -> str:
    if problem["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(problem['loc'][-1]), accepted) if accepted else ''}"
    if problem["type"] == "missing":
        return "this key is required"
    if problem["type"] == "string_pattern_mismatch" and (text := _PATTERNS.get(problem["ctx"]["pattern"])):
        return text
    return str(problem["msg"]).removeprefix("Value error, ")


def _found(value: Any) -> str:
    if isinstance(value, dict | BaseModel):
        return ""
    shown = re.sub(r"://(?:(?!://)\S)*@", "://", repr(value))
    return f" (found {shown if len(shown) <= _LONGEST_VALUE else shown[:_LONGEST_VALUE] + '...'})"


def _resolve(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[list[str], Any]:
    """Return the keys of a location without pydantic's own parts, and the type that the last key belongs to."""
    keys: list[str] = []
    owner: Any = None
    here: Any = model
    for part in location:
        if part == "[key]":  # the problem is the key of a mapping, not its value
            continue
        options = _options(here)
        if len(options) > 1:  # the name of a member of a union
            here = next((option for option in options if get_origin(option) in (list, dict)), None)
            continue
        owner, here = (options or [None])[0], _inside(options[0], part) if options else None
        keys.append(str(part))
    return keys, owner


def _options(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows, without None and metadata."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for member in get_args(annotation) for option in _options(member)]
    return [] if annotation in (None, NoneType) else [annotation]


def _inside(annotation: Any, part: int | str) -> Any:
    """Return the type of a field of a model, or of an item of a list or mapping; None if it is not known."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return next((field.annotation for name, field in annotation.model_fields.items() if part in _names(name, field)), None)
    return get_args(annotation)[-1] if get_origin(annotation) in (list, dict) else None


def _accepted_keys(block: Any) -> list[str]:
    """Return the keys of a model, each in its present spelling; empty for other types."""
    if isinstance(block, type) and issubclass(block, BaseModel):
        return [_names(name, field)[0] for name, field in block.model_fields.items()]
    return []


def _names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias if isinstance(alias, str) else name]
