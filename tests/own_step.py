"""A training step of transformers itself on text alone, with the model's own forward pass and loss."""

from inspect import signature
from typing import Any

import torch

from tests import zoo

TOKENS = 16


def reason_against(entry: zoo.Entry) -> str:
    """Return why transformers cannot build a class, or cannot train a step of it on tokens of text; empty if it can.

    Two rows of text are given with labels, and zeros for what the model asks for to know that all tokens are text.
    """
    try:
        model = zoo.build(entry.model_type, entry.kind).train()
        draw = torch.Generator().manual_seed(0)
        ids = torch.randint(5, zoo.VOCABULARY // 2, (2, _length(model)), generator=draw)
        loss = _loss(model, ids)
        if loss is None:
            return "it computes no loss from labels"
        loss.backward()
    except Exception as error:
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return text if len(text) <= 160 else text[:160].rpartition(" ")[0]
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    if not any(bool(gradient.any()) for gradient in gradients):
        return "no gradient reaches a weight"
    return "" if all(bool(torch.isfinite(gradient).all()) for gradient in gradients) else "its gradient is not finite"


def _length(model: Any) -> int:
    """Return the number of tokens of a row: as many as axial position embeddings have, which accept no other number."""
    config = model.config
    shape = getattr(config, "axial_pos_shape", None) if getattr(config, "axial_pos_embds", False) else None
    return int(torch.tensor(shape).prod()) if shape else TOKENS


def _loss(model: Any, ids: torch.Tensor) -> Any:
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in signature(model.forward).parameters else {}
    try:
        return model(input_ids=ids, labels=ids, **options).loss
    except ValueError as error:
        asked = [name for name in ("token_type_ids", "mm_token_type_ids") if name in str(error)]
        if not asked:
            raise
        return model(input_ids=ids, labels=ids, **options, **{name: torch.zeros_like(ids) for name in asked}).loss
