"""The layers of bottleneck adapters: small layers with a nonlinearity between those of the base.

They follow attention and the MLP (Houlsby et al. 2019, arXiv 1902.00751, figure 2), or the MLP only (Pfeiffer et al. 2020,
arXiv 2005.00247), and come before the residual sum: x + up(gelu(down(x))).
"""

from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import gelu

from fineline.adapters import targets
from fineline.adapters.adapted import Savable, check_names, check_shape, shape, switched_off
from fineline.adapters.methods.bottleneck import Bottleneck

_NAME = "bottleneck"


class Layer(nn.Module):
    """(..., hidden) -> (..., hidden), through `size` channels, in fp32; a new layer changes nothing."""

    def __init__(self, hidden: int, size: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden, size, dtype=torch.float32)
        self.up = nn.Linear(size, hidden, dtype=torch.float32)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.enabled = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` plus the output of the layer, in the type of `x`."""
        if not self.enabled:
            return x
        added: torch.Tensor = self.up(gelu(self.down(x.to(self.down.weight.dtype))))
        return x + added.to(x.dtype)


class WithBottlenecks(Savable):
    """A causal language model with bottleneck adapters: modules named `bottleneck` in the modules that they follow."""

    peft_type = "BOTTLENECK"

    def __init__(self, model: Any, bottleneck: Bottleneck) -> None:
        super().__init__(model)
        self.bottleneck = bottleneck
        self.layers: list[Layer] = []

    @classmethod
    def new(cls, model: Any, bottleneck: Bottleneck) -> Self:
        """Return the model with new adapters, which change nothing yet.

        Raises:
            InputError: The blocks of the model do not consist of attention and an MLP.
        """
        adapted = cls(model, bottleneck)
        for block in targets.blocks(model):
            attention, mlp = targets.sublayers(block)
            for name in (attention, mlp) if bottleneck.placement == "houlsby" else (mlp,):
                sublayer = block.get_submodule(name)
                layer = Layer(model.config.hidden_size, bottleneck.size).to(next(sublayer.parameters()).device)
                sublayer.register_module(_NAME, layer)
                sublayer.register_forward_hook(_follow)
                adapted.layers.append(layer)
        return adapted

    @classmethod
    def restored(cls, model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Self:
        """Return the model with saved adapters.

        Raises:
            InputError: The adapters were trained on a base of another shape.
        """
        check_shape(model, config)
        adapted = cls.new(model, Bottleneck(size=config["size"], placement=config["placement"]))
        own = adapted.tensors()
        check_names(set(tensors), set(own))
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        return adapted

    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""
        return switched_off(self.layers)

    def settings(self) -> dict[str, Any]:
        """Return size, placement, and the shape of the base."""
        return {**self.bottleneck.model_dump(), "activation": "gelu", **shape(self.model)}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights of the adapters by their names in the base."""
        return {name: value for name, value in self.model.state_dict().items() if f".{_NAME}." in name}


def _follow(sublayer: Any, _: Any, output: Any) -> Any:
    """A forward hook. Attention returns a tuple that starts with the hidden states, an MLP the hidden states themselves."""
    if isinstance(output, tuple):
        return (sublayer.bottleneck(output[0]), *output[1:])
    return sublayer.bottleneck(output)
