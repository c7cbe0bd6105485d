"""A model directory: the files that are copied, and the check that they are a model that is safe to load."""

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fineline.errors import InputError

ACCEPTED = (
    "*.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "LICENSE*",
)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def copy(source: Path, into: Path) -> None:
    """Copy the accepted files of a local model directory, without code and pickles.

    Raises:
        InputError: The directory does not exist, or its weights are pickles.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such model directory; set `path` of the base to one with safetensors weights")
    for pattern in ACCEPTED:
        for file in source.glob(pattern):
            shutil.copyfile(file, into / file.name)
    if not any(into.glob("*.safetensors")):
        pickles = sorted(file.name for pattern in _PICKLES for file in source.glob(pattern))
        if pickles:
            raise InputError(
                f"{source}: the weights are pickles ({', '.join(pickles)}), which can run code when they are loaded;"
                " save the model with `save_pretrained` (safetensors) and use that directory"
            )


def check(model: Path) -> None:
    """Raise `InputError` unless a directory contains a complete chat model that loads without code.

    Raises:
        InputError: Weights, configuration, tokenizer or chat template are missing or broken, or the model requires code.
    """
    weights = sorted(model.glob("*.safetensors"))
    if not weights:
        raise InputError(f"{model}: no weights; a base model needs *.safetensors files")
    for file in weights:
        try:
            with safe_open(file, framework="pt") as tensors:
                tensors.keys()
        except SafetensorError as error:
            raise InputError(f"{file}: not a safetensors file ({error}); fetch or convert the model again") from error
    config = _json(model / "config.json")
    tokenizer = _json(model / "tokenizer_config.json")
    if "auto_map" in config or "auto_map" in tokenizer:
        raise InputError(f"{model}: its configuration requires custom code (auto_map), which fineline never runs")
    if not (model / "chat_template.jinja").is_file() and "chat_template" not in tokenizer:
        raise InputError(
            f"{model}: the tokenizer has no chat template; use the instruction-tuned model, or add chat_template.jinja"
        )


def _json(file: Path) -> dict[str, object]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); a base model needs it") from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error
