"""Forward passes through a model that was loaded for training, to read what its layers compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def plain(model: Any) -> Iterator[None]:
    """Within the context, a causal language model takes padded rows, applies no dropout, and computes no gradient."""
    kernel, training = model.config._attn_implementation, model.training
    model.config._attn_implementation = "sdpa"
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.config._attn_implementation = kernel
        model.train(training)


@contextmanager
def without_recomputing(model: torch.nn.Module) -> Iterator[None]:
    """Within the context, no block of a model is marked for recomputation in the backward pass."""
    marked = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    for module in marked:
        module.gradient_checkpointing = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in marked:
            module.gradient_checkpointing = True  # type: ignore[assignment]
