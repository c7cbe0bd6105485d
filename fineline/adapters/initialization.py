"""Initialization of LoRA matrices: PiSSA and LoftQ from the weights of the base, EVA from the inputs of its layers.

As published, PiSSA removes the principal part from the base, so that the adapter is meaningless without the changed base. Here
the base is unchanged, and the adapter has twice the rank: A = [A_t; A_0], B = [B_t, -B_0]. Both halves start at the principal
part, so that they cancel; the first is trained and the second is frozen. The model computes what PiSSA computes, with the same
gradient, and the result is an ordinary LoRA adapter of rank 2r on the original base, which is merged and served as any other.
"""

import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from fineline.adapters.methods.method import layers_of
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

    return layers_of(model, LoraLayer)


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


_BATCHES = 8
"""Number of batches that inputs are taken from."""
_TOKENS = 256
"""Number of tokens taken from each batch, evenly spread."""


@torch.no_grad()
def eva(model: Any, batches: Iterable[dict[str, Any]]) -> None:
    """Set A to the directions in which the inputs of a layer vary most, and B to zero (Paischer et al. 2024, arXiv 2410.07170).

    Every layer has the same rank (rho = 1 in the paper). Right singular vectors are carried from batch to batch, so memory does
    not grow with the data.

    Args:
        model: A `PeftModel` with new LoRA matrices.
        batches: `input_ids` (rows, tokens), and `attention_mask` of that shape where rows are padded.
    """
    layers = lora_layers(model)
    seen = _Inputs({name: layer.r[layer.active_adapters[0]] for name, layer in layers.items()})
    hooks = [layer.get_base_layer().register_forward_pre_hook(seen.hook(name)) for name, layer in layers.items()]
    base = model.get_base_model()
    try:
        with loading.plain(base), model.disable_adapter():
            for batch in islice(batches, _BATCHES):
                inputs = {key: batch[key].to(base.device) for key in ("input_ids", "attention_mask") if key in batch}
                mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
                seen.kept = mask.bool().flatten()
                base(**inputs, use_cache=False, logits_to_keep=1)
    finally:
        for hook in hooks:
            hook.remove()
    for name, layer in layers.items():
        (adapter,) = layer.active_adapters
        directions = seen.directions(name)
        layer.lora_A[adapter].weight[: len(directions)].copy_(directions)


class _Inputs:
    """Leading right singular vectors of the inputs of each layer. Layers with the same input tensor share them."""

    def __init__(self, ranks: dict[str, int]) -> None:
        self.kept = torch.empty(0)
        """(tokens,): True for tokens of the batch that are not padding."""
        self._ranks = ranks
        self._first: dict[str, str] = {}
        """Layer -> the first layer with the same input tensor."""
        self._weighted: dict[str, torch.Tensor] = {}
        """Layer -> (directions, in): right singular vectors times their values."""
        self._last: tuple[Any, str] = (None, "")

    def hook(self, name: str) -> Any:
        def see(_: Any, args: tuple[torch.Tensor, ...]) -> None:
            x, (last, first) = args[0], self._last
            if x is last:
                self._first[name] = first
                return
            self._last = x, name
            self._first[name] = name
            rows = x.flatten(0, -2)[self.kept]
            rows = rows[:: -(-len(rows) // _TOKENS)].double()
            if name in self._weighted:
                rows = torch.cat([self._weighted[name], rows])
            # X = U S V^T and X X^T = U S^2 U^T: with few rows, this is the cheapest way to S V^T = U^T X
            _, left = torch.linalg.eigh(rows @ rows.T)
            self._weighted[name] = left[:, -2 * self._ranks[name] :].flip(1).T @ rows

        return see

    def directions(self, name: str) -> torch.Tensor:
        """Return at most rank directions (rank, in) of length one, in order of decreasing singular value."""
        weighted = self._weighted[self._first[name]]
        lengths = weighted.norm(dim=1, keepdim=True)
        present = lengths[:, 0] > 1e-6 * lengths.max()
        return (weighted / lengths)[present][: self._ranks[name]]
