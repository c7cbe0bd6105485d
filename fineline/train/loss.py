"""Cross entropy on label positions only, with the model's head in chunks: the logits are never in memory as a whole."""

from collections.abc import Mapping
from typing import Any

import torch

from fineline import adapters
from fineline.models.config import Precision, autocast, dtype
from fineline.train import rows

HEAD_CHUNK = {"cpu": 128, "cuda": 512}
"""Label positions whose logits are in memory at once: few; more on an accelerator, where each pass reads the whole head."""


def completion_loss(
    model: Any, batch: Mapping[str, Any], learned: torch.Tensor | int | None = None, *, precision: Precision = "bf16"
) -> torch.Tensor:
    """Return the sum of the token losses of a micro-step divided by `learned`, or by the number of its labels.

    Args:
        model: A causal language model with an adapter, loaded with `attention.NAME`.
        batch: The result of `rows.collate`.
        learned: Labels in the whole optimizer step, so that accumulated micro-steps equal one large batch.
        precision: Precision of products; sums and the softmax are in fp32.
    """
    causal = model.get_base_model()
    decoder, head = causal.get_decoder(), causal.get_output_embeddings()
    layout = rows.layout(batch)
    inputs = causal.get_input_embeddings()(batch["input_ids"])
    positions = batch["position_ids"]
    virtual = adapters.virtual_embeddings(model)
    places = batch["places"]
    if virtual is not None:
        inputs = torch.cat([virtual[None].to(inputs.dtype), inputs], dim=1)
        first = torch.arange(len(virtual), device=positions.device)[None]
        positions = torch.cat([first, positions], dim=1)
        layout, places = layout.behind(len(virtual)), places + len(virtual)
    with autocast(precision, inputs.device.type):
        hidden = decoder(
            inputs_embeds=inputs,
            position_ids=positions,
            use_cache=False,
            rows=layout,
            learned=adapters.virtual_key_values(model),
        ).last_hidden_state
    total = head_loss(hidden[0].index_select(0, places), head.weight, head.bias, batch["labels"], precision)
    return total / (len(batch["labels"]) if learned is None else learned)


def head_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    labels: torch.Tensor,
    precision: Precision = "bf16",
) -> torch.Tensor:
    """Return the sum of the cross entropies of `labels` under `softmax(hidden @ weight.T + bias)`.

    Args:
        hidden: (positions, hidden size).
        weight: (vocabulary, hidden size).
        bias: (vocabulary,), if the head has one.
        labels: (positions,) token ids.
        precision: Precision of products.
    """
    total: torch.Tensor = _HeadLoss.apply(hidden, weight, bias, labels, dtype(precision))
    return total


class _HeadLoss(torch.autograd.Function):
    """The loss of a head, which computes the gradient along with it, chunk by chunk: both need the same softmax."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, bias: Any, labels: Any, kind: torch.dtype) -> torch.Tensor:
        wants_hidden, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        dense = weight.to(kind)
        d_hidden = torch.empty_like(hidden, dtype=kind) if wants_hidden else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        d_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_bias else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.no_grad(), torch.autocast(hidden.device.type, enabled=False):
            chunk = HEAD_CHUNK.get(hidden.device.type, HEAD_CHUNK["cuda"])
            for first in range(0, len(hidden), chunk):
                part = hidden[first : first + chunk].to(kind)
                wanted = labels[first : first + chunk, None]
                logits = (part @ dense.T).float()
                if bias is not None:
                    logits += bias
                highest = logits.amax(1, keepdim=True)
                total += (highest - logits.gather(1, wanted)).sum()
                scores = logits.sub_(highest).exp_()
                mass = scores.sum(1, keepdim=True)
                total += mass.log().sum()
                if not (wants_hidden or wants_weight or wants_bias):
                    continue
                share = scores.div_(mass)
                share.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=share.dtype))
                if d_bias is not None:
                    d_bias += share.sum(0)
                share = share.to(kind)
                if d_hidden is not None:
                    torch.matmul(share, dense, out=d_hidden[first : first + chunk])
                if d_weight is not None:
                    d_weight += share.T @ part
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.dtypes = hidden.dtype, weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        (scale,) = outer
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        return (
            None if d_hidden is None else (d_hidden * scale).to(ctx.dtypes[0]),
            None if d_weight is None else (d_weight * scale).to(ctx.dtypes[1]),
            None if d_bias is None else d_bias * scale,
            None,
            None,
        )
