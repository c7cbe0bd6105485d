"""What methods that PEFT does not have look like from outside: like a `PeftModel`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from fineline.errors import InputError


class Adapted(nn.Module, ABC):
    """A causal language model with something trained on it.

    Args:
        model: The `transformers` model; its own parameters keep their names.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def config(self) -> Any:
        """The configuration of the base."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.parameters()).device

    def get_base_model(self) -> Any:
        """The `transformers` model, with what was put into it."""
        return self.model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the base's own."""
        return self.model(*args, **kwargs)

    @abstractmethod
    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context the model is its base."""


class Savable(Adapted):
    """A method of our own, which is saved as PEFT saves its adapters."""

    peft_type: str

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What is needed to build it anew, beyond the tensors."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """What was trained, by name."""


@contextmanager
def switched_off(parts: list[Any]) -> Iterator[None]:
    """Within the context, no part takes effect; each has a flag `enabled`."""
    for part in parts:
        part.enabled = False
    try:
        yield
    finally:
        for part in parts:
            part.enabled = True


def shape(model: Any) -> dict[str, Any]:
    """What of a base's shape an adapter depends on."""
    config = model.config
    return {
        "model_type": config.model_type,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "vocab_size": config.vocab_size,
    }


def check_shape(model: Any, config: dict[str, Any]) -> None:
    """Raise `InputError` if an adapter was made for a base of another shape."""
    for key, value in shape(model).items():
        if config[key] != value:
            raise InputError(f"the adapter was trained on a base with {key} {config[key]}, and this one has {value}")


def check_names(found: set[str], expected: set[str]) -> None:
    """Raise `InputError` if an adapter's tensors are not those of the model it is put on."""
    if found != expected:
        odd = ", ".join(sorted(found ^ expected)[:3])
        raise InputError(f"adapter_model.safetensors does not fit the base it is put on: {odd}")
