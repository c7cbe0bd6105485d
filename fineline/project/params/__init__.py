"""params.yaml as frozen models: an undeclared key is an error, and every declared key is read by a stage.

The classes are the reference of the file: every key with its type, unit and default. Messages name every wrong key.
"""

from pathlib import Path
from typing import Any

import yaml

from fineline.artifacts import validation
from fineline.errors import InputError, did_you_mean
from fineline.project.params.project import Adapter, Params

__all__ = ["FILE", "Adapter", "Params", "load", "load_adapter", "load_each", "load_for"]

FILE = Path("params.yaml")


def load(file: Path = FILE) -> Params:
    """Return the checked content of the file.

    Raises:
        InputError: The file is missing, is not valid YAML, repeats a key, or has an unknown key or a value that is not
            accepted. The message has one line per problem, with the path of its key.
    """
    return validation.check(Params, _content(file), str(file))


def load_for(name: str, file: Path = FILE) -> Params:
    """Return the checked content for work on one base or adapter, without other adapters if the block of one is invalid.

    Raises:
        InputError: As `load`, for everything but the blocks of other adapters.
    """
    try:
        return load(file)
    except InputError:
        content = _content(file)
        blocks = content.get("adapters") if isinstance(content, dict) else None
        if not isinstance(blocks, dict) or not (name in blocks or name in (content.get("bases") or {})):
            raise
        kept = {other: block for other, block in blocks.items() if other == name}
        return validation.check(Params, content | {"adapters": kept}, str(file))


def load_each(file: Path = FILE) -> dict[str, Adapter | InputError]:
    """Return the block of each adapter, or what is wrong with it: an error in one block does not affect the others.

    Raises:
        InputError: The file cannot be read as a mapping of adapters.
    """
    content = _content(file)
    try:
        return dict(validation.check(Params, content, str(file)).adapters)
    except InputError:
        if not isinstance(content, dict) or not isinstance(content.get("adapters"), dict):
            raise
    found: dict[str, Adapter | InputError] = {}
    for name, block in content["adapters"].items():
        try:
            found[name] = validation.check(Params, content | {"adapters": {name: block}}, str(file)).adapter(name)
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
        return yaml.load(file.read_text(encoding="utf-8"), Loader=validation.NoRepeats)
    except FileNotFoundError as error:
        where = "" if file.parent.joinpath("fineline.lock").is_file() else f"; there is no project in {file.parent.absolute()}"
        raise InputError(
            f"{file}: cannot be read: no such file{where}; run the command inside a project, or create one with"
            " `fineline new DIRECTORY`"
        ) from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid YAML: {error}") from error
    except TypeError as error:
        raise InputError(f"{file}: a key is a list or a mapping; quote values that begin with '[' or '{{'") from error
