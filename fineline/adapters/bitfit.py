"""BitFit: only the bias terms are trained (Ben Zaken et al. 2021, arXiv 2106.10199).

The distance of each bias from that of the base is trained, in fp32. The sum is rounded to bf16 before it is used, so training
uses exactly the biases that a merged model will have.
"""

from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import nn
from torch.nn.utils import parametrize

from fineline.adapters import targets
from fineline.adapters.adapted import Savable, check_names, check_shape, shape, switched_off
from fineline.errors import InputError


class Shift(nn.Module):
    """(n,) -> (n,): a bias plus a trained distance."""

    def __init__(self, bias: torch.Tensor) -> None:
        super().__init__()
        self.distance = nn.Parameter(torch.zeros_like(bias, dtype=torch.float32))
        self.enabled = True

    def forward(self, bias: torch.Tensor) -> torch.Tensor:
        """Return the sum, rounded to bf16 as merging rounds it, in the type of the base's bias."""
        return (bias + self.distance).to(torch.bfloat16).to(bias.dtype) if self.enabled else bias


class BitFit(Savable):
    """A causal language model whose biases are trained.

    Raises:
        InputError: The model has no biases.
    """

    peft_type = "BITFIT"

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.shifts: dict[str, Shift] = {}
        """Name of a bias in the base -> its distance."""
        for name, module in targets.biases(model).items():
            shift = Shift(module.bias)  # type: ignore[arg-type]
            parametrize.register_parametrization(module, "bias", shift)
            self.shifts[f"{name}.bias"] = shift
        if not self.shifts:
            raise InputError(
                f"train.method: bitfit trains bias terms, and this {model.config.model_type} model has none; use ia3, which"
                " trains about as few parameters, or lora"
            )

    @classmethod
    def restored(cls, model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        """Return the model with saved biases.

        Raises:
            InputError: The biases were trained on a base of another shape.
        """
        check_shape(model, config)
        adapted = cls(model)
        own = adapted.tensors()
        check_names(set(tensors), set(own))
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        return adapted

    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""
        return switched_off(list(self.shifts.values()))

    def settings(self) -> dict[str, Any]:
        """Return the shape of the base."""
        return shape(self.model)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the distance of every bias by name, in fp32."""
        return {f"{name}.distance": shift.distance.detach() for name, shift in self.shifts.items()}
