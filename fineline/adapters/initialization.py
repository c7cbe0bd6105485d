"""PiSSA and LoftQ: initialization of LoRA matrices from the weights of the base.

As published, PiSSA removes the principal part from the base, so that the adapter is meaningless without the changed base. Here
the base is unchanged, and the adapter has twice the rank: A = [A_t; A_0], B = [B_t, -B_0]. Both halves start at the principal
part, so that they cancel; the first is trained and the second is frozen. The model computes what PiSSA computes, with the same
gradient, and the result is an ordinary LoRA adapter of rank 2r on the original base, which is merged and served as any other.
"""

import math
from pathlib import Path
from typing import Any

import torch

from fineline.errors import ParameterError
from fineline.models import loading

_ITERATIONS = 16
"""Power iterations of the randomized decomposition, as in PiSSA's fast variant (arXiv 2404.02948, section 4)."""


def doubled(rank: int, alpha: float, *, root: bool) -> tuple[int, float]:
    """Return rank and alpha of an adapter with a frozen half and the scaling of `rank` and `alpha`.

    Args:
        root: True if the scaling is alpha / sqrt(rank) (rsLoRA) instead of alpha / rank.
    """
    return 2 * rank, alpha * (math.sqrt(2) if root else 2)


def pissa(model: Any) -> None:
    """Set A and B to the principal singular values and vectors of each weight (Meng et al. 2024, arXiv 2404.02948, section 3).

    Args:
        model: A `PeftModel` with LoRA matrices of twice the rank that is trained.
    """
    for layer in lora_layers(model).values():
        (name,) = layer.active_adapters
        rank = layer.r[name] // 2
        a, b = _factors(loading.weight_of(layer.get_base_layer()) / layer.scaling[name], rank)
        _set(layer, torch.cat([a, a]), torch.cat([b, -b], dim=1))
        layer.lora_A[name].weight.register_hook(lambda gradient, rank=rank: _first_rows(gradient, rank))
        layer.lora_B[name].weight.register_hook(lambda gradient, rank=rank: _first_rows(gradient.T, rank).T)


def loftq(model: Any, base: Path) -> None:
    """Set A and B to the best approximation of the quantization error W - Q(W).

    One alternation (Li et al. 2023, arXiv 2310.08659, algorithm 1 with T = 1): Q(W) is not quantized again.

    Raises:
        InputError: The directory does not contain the original weight of a layer.
    """
    layers = lora_layers(model)
    waiting = {f"{name}.weight" for name in layers}
    for weight_name, original in loading.stored_tensors(base, set(waiting)):
        waiting.discard(weight_name)
        layer = layers[weight_name.removesuffix(".weight")]
        (name,) = layer.active_adapters
        kept = loading.weight_of(layer.get_base_layer())
        lost = original.to(kept.device, torch.float32) - kept
        _set(layer, *_factors(lost / layer.scaling[name], layer.r[name]))
    if waiting:
        raise ParameterError("train.initialization", f"loftq needs {min(waiting)}, which {base} lacks; use another one")


def lora_layers(model: Any) -> dict[str, Any]:
    """Return the layers with LoRA matrices by their names in the base, in order."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, LoraLayer)}


def _factors(weight: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A (rank, in) and B (out, rank), equally large, whose product is close to the best approximation."""
    sampled = min(2 * rank, *weight.shape)
    left, values, right = torch.svd_lowrank(weight, q=sampled, niter=_ITERATIONS)
    size = values[:rank].sqrt()
    a, b = size[:, None] * right[:, :rank].T, left[:, :rank] * size
    missing = rank - len(size)  # a weight has no more singular values than rows or columns
    return torch.nn.functional.pad(a, (0, 0, 0, missing)), torch.nn.functional.pad(b, (0, missing))


@torch.no_grad()
def _set(layer: Any, a: torch.Tensor, b: torch.Tensor) -> None:
    (name,) = layer.active_adapters
    layer.lora_A[name].weight.copy_(a)
    layer.lora_B[name].weight.copy_(b)


def _first_rows(gradient: torch.Tensor, count: int) -> torch.Tensor:
    """Return the gradient with zeros in the rows from `count` on."""
    gradient = gradient.clone()
    gradient[count:] = 0
    return gradient
