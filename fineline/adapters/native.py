"""Methods that PEFT does not implement: BitFit, bottleneck adapters and full fine-tuning."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import gelu
from torch.nn.utils import parametrize

from fineline.adapters import targets
from fineline.adapters.adapted import Savable, switched_off
from fineline.adapters.methods.bottleneck import Bottleneck
from fineline.errors import InputError
from fineline.models import classes, loading

_BOTTLENECK = "bottleneck"


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
    """A causal language model whose biases are trained (Ben Zaken et al. 2021, arXiv 2106.10199).

    The distance of each bias from that of the base is trained, in fp32. The sum is rounded to bf16 before it is used, so
    training uses exactly the biases that a merged model will have.

    Raises:
        InputError: The model has no biases.
    """

    peft_type = "BITFIT"
    rounds = True
    """Gradients pass through bf16 in every precision of the training."""

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
    def like(cls, model: Any, config: dict[str, Any]) -> Self:
        """Return the model with distances of zero."""
        return cls(model)

    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""
        return switched_off(list(self.shifts.values()))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the distance of every bias by name, in fp32."""
        return {f"{name}.distance": shift.distance.detach() for name, shift in self.shifts.items()}


class BottleneckLayer(nn.Module):
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
    """A causal language model with bottleneck adapters: modules named `bottleneck` in the modules that they follow.

    They follow attention and the MLP (Houlsby et al. 2019, arXiv 1902.00751, figure 2), or the MLP only (Pfeiffer et al. 2020,
    arXiv 2005.00247), and come before the residual sum: x + up(gelu(down(x))). New adapters change nothing yet.

    Raises:
        InputError: The blocks of the model do not consist of attention and an MLP.
    """

    peft_type = "BOTTLENECK"

    def __init__(self, model: Any, bottleneck: Bottleneck) -> None:
        super().__init__(model)
        self.bottleneck = bottleneck
        self.layers: list[BottleneckLayer] = []
        for block in targets.blocks(model):
            attention, mlp = targets.sublayers(block)
            for name in (attention, mlp) if bottleneck.placement == "houlsby" else (mlp,):
                sublayer = block.get_submodule(name)
                layer = BottleneckLayer(_hidden(model), bottleneck.size).to(next(sublayer.parameters()).device)
                sublayer.register_module(_BOTTLENECK, layer)
                sublayer.register_forward_hook(_follow)
                self.layers.append(layer)

    @classmethod
    def like(cls, model: Any, config: dict[str, Any]) -> Self:
        """Return the model with new adapters."""
        return cls(model, Bottleneck(size=config["size"], placement=config["placement"]))

    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""
        return switched_off(self.layers)

    def settings(self) -> dict[str, Any]:
        """Return size, placement, and the shape of the base."""
        return {**self.bottleneck.model_dump(), "activation": "gelu", **super().settings()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights of the adapters by their names in the base."""
        return {name: value for name, value in self.model.state_dict().items() if f".{_BOTTLENECK}." in name}


def _follow(sublayer: Any, _: Any, output: Any) -> Any:
    """A forward hook. Attention returns a tuple that starts with the hidden states, an MLP the hidden states themselves."""
    if isinstance(output, tuple):
        return (sublayer.bottleneck(output[0]), *output[1:])
    return sublayer.bottleneck(output)


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
        """Return the model with all weights of its language part trainable, in fp32, so that rounding loses no small steps."""
        weights = _language_weights(model)
        types = {name: weight.dtype for name, weight in weights.items()}
        types |= loading.stored_types(base, set(types))  # the model may have been loaded in another type
        model.float()
        for weight in weights.values():
            weight.requires_grad_(weight.is_floating_point())
        return cls(model, base, types)

    @classmethod
    def like(cls, model: Any, config: dict[str, Any]) -> Self:
        """Return the model with the weights of its base, which `tensors` returns without a copy."""
        types = {name: weight.dtype for name, weight in _language_weights(model).items()}
        return cls(model, Path(model.config.name_or_path), types)

    def weights(self) -> dict[str, torch.nn.Parameter]:
        """Return the trained weights by their names in the base, tied ones once."""
        return _language_weights(self.model)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Within the context, the model has the weights of its base, read from its directory; both are in memory.

        Raises:
            InputError: The directory does not contain all weights.
        """
        weights = _language_weights(self.model)
        trained = {name: weight.data for name, weight in weights.items()}
        original = _language_weights(loading.base_model(self.base, precision="fp32"))
        if missing := weights.keys() - original.keys():
            raise InputError(f"{self.base}: the checkpoint has no tensor named {min(missing)}")
        try:
            for name, weight in weights.items():
                weight.data = original[name].data.to(weight)
            yield
        finally:
            for name, weight in weights.items():
                weight.data = trained[name]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all weights by their names in the base, tied ones once, rounded to the types of the base."""
        return {name: weight.detach().to(self.types[name]) for name, weight in _language_weights(self.model).items()}


def _hidden(model: Any) -> int:
    return int(model.config.get_text_config(decoder=True).hidden_size)


def _language_weights(model: Any) -> dict[str, torch.nn.Parameter]:
    """Return the parameters outside of the towers that process images or sound, tied ones once."""
    towers = tuple(f"{name}." for name in classes.towers(model))
    return {name: weight for name, weight in model.named_parameters() if not name.startswith(towers or ("\0",))}
