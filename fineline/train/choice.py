"""The choice of the path that a model is trained on: the fastest one that passes a trial on that very model."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from fineline.chat.tokens import TokenizedRow
from fineline.errors import InputError
from fineline.models.config import Precision
from fineline.train import attention, plain, trial
from fineline.train.path import TrainingPath
from fineline.train.trial import Trial

BATCHINGS: tuple[plain.Batching, ...] = ("padded", "masked", "alone")
"""Batches of the plain path, the fastest first."""


def choose(model: Any, given: Sequence[TokenizedRow], precision: Precision, virtual: int = 0) -> TrainingPath:
    """Return the fastest path that computes what the model computes.

    Args:
        model: A causal language model with an adapter, as it will be trained.
        given: The rows that it will be trained and validated on.
        virtual: Virtual tokens before every row.

    Raises:
        InputError: The model cannot be run on text alone, computes no finite loss, or sees tokens that follow.
    """
    attention.register()
    wide = precision == "bf16" and trial.can_be_widened(model)
    with trial.widened(model) if wide else nullcontext():
        return _choose(Trial(model, trial.sample(given), "fp32" if wide else precision), given, virtual)


def _choose(tried: Trial, given: Sequence[TokenizedRow], virtual: int) -> TrainingPath:
    tried.check()
    reach = max(len(row.input_ids) for row in given) - 1 + virtual
    flat = TrainingPath("flat", "equal loss and gradient in a trial on this model", virtual=virtual)
    stretched = _stretched(tried.model.get_base_model(), reach)
    reason = stretched or tried.difference(flat, reach)
    if reason and not stretched:
        reason = tried.difference(flat := replace(flat, fused=False), reach)
    if not reason:
        return flat
    cause = f"rows in one sequence are not exact: {reason}"
    if _loses_prefix(tried.model):
        raise InputError(
            f"train.recompute: {tried.kind} models cannot recompute blocks with a prefix ({cause}); set it to false, or use"
            " another method"
        )
    differences = []
    batchings: tuple[plain.Batching, ...] = ("alone",) if stretched else BATCHINGS
    for path in plain_paths(cause, virtual, tried.zeros, batchings):
        reason = tried.difference(path)
        if not reason:
            return path
        differences.append(reason)
    raise InputError(f"{tried.kind}: padded rows change what the model computes, and so do rows alone: {differences[-1]}")


def _stretched(causal: Any, reach: int) -> str:
    """Return why rows must not share a forward pass: the longest one in it decides the rotary embeddings of all.

    Rotary embeddings of the types dynamic and longrope depend on the length of a batch beyond a number of tokens.

    Args:
        reach: Tokens of the longest row.
    """
    for module in causal.modules():
        kind = getattr(module, "rope_type", None)
        kinds = kind.values() if isinstance(kind, dict) else [kind]
        if not any(isinstance(one, str) and ("dynamic" in one or one == "longrope") for one in kinds):
            continue
        config = getattr(module, "config", causal.config).get_text_config(decoder=True)
        rope = getattr(config, "rope_parameters", None) or {}
        limit = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
        limit = limit or getattr(config, "max_position_embeddings", None)
        if limit and reach >= limit:
            return f"its rotary embeddings depend on the longest row of a batch beyond {limit} tokens"
    return ""


def plain_paths(
    reason: str,
    virtual: int,
    zeros: tuple[str, ...] = (),
    batchings: Sequence[plain.Batching] = BATCHINGS,
) -> Iterator[TrainingPath]:
    """Yield the plain paths, the fastest first."""
    heads: tuple[plain.Head, ...] = ("chunks", "places", "logits")
    for batching in batchings:
        for head in heads:
            for fusion in (True, False):
                yield TrainingPath("plain", reason, batching, head, fusion, virtual, zeros)


def _loses_prefix(model: Any) -> bool:
    """True if the model would drop a prefix: transformers passes no cache to blocks that are recomputed."""
    from fineline.adapters.virtual import has_prefix

    return has_prefix(model) and bool(getattr(model.get_base_model(), "is_gradient_checkpointing", False))
