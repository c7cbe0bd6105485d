"""Cross entropy on completion tokens, computed only where there is a label."""

from typing import Any

import torch

from pipelines.errors import InputError
from pipelines.tokens import IGNORED

# Scalings that some families apply between the head and the loss; ours would leave them out, so they are refused.
_SCALED_LOGITS = ("final_logit_softcapping", "logits_scaling", "logit_scale")


def check_head(model: Any) -> None:
    """Raise `InputError` if the model does more to its logits than multiply by the head."""
    for name in _SCALED_LOGITS:
        if getattr(model.config, name, None) not in (None, 1.0):
            raise InputError(f"models that scale their logits ({name}) are not supported yet: {model.config.model_type}")


def completion_loss(
    model: Any, input_ids: torch.Tensor, labels: torch.Tensor, learned: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Sum of the token losses divided by `learned`, or by the labels of this batch.

    The head, a fifth of a small model's work, runs on label positions only.

    Args:
        model: A causal language model, with or without PEFT layers inside.
        input_ids: (rows, tokens).
        labels: (rows, tokens), IGNORED where nothing is learned.
        learned: Labels in the whole optimizer step, so that accumulated micro-steps weigh as one large batch.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    with torch.autocast(input_ids.device.type, torch.bfloat16):
        hidden = causal.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
        places = (labels[:, 1:] != IGNORED).flatten().nonzero().squeeze(1)
        learned_hidden = hidden[:, :-1].flatten(0, 1).index_select(0, places)
        logits = causal.get_output_embeddings()(learned_hidden)
    wanted = labels[:, 1:].flatten().index_select(0, places)
    total = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
    return total / (len(wanted) if learned is None else learned)
