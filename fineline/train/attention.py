"""Attention over flat rows (see `rows`), registered with transformers under the name `rows`."""

from typing import Any

import torch

from fineline.train.rows import RowGroup, RowLayout

NAME = "rows"
# Up to this number of scores per head and group (rows * tokens * keys), a CPU is faster with the score matrix than with the
# flash kernel, whose backward pass computes the matrix again.
_DENSE = 1 << 19

_COMPUTED_ELSEWHERE = ("position_ids", "is_causal")
"""Arguments that need no support here: positions are in queries and keys already, and all attention is causal."""

KeyValues = list[tuple[torch.Tensor, torch.Tensor]]


class NotFlatError(Exception):
    """The attention of a model does something that attention over flat rows does not."""


def register() -> None:
    """Register the attention with transformers. A model loaded with it needs `rows=` at every call."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, rows_attention)
    AttentionMaskInterface.register(NAME, _reach)


def _reach(*_: Any, local_size: int | None = None, **__: Any) -> torch.Tensor | None:
    """Return, in place of a mask, the length of the window or chunk that a layer attends within; None without one."""
    return None if local_size is None else torch.tensor(local_size)


def rows_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    rows: RowLayout | None = None,
    learned: KeyValues | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Compute causal attention within each row and to the tokens that all rows share.

    Args:
        module: The attention layer, whose `layer_idx` selects from `learned`.
        query: (1, heads, flat tokens, head dim).
        key, value: (1, key-value heads, flat tokens, head dim).
        attention_mask: The length of the layer's window or chunk, see `register`; there is no padding.
        rows: The positions of the rows among the flat tokens.
        learned: For each layer, the key-values of virtual tokens that every row sees (prefix tuning).
        dropout, softcap, s_aux, sliding_window: What some families apply in attention; none of it is supported here, except
            a window that is as long as the rows.
        others: Further arguments of a family; one with a value may change attention, so it is refused.

    Returns:
        (1, flat tokens, heads, head dim), and None for the weights.

    Raises:
        NotFlatError: The model's layers do not pass `rows` on to attention, or need more than this attention computes.
    """
    if rows is None:
        raise NotFlatError("its layers do not pass arguments on to attention")
    if attention_mask is not None and attention_mask.dim():
        raise NotFlatError("its layers make a mask themselves")
    windows = [sliding_window, None if attention_mask is None else int(attention_mask)]
    if any(window is not None and window < rows.reach for window in windows):
        raise NotFlatError(f"rows of {rows.reach} tokens are longer than the window that its layers attend within")
    if dropout:
        raise NotFlatError("its attention has dropout")
    if softcap is not None:
        raise NotFlatError("its attention scores are capped")
    if s_aux is not None:
        raise NotFlatError("its attention has sinks")
    unknown = sorted(
        name for name, value in others.items() if value is not None and value is not False and name not in _COMPUTED_ELSEWHERE
    )
    if unknown or others.get("is_causal") is False:
        raise NotFlatError(f"its attention takes {', '.join(unknown) or 'is_causal: false'}")
    states = [part[0].transpose(0, 1) for part in (query, key, value)]  # each (flat tokens, heads, head dim)
    early: list[tuple[torch.Tensor, torch.Tensor]] = []
    if learned is not None:
        own_keys, own_values = (part[0].transpose(0, 1).to(key.dtype) for part in learned[module.layer_idx])
        early.append((own_keys, own_values))
    parts = []
    if rows.shared:
        q, k, v = (part[None, : rows.shared] for part in states)
        parts.append(_attend(q, k, v, early, scaling)[0])
        early.append((states[1][: rows.shared], states[2][: rows.shared]))
    sizes = [rows.shared, *(len(group.places) for group in rows.groups)]
    pieces = zip(*(part.split(sizes) for part in states), strict=True)
    next(pieces)  # the shared tokens
    for group, own in zip(rows.groups, pieces, strict=True):
        whole = len(own[0]) == group.rows * group.longest  # rows of equal length: nothing to pad
        spread = own if whole else tuple(_Spread.apply(part, group) for part in own)
        q, k, v = (part.unflatten(0, (group.rows, group.longest)) for part in spread)
        attended = _attend(q, k, v, early, scaling).flatten(0, 1)
        parts.append(attended if whole else _Collect.apply(attended, group))
    return (torch.cat(parts) if len(parts) > 1 else parts[0])[None], None


class _Spread(torch.autograd.Function):
    """Spread the tokens of a group (tokens, heads, dim) to its padded rows (rows * longest, heads, dim)."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, group: RowGroup) -> torch.Tensor:
        ctx.group = group
        return _spread(tokens, group)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None]:
        return outer[0].index_select(0, ctx.group.places), None


class _Collect(torch.autograd.Function):
    """The inverse of `_Spread`. Padding gets no gradient, and so passes none on to the keys that it saw."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, group: RowGroup) -> torch.Tensor:
        ctx.group = group
        return padded.index_select(0, group.places)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _spread(outer[0], ctx.group), None


def _spread(tokens: torch.Tensor, group: RowGroup) -> torch.Tensor:
    return tokens.new_zeros(group.rows * group.longest, *tokens.shape[1:]).index_copy_(0, group.places, tokens)


def _attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    early: list[tuple[torch.Tensor, torch.Tensor]],
    scaling: float,
) -> torch.Tensor:
    """Return attention over rows (rows, longest, heads, head dim), each after the same early key-values, in the same shape."""
    if early:
        k, v = (
            torch.cat([*(part[None].expand(len(q), -1, -1, -1) for part in before), own], dim=1)
            for before, own in zip(zip(*early, strict=True), (k, v), strict=True)
        )
    q, k, v = (states.transpose(1, 2).to(v.dtype) for states in (q, k, v))  # autocast may leave queries and keys in fp32
    if q.device.type == "cpu" and q.shape[0] * q.shape[2] * k.shape[2] <= _DENSE:
        return _dense(q, k, v, scaling)
    square, grouped = q.shape[2] == k.shape[2], q.shape[1] != k.shape[1]
    if grouped and q.device.type == "cuda" and q.dtype == torch.float32:
        # the fp32 kernels without a score matrix do not support grouped heads
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
        grouped = False
    attended = torch.nn.functional.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=None if square else _lower_right(q.shape[2], k.shape[2]),
        is_causal=square,
        scale=scaling,
        enable_gqa=grouped,
    )
    return attended.transpose(1, 2)


def _lower_right(tokens: int, seen: int) -> Any:
    """Return the causal mask of rows after earlier keys, in the form that flash kernels accept."""
    from torch.nn.attention.bias import causal_lower_right  # takes seconds to import

    return causal_lower_right(tokens, seen)


def _dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float) -> torch.Tensor:
    """Compute attention with the score matrix, query heads of one key head together: (rows, longest, heads, head dim)."""
    count, heads, longest, dim = q.shape
    groups, seen = k.shape[1], k.shape[2]
    together = heads // groups
    q = (q * scaling).reshape(count * groups, together * longest, dim)
    scores = torch.bmm(q, k.reshape(count * groups, seen, dim).transpose(1, 2))
    hidden = torch.ones(longest, seen, dtype=torch.bool, device=q.device).triu_(seen - longest + 1)
    mask = torch.zeros(longest, seen, dtype=scores.dtype, device=q.device).masked_fill_(hidden, -torch.inf)
    weights = torch.softmax(scores.view(-1, longest, seen).add_(mask), dim=-1).view_as(scores)
    attended = torch.bmm(weights, v.reshape(count * groups, seen, dim))
    return attended.view(count, groups * together, longest, dim).transpose(1, 2)
