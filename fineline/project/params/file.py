"""Reading params.yaml, and saying what is wrong with it."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from fineline.errors import InputError
from fineline.project.params.block import Block
from fineline.project.params.loader import NoRepeats
from fineline.project.params.project import Adapter, Params, did_you_mean

FILE = Path("params.yaml")


def load(file: Path = FILE) -> Params:
    """Read and check the file.

    Raises:
        InputError: It is missing, is no YAML, repeats a key, or holds an unknown key or an unacceptable value; the message
            lists every problem with the path of its key.
    """
    return _validated(_content(file), file)


def load_each(file: Path = FILE) -> dict[str, Adapter | InputError]:
    """Return the block of each adapter, or what is wrong with it: an error in one block does not affect the others.

    Raises:
        InputError: The file cannot be read as a mapping of adapters.
    """
    content = _content(file)
    try:
        return dict(_validated(content, file).adapters)
    except InputError:
        if not isinstance(content, dict) or not isinstance(content.get("adapters"), dict):
            raise
    found: dict[str, Adapter | InputError] = {}
    for name, block in content["adapters"].items():
        try:
            found[name] = _validated(content | {"adapters": {name: block}}, file).adapter(name)
        except InputError as error:
            found[name] = error
    return found


def load_adapter(name: str, file: Path = FILE) -> Adapter:
    """Return the block of one adapter; errors in the blocks of others are ignored.

    Raises:
        InputError: There is no such adapter, or its block is invalid.
    """
    found = load_each(file)
    if name not in found:
        raise InputError(f"{file}: there is no adapter {name!r}{did_you_mean(name, list(found))}")
    block = found[name]
    if isinstance(block, InputError):
        raise block
    return block


def _content(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=NoRepeats)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML: {error}") from error
    except TypeError as error:
        raise InputError(f"{file}: a key is a list or a mapping; quote values that begin with '[' or '{{'") from error


def _validated(content: Any, file: Path) -> Params:
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(f"{file}: {_explain(problem)}" for problem in error.errors())) from error


def _explain(problem: Any) -> str:
    location = problem["loc"]
    where = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key{did_you_mean(str(location[-1]), _accepted_keys(location[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: this key is needed"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem["input"], dict | BaseModel) else f" (found {_without_credentials(repr(problem['input']))})"
    return f"{where}: {message}{found}" if where else f"{message}"


def _without_credentials(text: str) -> str:
    return re.sub(r"://(?:(?!://)\S)*@", "://", text)


def _accepted_keys(location: tuple[Any, ...]) -> list[str]:
    """The keys that the block at `location` accepts."""
    block: Any = Params
    for part in location:
        if isinstance(block, type) and issubclass(block, Block):
            block = block.model_fields[part].annotation
        else:  # a mapping from names to blocks
            block = block.__args__[1]
        for option in getattr(block, "__args__", ()):  # Wheel | None
            if isinstance(option, type) and issubclass(option, Block) and getattr(block, "__origin__", None) is not dict:
                block = option
                break
    return list(block.model_fields)
