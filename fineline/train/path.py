"""A path: how the rows of a micro-step are collated, and how their loss is computed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from fineline.chat.tokens import TokenizedRow
from fineline.models.config import Precision
from fineline.train import attention, loss, plain, rows
from fineline.train.fused import fused


@dataclass(frozen=True)
class TrainingPath:
    """How micro-steps are collated and their loss is computed."""

    name: Literal["flat", "plain"]
    reason: str
    """Why this path, for training.json."""
    batching: plain.Batching = "padded"
    head: plain.Head = "chunks"
    fused: bool = True
    virtual: int = 0
    """Virtual tokens before every row."""
    zeros: tuple[str, ...] = ()
    """Arguments of the forward pass that say that all tokens are text, see `fineline.train.plain.text_arguments`."""

    def collate(self, given: Sequence[TokenizedRow]) -> dict[str, Any]:
        """Return rows as one part of a micro-step; `labels` contains its label positions."""
        if self.name == "flat":
            return rows.collate(given, virtual=self.virtual)
        return plain.collate(given, self.batching)

    def loss(self, model: Any, part: dict[str, Any], learned: torch.Tensor | int | None, precision: Precision) -> torch.Tensor:
        """Return the sum of the token losses of a part divided by `learned`, within `ready`."""
        if self.name == "flat":
            return loss.completion_loss(model, part, learned, precision=precision)
        return plain.plain_loss(model, part, learned, precision=precision, head=self.head, zeros=self.zeros)

    @contextmanager
    def ready(self, model: Any) -> Iterator[None]:
        """Within the context, the model is prepared for this path."""
        causal = model.get_base_model()
        before = causal.config._attn_implementation
        with ExitStack() as stack:
            if self.fused:
                stack.enter_context(fused(model))
            if self.name == "flat":
                causal.set_attn_implementation(attention.NAME)
                stack.callback(causal.set_attn_implementation, before)
            elif self.head != "logits":
                stack.enter_context(plain.selecting(model))
            yield
