"""Scoring with PyTorch."""

from typing import Any

import numpy as np
import torch

from pipelines import adapters
from pipelines.precision import Precision, autocast


class TorchEngine:
    """A `transformers` model, with or without an adapter.

    Args:
        precision: What to compute in.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model = model
        self.precision = precision
        self.device = next(model.parameters()).device
        self.context_length = adapters.context_length(model)

    @torch.no_grad()
    def start(self, input_ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, Any]:
        """See `Engine.start`. Rows need no mask: attention looks back only, and padding lies behind."""
        last = torch.tensor(lengths - 1, device=self.device)
        ends, place = last.unique(return_inverse=True)  # the head runs on the positions where some row ends
        with autocast(self.precision, self.device.type):
            output = self.model(input_ids=torch.tensor(input_ids, device=self.device), use_cache=True, logits_to_keep=ends)
        logits = output.logits[torch.arange(len(lengths), device=self.device), place]
        width = torch.arange(input_ids.shape[1], device=self.device)
        return logits.float().cpu().numpy(), (output.past_key_values, width < last[:, None] + 1)

    @torch.no_grad()
    def extend(self, input_ids: np.ndarray, lengths: np.ndarray, cache: Any) -> tuple[np.ndarray, Any]:
        """See `Engine.extend`. Padding inside the cache is masked; positions count real tokens only."""
        past, seen = cache
        new = torch.tensor(input_ids, device=self.device)
        seen = torch.cat([seen, torch.ones_like(new, dtype=torch.bool)], dim=1)
        positions = torch.tensor(lengths, device=self.device)[:, None] + torch.arange(new.shape[1], device=self.device)
        with autocast(self.precision, self.device.type):
            output = self.model(
                input_ids=new, attention_mask=seen, position_ids=positions, past_key_values=past, use_cache=True
            )
        return output.logits.float().cpu().numpy(), (output.past_key_values, seen)

    def select(self, cache: Any, rows: np.ndarray) -> Any:
        """See `Engine.select`. The cache given is used up."""
        past, seen = cache
        index = torch.tensor(rows, device=self.device)
        past.batch_select_indices(index)
        return past, seen[index]
