"""First values of LoRA matrices that come from the weights of the base: PiSSA and LoftQ.

As published, PiSSA takes the principal part out of the base, so that the adapter is meaningless without the changed base. Here
the base stays. The adapter has twice the rank: A = [A_t; A_0], B = [B_t, -B_0]. Both halves start at the principal part, so
that they cancel; the first is trained and the second stays. What the model computes, and so the gradient, is that of PiSSA, and
the result is an ordinary LoRA adapter of rank 2r on the untouched base, which merges and serves as any other.
"""

import math
from pathlib import Path
from typing import Any

import torch

from fineline.adapters import checkpoint
from fineline.errors import InputError
from fineline.models import loading

_ITERATIONS = 16
"""Power iterations of the randomised decomposition, as in PiSSA's fast variant (arXiv 2404.02948, section 4)."""


def doubled(rank: int, alpha: float, *, root: bool) -> tuple[int, float]:
    """Rank and alpha of an adapter with a frozen half, whose scaling is that of `rank` and `alpha`.

    Args:
        root: The scaling is alpha / sqrt(rank) (rsLoRA), not alpha / rank.
    """
    return 2 * rank, alpha * (math.sqrt(2) if root else 2)


def pissa(model: Any) -> None:
    """Start at the principal singular values and vectors of each weight (Meng et al. 2024, arXiv 2404.02948, section 3).

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
    """Start at the best approximation of W - Q(W), what was lost when the base was put in four bits.

    One alternation (Li et al. 2023, arXiv 2310.08659, algorithm 1 with T = 1): Q(W) stays as it was quantised.

    Raises:
        InputError: The directory does not hold the original of a layer's weight.
    """
    layers = lora_layers(model)
    waiting = {f"{name}.weight" for name in layers}
    for weight_name, original in checkpoint.tensors(base, set(waiting)):
        waiting.discard(weight_name)
        layer = layers[weight_name.removesuffix(".weight")]
        (name,) = layer.active_adapters
        kept = loading.weight_of(layer.get_base_layer())
        lost = original.to(kept.device, torch.float32) - kept
        _set(layer, *_factors(lost / layer.scaling[name], layer.r[name]))
    if waiting:
        raise InputError(f"train.initialization: loftq finds no {min(waiting)} in {base}; use another initialization")


def lora_layers(model: Any) -> dict[str, Any]:
    """Name in the base -> layer with LoRA matrices, in order."""
    from peft.tuners.lora import LoraLayer

    return {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, LoraLayer)}


def _factors(weight: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A (rank, in) and B (out, rank), equally large, whose product is near the best approximation of weight (out, in)."""
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
    """The gradient, without that of the rows from `count` on."""
    gradient = gradient.clone()
    gradient[count:] = 0
    return gradient
