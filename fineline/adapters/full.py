"""Full fine-tuning: all weights are trained and saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch

from fineline.adapters.adapted import Savable, check_names, check_shape, shape
from fineline.errors import InputError
from fineline.models import loading


class Full(Savable):
    """A causal language model whose own weights are trained.

    Args:
        base: Directory that the weights were loaded from; it is read again when the base itself is needed.
        types: Name of a weight -> the type that it is saved in.
    """

    peft_type = "FULL"

    def __init__(self, model: Any, base: Path, types: dict[str, torch.dtype]) -> None:
        super().__init__(model)
        self.base = base
        self.types = types

    @classmethod
    def new(cls, model: Any, base: Path) -> Self:
        """Return the model with all weights trainable, in fp32, so that small steps are not lost to rounding."""
        types = {name: weight.dtype for name, weight in model.named_parameters()}
        types |= loading.stored_types(base, set(types))  # the model may have been loaded in another type
        model.float().requires_grad_(True)
        return cls(model, base, types)

    @classmethod
    @torch.no_grad()
    def restored(cls, model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        """Return the model with saved weights in place of those of the base.

        Raises:
            InputError: The weights are those of a model of another shape.
        """
        check_shape(model, config)
        weights = dict(model.named_parameters())
        check_names(set(tensors), set(weights))
        for name, weight in weights.items():
            weight.copy_(tensors[name])
        base = Path(model.config.name_or_path)
        return cls(model, base, {name: weight.dtype for name, weight in weights.items()})

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Within the context, the model has the weights of its base, read from its directory; both are in memory.

        Raises:
            InputError: The directory does not contain all weights.
        """
        weights = dict(self.model.named_parameters())
        trained = {name: weight.data for name, weight in weights.items()}
        try:
            missing = set(weights)
            for name, original in loading.stored_tensors(self.base, set(weights)):
                weights[name].data = original.to(weights[name])
                missing.discard(name)
            if missing:
                raise InputError(f"{self.base}: the checkpoint has no tensor named {min(missing)}")
            yield
        finally:
            for name, weight in weights.items():
                weight.data = trained[name]

    def settings(self) -> dict[str, Any]:
        """Return the shape of the base."""
        return shape(self.model)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all weights by their names in the base, tied ones once, rounded to the types of the base."""
        return {name: weight.detach().to(self.types[name]) for name, weight in self.model.named_parameters()}
