"""Attention over packs on a CPU: part by part, each against the tokens that somebody in it sees.

A token of a pack sees its own sequence only, a small share of the pack; one product of all tokens with all would be mostly
thrown away. Registered with transformers beside its own kernels, and the same as `sdpa` for whatever is no pack.
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
_SHORTEST, _LONGEST = 48, 96  # tokens of a part: the shorter, the less is seen in vain, and the slower its products


@dataclass(frozen=True)
class Part:
    """Tokens that stand one behind another in a pack."""

    tokens: slice
    seen: torch.Tensor
    """(keys,): places of the keys that any of them sees."""
    mask: torch.Tensor
    """(tokens, keys): 0 where a token sees a key, else minus infinity."""
    keys: int
    """Of the whole pack, with its prefix."""

    def before(self, keys: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`seen` and `mask` among so many keys, the first of which stand before the pack's own."""
        further = keys - self.keys
        if not further:
            return self.seen, self.mask
        seen = torch.cat([torch.arange(further), self.seen + further])
        return seen, torch.nn.functional.pad(self.mask, (further, 0))


_parts: ContextVar[list[Part] | None] = ContextVar("parts", default=None)


def use(model: Any) -> bool:
    """Let a model read packs part by part, if it is on a CPU and its kernel is `sdpa`. Returns whether it does."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.config._attn_implementation == "sdpa" and base.device.type == "cpu":
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask

        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        base.set_attn_implementation(NAME)
    return bool(base.config._attn_implementation == NAME)


@contextmanager
def reading(visible: np.ndarray) -> Iterator[None]:
    """Within the context, what a model reads is a pack.

    Args:
        visible: (tokens, keys) of bool: what each token sees. Further keys may stand before these; all tokens see them.
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
        if last - first > _LONGEST:  # to cut where a sequence begins anew is best
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
    """As an attention function of transformers.

    Args:
        query: (rows, heads, tokens, head dim).
        key, value: (rows, key-value heads, keys, head dim).

    Returns:
        (rows, tokens, heads, head dim), and None for weights.
    """
    parts = _parts.get() or []
    # virtual tokens are read on the way, without a mask
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
        q = query[:, :, part.tokens].reshape(1, key.shape[1], -1, dim)  # the heads of one key head, one behind another
        seen, mask = part.before(key.shape[2])
        mask = mask.to(query.dtype).repeat(heads // key.shape[1], 1)
        attended = scaled_dot_product_attention(q, key[:, :, seen], value[:, :, seen], attn_mask=mask, scale=scaling)
        done.append(attended.reshape(1, heads, -1, value.shape[-1]))
    return torch.cat(done, dim=2).transpose(1, 2).contiguous(), None
