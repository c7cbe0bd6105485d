"""An adapter's directory, in PEFT's layout: the same weights give the same bytes."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fineline.adapters.adapted import Savable
from fineline.adapters.methods import METHODS
from fineline.errors import InputError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)

_LOADERS = {peft_type: method for method in METHODS.values() for peft_type in method.peft_types}
_SETS = ("target_modules", "feedforward_modules")


def save(model: Any, directory: Path) -> None:
    """Write the adapter of an adapted model into a directory: its configuration and weights, and nothing else."""
    if isinstance(model, Savable):
        directory.mkdir(parents=True, exist_ok=True)
        config = {"peft_type": model.peft_type, "base_model_name_or_path": model.config.name_or_path, **model.settings()}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in model.tensors().items()}
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    else:
        model.save_pretrained(directory, save_embedding_layers=False)
        (directory / "README.md").unlink()
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        for key in _SETS:  # PEFT writes sets, whose order changes from run to run
            if config.get(key):
                config[key] = sorted(config[key])
    config["base_model_name_or_path"] = _portable(config["base_model_name_or_path"])
    (directory / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(model: Any, directory: Path) -> Any:
    """Attach a saved adapter to its base for evaluation: nothing is trainable.

    Returns:
        A `PeftModel` or an `Adapted` in evaluation mode: both have `get_base_model()` and `disable_adapter()`.

    Raises:
        InputError: A file is missing, the type of the adapter is unknown, or the adapter does not fit the base.
    """
    for file in FILES:
        if not (directory / file).is_file():
            raise InputError(f"{directory}: no {file}; an adapter directory contains {' and '.join(FILES)}")
    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    method = _LOADERS.get(config["peft_type"])
    if method is None:
        raise InputError(f"{directory / CONFIG}: unknown peft_type {config['peft_type']!r}; accepted: {', '.join(_LOADERS)}")
    with torch.no_grad():
        adapted = method.load(model, directory, config)
    return adapted.requires_grad_(False).eval()  # PEFT leaves (IA)^3 and VeRA trainable regardless of is_trainable


def tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an adapter by name."""
    return load_file(directory / WEIGHTS)


def _portable(base: str) -> str:
    """Return the directory of a base relative to the project, so that no file names this machine."""
    path = Path(base)
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name
