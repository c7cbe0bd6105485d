"""EVA: initialization of LoRA matrices from the inputs of the layers."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch

from fineline.adapters.initialization import lora_layers
from fineline.adapters.reading import plain

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
        with plain(base), model.disable_adapter():
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
