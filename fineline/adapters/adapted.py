"""A base model with an adapter: its interface, and how it is attached, saved in PEFT's layout, and loaded."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fineline.adapters.methods import METHODS
from fineline.adapters.methods.method import Batches
from fineline.errors import InputError, ParameterError

if TYPE_CHECKING:
    from fineline.project.params.training import Train

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)

_LOADERS = {peft_type: method for method in METHODS.values() for peft_type in method.peft_types}
_SETS = ("target_modules", "target_parameters", "feedforward_modules")
_SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
"""Part of a base's configuration that an adapter depends on."""


class Adapted(nn.Module, ABC):
    """A causal language model with an adapter; it has the interface of a `PeftModel`, as far as fineline uses it.

    Args:
        model: The `transformers` model; its own parameters keep their names.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def config(self) -> Any:
        """Return the configuration of the base."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Return the device of the model."""
        return next(self.parameters()).device

    def get_base_model(self) -> Any:
        """Return the `transformers` model, with the modules that were added to it."""
        return self.model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output of the base model's forward pass."""
        return self.model(*args, **kwargs)

    @abstractmethod
    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""


class Savable(Adapted):
    """A method implemented by fineline, saved in PEFT's layout."""

    peft_type: str

    @classmethod
    @abstractmethod
    def like(cls, model: Any, config: dict[str, Any]) -> Self:
        """Return the model with an adapter that has these settings and any values."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the trained tensors by name."""

    def settings(self) -> dict[str, Any]:
        """Return what is needed to restore the adapter, in addition to the tensors."""
        return _shape(self.config)

    @classmethod
    @torch.no_grad()
    def restored(cls, model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        """Return the model with a saved adapter.

        Raises:
            InputError: The adapter was trained on a base of another shape.
        """
        for key, found in _shape(model.config).items():
            if config[key] != found:
                raise InputError(f"the adapter was trained on a base with {key} {config[key]}, and this one has {found}")
        adapted = cls.like(model, config)
        own = adapted.tensors()
        check_names(set(tensors), set(own))
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        return adapted


def _shape(config: Any) -> dict[str, Any]:
    text = config.get_text_config(decoder=True)
    return {key: config.model_type if key == "model_type" else getattr(text, key, None) for key in _SHAPE}


def check_names(found: set[str], expected: set[str]) -> None:
    """Raise `InputError` if the tensors of an adapter are not those that the model expects."""
    if found != expected:
        odd = ", ".join(sorted(found ^ expected)[:3])
        raise InputError(f"adapter_model.safetensors does not fit this base; tensors that are missing or unexpected: {odd}")


@contextmanager
def switched_off(parts: list[Any]) -> Iterator[None]:
    """Within the context, no part takes effect. Each part has a flag `enabled`."""
    for part in parts:
        part.enabled = False
    try:
        yield
    finally:
        for part in parts:
            part.enabled = True


def attach(model: Any, train: "Train", base: Path | None = None, batches: Batches | None = None) -> Any:
    """Attach what `train.method` trains to a model, in fp32, and freeze everything else.

    Initial values come from PyTorch's global generator: seed it first.

    Args:
        model: A causal language model from `loading.base_model`.
        train: Its method is one of `METHODS`, not `auto`.
        base: Directory of the base model, by default the model's `name_or_path`. LoftQ reads it, and so does full fine-tuning
            to restore the weights of the base.
        batches: First micro-steps, for EVA.

    Returns:
        A `PeftModel` or an `Adapted`: both have `get_base_model()` and `disable_adapter()`.

    Raises:
        InputError: The method, the targets or the initialization cannot be used with the model.
    """
    if train.method not in METHODS:
        raise ParameterError("train.method", f"{train.method} cannot be attached to a model; use one of {', '.join(METHODS)}")
    model.requires_grad_(False)
    source = Path(model.config.name_or_path) if base is None else base
    return METHODS[train.method].attach(model, train, source, batches)


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
