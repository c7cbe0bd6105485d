"""The interface of methods that PEFT does not implement: that of a `PeftModel`, as far as fineline uses it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from fineline.errors import InputError


class Adapted(nn.Module, ABC):
    """A causal language model with an adapter.

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

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what is needed to restore the adapter, in addition to the tensors."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the trained tensors by name."""


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


def shape(model: Any) -> dict[str, Any]:
    """Return the part of a base's configuration that an adapter depends on."""
    config = model.config
    return {
        "model_type": config.model_type,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "vocab_size": config.vocab_size,
    }


def check_shape(model: Any, config: dict[str, Any]) -> None:
    """Raise `InputError` if an adapter was trained on a base of another shape."""
    for key, value in shape(model).items():
        if config[key] != value:
            raise InputError(f"the adapter was trained on a base with {key} {config[key]}, and this one has {value}")


def check_names(found: set[str], expected: set[str]) -> None:
    """Raise `InputError` if the tensors of an adapter are not those that the model expects."""
    if found != expected:
        odd = ", ".join(sorted(found ^ expected)[:3])
        raise InputError(f"adapter_model.safetensors does not fit this base; tensors that are missing or unexpected: {odd}")
