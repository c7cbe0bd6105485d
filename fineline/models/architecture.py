"""The class of transformers that a model directory belongs to, and what a model of that class expects in its files."""

from pathlib import Path
from typing import Any

from fineline.errors import InputError, did_you_mean
from fineline.models import config


def model_class(directory: Path) -> Any:
    """Return the class of transformers that loads the model in a directory, see `classes.model_class`.

    Raises:
        InputError: transformers has no such class without custom code, or the configuration is broken.
    """
    from fineline.models import classes

    found = configuration(directory)
    try:
        return classes.model_class(found)
    except InputError as error:
        raise InputError(f"{directory / 'config.json'}: {error}") from error


def configuration(directory: Path) -> Any:
    """Return the configuration of a model as an object of transformers.

    Raises:
        InputError: The model type is unknown to transformers, or the values do not fit it.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    file = directory / "config.json"
    content = config.read(directory)
    kind = content.get("model_type")
    if kind not in CONFIG_MAPPING:
        code = "; its own code (auto_map) is never run" if "auto_map" in content else ""
        raise InputError(
            f"{file}: transformers has no model type {kind!r}{code}; use a model of a type that is part of transformers"
            + _native(kind, content, list(CONFIG_MAPPING.keys()))
        )
    try:
        return AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the configuration comes from outside: its validation raises errors of many types
        raise InputError(
            f"{file}: transformers cannot use this configuration of model type {kind!r}: {_line(error)}"
        ) from error


def _native(kind: Any, content: dict[str, Any], types: list[str]) -> str:
    """Return the end of a message with the nearest model type of transformers, if there is one."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    named = (content.get("architectures") or [""])[0]
    for native, architecture in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        if architecture == named:
            return f"; transformers has {named} as model type {native!r}"
    end = did_you_mean(str(kind), types)
    return end if "did you mean" in end else ""


def _line(error: Exception) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
