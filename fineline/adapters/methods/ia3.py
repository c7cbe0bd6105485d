"""(IA)^3: trained scales of keys, values and the inner activations of the MLP (Liu et al. 2022, arXiv 2205.05638)."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.method import (
    ONLY_LORA,
    Merge,
    PeftMethod,
    SavedBytes,
    adaptable_layers,
    in_attention,
    layers_of,
    needed,
)

if TYPE_CHECKING:
    import torch

    from fineline.models.shape import Shape
    from fineline.project.params.training import Train


@dataclass(frozen=True)
class Ia3(PeftMethod):
    """(IA)^3. Merged: columns times l where the input is rescaled, rows times l where the output is (section 3.3)."""

    peft_types = ("IA3",)
    saved_bytes = SavedBytes(bf16=(8.1, 10.1, 8.2), fp32=(16.1, 16.1, 16.2))

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return an `IA3Config`."""
        from peft import IA3Config

        from fineline.adapters.targets import rescaled_layers

        layers, inner = rescaled_layers(model)
        return IA3Config(target_modules=layers, feedforward_modules=inner, **self.task)

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return the merge of every rescaled weight, and of biases that are added before the output is rescaled."""
        from peft.tuners.ia3 import IA3Layer

        found: dict[str, Merge] = {}
        for name, layer in layers_of(model, IA3Layer).items():
            found[f"{name}.weight"] = partial(_merge_weight, layer)
            if layer.get_base_layer().bias is not None and not layer.is_feedforward:
                found[f"{name}.bias"] = partial(_merge_bias, layer)
        return found

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """A scale per feature of keys, of values, and of the input of the last layer of the MLP."""
        layers = adaptable_layers(shape)
        attended = sum(layer.rows for layer in layers if in_attention(layer) and layer.kind.startswith(("k", "v")))
        inner = sum(
            layer.columns
            for layer in layers
            if not in_attention(layer) and layer.rows == shape.hidden and layer.columns != layer.rows
        )
        return needed(attended + inner if attended and inner else 0, self.name, "separate keys and values and an MLP")


def _scale(layer: Any) -> "torch.Tensor":
    (name,) = layer.active_adapters
    scale: torch.Tensor = layer.ia3_l[name].float().cpu().flatten()
    return scale


def _merge_weight(layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
    return weight * (_scale(layer) if layer.is_feedforward else _scale(layer)[:, None])


def _merge_bias(layer: Any, bias: "torch.Tensor") -> "torch.Tensor":
    return bias * _scale(layer)


IA3 = Ia3("ia3", "Liu et al. 2022, arXiv 2205.05638", not_servable=ONLY_LORA)
