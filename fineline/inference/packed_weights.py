"""Weights of a model in fp32 on a CPU, packed once into the layout of the processor's matrix products.

A product of few tokens with a matrix is slow if the matrix has to be packed each time. With packed weights the speed is higher
by these factors (SmolLM2-135M on two cores of an AMD EPYC):

tokens               1    4   16   64  128  256  512
head (vocabulary)  1.7  3.4  2.4  1.8  1.5  1.2  1.1
other layers       1.3  1.8  1.3  1.1  1.0  0.9  0.9

The results are equal up to the order of additions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fineline.hardware import machine

_ROWS = 128  # for which the layout is made; with more, only wide matrices are faster
_WIDE = 8  # ratio of rows to columns of a wide matrix, such as a head
_SMALLEST = 64  # columns or rows of a matrix: smaller ones do not become faster
_SHARE = 0.4  # largest share of the free memory for the copies


class PackedWeights:
    """Packed copies of the present weights of plain linear layers. Weights that change later need new copies.

    The model is not changed, and uses the copies only within `used`. There are no copies for a model in another precision or on
    another device, or if memory is short.
    """

    def __init__(self, model: Any) -> None:
        layers = [module for module in model.modules() if _is_faster_packed(module)]
        size = sum(layer.weight.nbytes for layer in layers)
        free = machine.free()
        room = torch.backends.mkldnn.is_available() and free is not None and size < _SHARE * free
        self._forwards = [(layer, _packed(layer)) for layer in layers] if room else []

    @contextmanager
    def used(self) -> Iterator[None]:
        """Within the context, the model multiplies with the copies."""
        for layer, forward in self._forwards:
            layer.forward = forward
        try:
            yield
        finally:
            for layer, _ in self._forwards:
                del layer.forward


def _is_faster_packed(module: Any) -> bool:
    return (
        type(module) is torch.nn.Linear
        and "forward" not in vars(module)  # replaced elsewhere
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and min(module.weight.shape) >= _SMALLEST
    )


def _packed(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS), layer.bias
    is_wide = layer.out_features >= _WIDE * layer.in_features

    def forward(states: torch.Tensor) -> torch.Tensor:
        if not is_wide and states.numel() > _ROWS * layer.in_features:
            return torch.nn.functional.linear(states, layer.weight, bias)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
        return product

    return forward
