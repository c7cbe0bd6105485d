"""Checks that a model can be trained on flat rows, before it is trained."""

from collections.abc import Sequence
from typing import Any

import torch

from fineline.chat.tokens import TokenizedRow
from fineline.errors import InputError
from fineline.models.config import Precision, autocast
from fineline.train import attention, rows
from fineline.train.loss import completion_loss

# Scalings that some families apply between the head and the loss; `completion_loss` does not apply them.
_SCALED_LOGITS = ("final_logit_softcapping", "logits_scaling", "logit_scale", "lm_head_multiplier", "logits_soft_cap")
# Layers that pass state from token to token other than by attention.
_RECURRENT = ("conv1d", "mamba", "ssm", "linear_attn", "short_conv", "recurrent", "rwkv", "rglru")
_TRIAL_TOKENS = 48  # of a row
_DIFFERENT = 0.01  # relative difference of two losses, more than bf16 rounding explains


def model(causal: Any) -> None:
    """Raise `InputError` if a causal language model has a feature that flat rows or `completion_loss` would silently skip."""
    config = causal.config.get_text_config()
    kind = causal.config.model_type
    for name in _SCALED_LOGITS:
        if getattr(config, name, None) not in (None, 1.0):
            raise InputError(f"models that scale their logits ({name}) are not supported yet: {kind}")
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise InputError(f"models that attend through a sliding window are not supported yet: {kind}")
    for name in ("attention_dropout", "attn_pdrop"):
        if getattr(config, name, 0.0):
            raise InputError(f"{name} in config.json is not supported ({kind}); set it to 0 and use `train.dropout`")
    layers = {layer for layer in getattr(config, "layer_types", None) or () if layer != "full_attention"}
    layers |= {sign for sign in _RECURRENT for name, _ in causal.named_modules() if sign in name.lower()}
    if layers:
        raise InputError(
            f"models with layers other than full attention ({', '.join(sorted(layers))}) are not supported: {kind}"
        )


def flat_rows(causal: Any, given: Sequence[TokenizedRow], precision: Precision = "bf16") -> None:
    """Compare the loss of a few flat rows with the model's own loss of each row alone.

    Raises:
        InputError: The losses differ: the model computes something between tokens, or on its logits, that is not supported.
    """
    short = [
        TokenizedRow(row.input_ids[:_TRIAL_TOKENS], row.input_ids[:_TRIAL_TOKENS])
        for row in given[:3]
        if len(row.input_ids) > 2
    ]
    device = next(causal.parameters()).device
    causal.eval()
    own, count, implementation = 0.0, 0, causal.config._attn_implementation
    with torch.no_grad():
        for row in short:
            ids = torch.tensor([row.input_ids], device=device)
            with autocast(precision, device.type):
                logits = causal(input_ids=ids, use_cache=False).logits[0, :-1].float()
            own += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
            count += len(row.input_ids) - 1
        causal.set_attn_implementation(attention.NAME)
        try:
            together = completion_loss(_Plain(causal), _on(rows.collate(short), device), 1, precision=precision).item()
        finally:
            causal.set_attn_implementation(implementation)
    if abs(together - own) > _DIFFERENT * abs(own):
        raise InputError(
            f"{causal.config.model_type} computes something that rows in one sequence do not: a loss of {together / count:.4f}"
            f" instead of {own / count:.4f}; fineline cannot train such models yet"
        )


class _Plain:
    """A causal language model in the form that `completion_loss` accepts."""

    def __init__(self, causal: Any) -> None:
        self.causal = causal

    def get_base_model(self) -> Any:
        return self.causal


def _on(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    moved = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    return moved | {"group_places": [places.to(device) for places in batch["group_places"]]}
