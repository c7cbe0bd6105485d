"""How an adapter of each method is folded into the weights it was trained on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from fineline.adapters.bitfit import BitFit
from fineline.adapters.full import Full

Fold = Callable[[torch.Tensor], torch.Tensor]
"""A weight or bias in fp32 on the CPU -> what stands in its place, in fp32."""


def folds(model: Any) -> dict[str, Fold]:
    """Name of a tensor in the base checkpoint -> what the adapter makes of it.

    Args:
        model: From `adapters.load`, with an adapter of a method that can be merged.
    """
    if isinstance(model, BitFit):
        return {name: partial(_moved, shift.distance.data.float().cpu()) for name, shift in model.shifts.items()}
    if isinstance(model, Full):
        return {name: partial(_replace, weight.data) for name, weight in model.get_base_model().named_parameters()}
    from peft.tuners.ia3 import IA3Layer
    from peft.tuners.lora import LoraLayer
    from peft.tuners.vera import VeraLayer

    found: dict[str, Fold] = {}
    for name, layer in model.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            found[f"{name}.weight"] = partial(_lora, layer)
        elif isinstance(layer, VeraLayer):
            found[f"{name}.weight"] = partial(_vera, layer)
        elif isinstance(layer, IA3Layer):
            found[f"{name}.weight"] = partial(_ia3, layer)
            if layer.get_base_layer().bias is not None and not layer.is_feedforward:
                found[f"{name}.bias"] = partial(_ia3_bias, layer)
    return found


def _moved(distance: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """b + distance (BitFit, arXiv 2106.10199), rounded to bf16 as it was while it was trained."""
    return (bias + distance).to(torch.bfloat16).float()


def _replace(trained: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """The trained weight itself."""
    return trained.float().cpu()


def _lora(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """W + scaling * B A (LoRA, arXiv 2106.09685, section 4.1); with DoRA its rows get a learned length (2402.09353, eq. 5)."""
    (name,) = layer.active_adapters
    a, b = (matrices[name].weight.float().cpu() for matrices in (layer.lora_A, layer.lora_B))
    moved = weight + layer.scaling[name] * (b @ a)
    if name not in layer.lora_magnitude_vector:
        return moved
    magnitude = layer.lora_magnitude_vector[name].weight.float().cpu()
    return (magnitude / moved.norm(dim=1))[:, None] * moved


def _vera(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """W + diag(b) B diag(d) A (VeRA, arXiv 2310.11454, eq. 2), A and B cut to the size of the weight (out, in)."""
    (name,) = layer.active_adapters
    size_out, size_in = weight.shape
    a, b = layer.vera_A[name][:, :size_in].float().cpu(), layer.vera_B[name][:size_out].float().cpu()
    scale_a, scale_b = layer.vera_lambda_d[name].float().cpu(), layer.vera_lambda_b[name].float().cpu()
    return weight + (scale_b[:, None] * b) @ (scale_a[:, None] * a)


def _ia3(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """Columns times l where the input is rescaled, rows times l where the output is ((IA)^3, arXiv 2205.05638, section 3.3)."""
    (name,) = layer.active_adapters
    scale = layer.ia3_l[name].float().cpu().flatten()
    return weight * (scale if layer.is_feedforward else scale[:, None])


def _ia3_bias(layer: Any, bias: torch.Tensor) -> torch.Tensor:
    """What is added before the output is rescaled is rescaled with it."""
    (name,) = layer.active_adapters
    return bias * layer.ia3_l[name].float().cpu().flatten()
