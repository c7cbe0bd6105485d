"""An adapter's directory, in PEFT's layout: the same weights give the same bytes."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fineline.adapters import virtual
from fineline.adapters.adapted import Savable
from fineline.adapters.bitfit import BitFit
from fineline.adapters.bottleneck import WithBottlenecks
from fineline.adapters.full import Full
from fineline.errors import InputError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)

_OWN: dict[str, Any] = {
    **{adapted.peft_type: adapted for adapted in (WithBottlenecks, BitFit, Full)},
    **dict.fromkeys(virtual.TYPES, virtual.VirtualTokens),
}
_SETS = ("target_modules", "feedforward_modules")


def save(model: Any, directory: Path) -> None:
    """Write an attached model's adapter into a directory: its configuration and weights, and nothing else."""
    if isinstance(model, Savable):
        directory.mkdir(parents=True, exist_ok=True)
        config = {"peft_type": model.peft_type, "base_model_name_or_path": model.config.name_or_path, **model.settings()}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in model.tensors().items()}
        save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    else:
        model.save_pretrained(directory, save_embedding_layers=False)
        (directory / "README.md").unlink()
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        for key in _SETS:  # PEFT writes sets: their order changes from run to run
            if config.get(key):
                config[key] = sorted(config[key])
    config["base_model_name_or_path"] = _portable(config["base_model_name_or_path"])
    (directory / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(model: Any, directory: Path) -> Any:
    """Put a saved adapter on its base, for judging: nothing is trainable.

    Returns:
        A `PeftModel` or an `Adapted` in evaluation mode: both have `get_base_model()` and `disable_adapter()`.

    Raises:
        InputError: A file is missing, or the adapter does not fit the base.
    """
    for file in FILES:
        if not (directory / file).is_file():
            raise InputError(f"{directory}: no {file}, so this is no adapter")
    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    adapted: Any
    if config["peft_type"] in _OWN:
        with torch.no_grad():
            adapted = _OWN[config["peft_type"]].restored(model, config, load_file(directory / WEIGHTS))
    else:
        from peft import PeftModel

        adapted = PeftModel.from_pretrained(model, directory, is_trainable=False, local_files_only=True)
    return adapted.requires_grad_(False).eval()  # PEFT leaves (IA)^3 and VeRA trainable all the same


def _portable(base: str) -> str:
    """A base's directory as it is named in the project, wherever the project lies."""
    path = Path(base)
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name
