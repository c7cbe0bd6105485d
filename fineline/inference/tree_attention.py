"""Attention over packs on a CPU: part by part, each with only the tokens that a token of the part sees.

A token of a pack sees only its sequence, a small share of the pack; most of the product of all tokens with all would be
discarded. The kernel is registered with transformers, and equals `sdpa` for inputs that are not packs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "sdpa_by_parts"
_SHORTEST, _LONGEST = 48, 96  # tokens of a part: shorter parts compute fewer masked scores, and have slower products


@dataclass(frozen=True)
class Part:
    """Consecutive tokens of a pack."""

    tokens: slice
    seen: torch.Tensor
    """(keys,): places of the keys that at least one of the tokens sees."""
    mask: torch.Tensor
    """(tokens, keys): 0 if a token sees a key, else minus infinity."""
    keys: int
    """Number of keys of the whole pack, with its prefix."""

    def before(self, keys: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `seen` and `mask` for `keys` keys, the first of which precede those of the pack."""
        further = keys - self.keys
        if not further:
            return self.seen, self.mask
        seen = torch.cat([torch.arange(further), self.seen + further])
        return seen, torch.nn.functional.pad(self.mask, (further, 0))


_parts: ContextVar[list[Part] | None] = ContextVar("parts", default=None)


def use(model: Any) -> bool:
    """Let a model read packs part by part if it is on a CPU and its kernel is `sdpa`, and return True if it does."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.config._attn_implementation == "sdpa" and base.device.type == "cpu":
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask

        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        base.set_attn_implementation(NAME)
    return bool(base.config._attn_implementation == NAME)


def leave(model: Any) -> None:
    """Let a model compute attention as it did before `use`."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.config._attn_implementation == NAME:
        base.set_attn_implementation("sdpa")


@contextmanager
def reading(visible: np.ndarray) -> Iterator[None]:
    """Within the context, the input of a model is a pack.

    Args:
        visible: (tokens, keys) of bool: the keys that each token sees. Further keys may precede these; all tokens see them.
    """
    token = _parts.set(list(_cut(visible)))
    try:
        yield
    finally:
        _parts.reset(token)


def _cut(visible: np.ndarray) -> Iterator[Part]:
    depth = visible.sum(axis=1)
    first = 0
    while first < len(visible):
        last = len(visible)
        if last - first > _LONGEST:  # the best cut is where a new sequence begins
            last = first + _SHORTEST + int(depth[first + _SHORTEST : first + _LONGEST + 1].argmin())
        rows = visible[first:last]
        seen = np.flatnonzero(rows.any(axis=0))
        mask = torch.zeros(len(rows), len(seen)).masked_fill_(torch.from_numpy(~rows[:, seen]), -torch.inf)
        yield Part(slice(first, last), torch.from_numpy(seen), mask, visible.shape[1])
        first = last


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention; the signature is that of an attention function of transformers.

    Args:
        query: (rows, heads, tokens, head dim).
        key, value: (rows, key-value heads, keys, head dim).

    Returns:
        (rows, tokens, heads, head dim), and None for the weights.
    """
    parts = _parts.get() or []
    # virtual tokens are read in the same context, without a mask
    packed = attention_mask is not None and sum(len(part.mask) for part in parts) == query.shape[2]
    if not packed or others.get("position_bias") is not None or others.get("softcap") is not None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return result
    _, heads, _, dim = query.shape
    done = []
    for part in parts:
        q = query[:, :, part.tokens].reshape(1, key.shape[1], -1, dim)  # the heads of one key head, one after another
        seen, mask = part.before(key.shape[2])
        mask = mask.to(query.dtype).repeat(heads // key.shape[1], 1)
        attended = scaled_dot_product_attention(q, key[:, :, seen], value[:, :, seen], attn_mask=mask, scale=scaling)
        done.append(attended.reshape(1, heads, -1, value.shape[-1]))
    return torch.cat(done, dim=2).transpose(1, 2).contiguous(), None
