"""The plain path: padded rows, the model's own forward pass, and cross entropy at label positions.

Everything that a model computes comes out right because the model computes it: sliding windows, capped and scaled logits,
recurrent layers, dropout. Rows are padded on the right, and a causal model never reads what follows a token.
"""

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any, Literal

import torch
from torch.nn.functional import cross_entropy

from fineline import adapters
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.models.config import Precision, autocast
from fineline.train.loss import head_loss

Batching = Literal["padded", "masked", "alone"]
"""How rows form batches: padded without a mask, padded with an attention mask, or only rows of equal length together."""
Head = Literal["chunks", "places", "logits"]
"""How logits are computed: by the head in chunks, by the model at label positions only, or by the model at all positions."""

_asked = threading.local()


def collate(rows: Sequence[TokenizedRow], batching: Batching = "padded") -> dict[str, Any]:
    """Return one micro-step.

    Args:
        rows: At least one, each with a label. The last token of a row predicts nothing and is left out, except of rows alone:
            some models compute other positions for a shorter row.

    Returns:
        `labels` (label positions,) without ignored ones, and `groups`: batches with `input_ids` (rows, tokens), `places`
        (label positions of the group,), the flat index of the token that predicts each, and `attention_mask` if masked.
    """
    rows = sorted(rows, key=lambda row: -len(row.input_ids))
    alike: dict[int, list[TokenizedRow]] = {}
    for row in rows:
        alike.setdefault(len(row.input_ids) if batching == "alone" else 0, []).append(row)
    groups, labels = [], []
    for group in alike.values():
        left_out = 0 if batching == "alone" else 1
        longest = len(group[0].input_ids) - left_out
        ids = torch.zeros(len(group), longest, dtype=torch.long)
        mask, places = torch.zeros_like(ids), []
        for line, row in enumerate(group):
            tokens = len(row.input_ids) - left_out
            ids[line, :tokens] = torch.tensor(row.input_ids[:tokens])
            ids[line, tokens:] = row.input_ids[-1]  # a token that every vocabulary has
            mask[line, :tokens] = 1
            for place, label in enumerate(row.labels[1:]):
                if label != IGNORED:
                    places.append(line * longest + place)
                    labels.append(label)
        batch = {"input_ids": ids, "places": torch.tensor(places)}
        groups.append(batch | ({"attention_mask": mask} if batching == "masked" else {}))
    return {"labels": torch.tensor(labels), "groups": groups}


def plain_loss(
    model: Any,
    batch: Mapping[str, Any],
    learned: torch.Tensor | int | None = None,
    *,
    precision: Precision = "bf16",
    head: Head = "logits",
    zeros: Sequence[str] = (),
) -> torch.Tensor:
    """Return the sum of the token losses of a micro-step divided by `learned`, or by the number of its labels.

    Args:
        model: A causal language model with an adapter; within `selecting`, unless `head` is `logits`.
        batch: The result of `collate`.
        learned: Labels in the whole optimizer step, so that accumulated micro-steps equal one large batch.
        precision: Precision of products; sums and the softmax are in fp32.
        zeros: Arguments of the forward pass that are zero for text, see `text_arguments`.
    """
    losses, first = [], 0
    for group in batch["groups"]:
        labels = batch["labels"][first : first + len(group["places"])]
        first += len(labels)
        losses.append(_loss(model, group, labels, precision, head, zeros))
    total = torch.stack(losses).sum() if len(losses) > 1 else losses[0]
    return total / (len(batch["labels"]) if learned is None else learned)


def _loss(
    model: Any,
    group: Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    precision: Precision,
    head: Head,
    zeros: Sequence[str],
) -> torch.Tensor:
    causal = model.get_base_model()
    given, virtual = inputs(model, causal, group, zeros)
    rows, tokens = group["input_ids"].shape
    places = group["places"]
    if virtual:
        places = places + (places // tokens + 1) * virtual
    _asked.places, _asked.capture = (None if head == "logits" else places), head == "chunks"
    _asked.hidden = []
    try:
        with autocast(precision, labels.device.type):
            logits = causal(**given).logits
        hidden = _asked.hidden
    finally:
        _asked.places = None
        _asked.hidden = []
    if head == "logits":
        selected = logits.reshape(rows * (tokens + virtual), -1).index_select(0, places)
        return cross_entropy(selected.float(), labels, reduction="sum")
    if len(hidden) != 1:
        raise ValueError(f"the head was used {len(hidden)} times in a forward pass")
    if head == "places":
        return cross_entropy(logits.reshape(len(labels), -1).float(), labels, reduction="sum")
    layer = causal.get_output_embeddings()
    return head_loss(hidden[0], layer.weight, getattr(layer, "bias", None), labels, precision)


def inputs(
    model: Any, causal: Any, group: Mapping[str, torch.Tensor], zeros: Sequence[str] = (), *, adapted: bool = True
) -> tuple[dict[str, Any], int]:
    """Return the arguments of a forward pass on text, and the number of virtual tokens before each row in its output.

    Args:
        zeros: Arguments that are zero for text.
        adapted: False to leave out virtual tokens.
    """
    ids, mask = group["input_ids"], group.get("attention_mask")
    given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    virtual = adapters.virtual_embeddings(model) if adapted else None
    before = 0
    if virtual is not None:
        embedded = causal.get_input_embeddings()(ids)
        given["inputs_embeds"] = torch.cat([virtual[None].to(embedded.dtype).expand(len(ids), -1, -1), embedded], dim=1)
        del given["input_ids"]
        before = len(virtual)
    prefix = adapters.virtual_key_values(model) if adapted else None
    if prefix is not None:
        from transformers import DynamicCache

        kind = causal.dtype
        pairs = [tuple(state.to(kind).expand(len(ids), -1, -1, -1) for state in pair) for pair in prefix]
        given["past_key_values"] = DynamicCache(pairs)
        before = 0
    seen = before or (0 if prefix is None else prefix[0][0].shape[2])
    if mask is not None and seen:
        given["attention_mask"] = torch.cat([mask.new_ones(len(ids), seen), mask], dim=1)
    accepted = _arguments(type(causal))
    given |= {name: ids.new_zeros(len(ids), ids.shape[1] + before) for name in zeros}
    return {name: value for name, value in given.items() if value is not None and name in accepted}, before


@torch.no_grad()
def text_arguments(model: Any, ids: torch.Tensor, precision: Precision) -> tuple[str, ...]:
    """Return the arguments that say that all tokens are text, if a model requires them in training: zeros of the rows' shape.

    Some models that also take images require them, and name them in their error. Others add embeddings for them, so that they
    are given only where they are required.

    Args:
        ids: (rows, tokens) token ids.
    """
    causal, training = model.get_base_model(), model.training
    asked: tuple[str, ...] = ()
    accepted = sorted(name for name in _arguments(type(causal)) if name.endswith("token_type_ids"))
    model.train()
    try:
        while True:
            given, _ = inputs(model, causal, {"input_ids": ids}, asked, adapted=False)
            try:
                with autocast(precision, ids.device.type):
                    causal(**given)
            except ValueError as error:
                more = tuple(name for name in accepted if name not in asked and name in str(error).replace("`", " ").split())
                if not more:
                    raise
                asked = (*asked, *more)
            else:
                return asked
    finally:
        model.train(training)


def _arguments(kind: type) -> set[str]:
    """Return the names of the arguments that the forward pass of a class takes."""
    return set(inspect.signature(kind.forward).parameters)  # type: ignore[attr-defined]


@torch.no_grad()
def head_is_last(model: Any, ids: torch.Tensor, precision: Precision, zeros: Sequence[str] = ()) -> bool:
    """True if the model's logits are the output of its head, neither scaled, capped nor masked.

    The head is made to return known numbers, so that the answer does not depend on rounding.

    Args:
        ids: (rows, tokens) token ids.
    """
    causal = model.get_base_model()
    head = causal.get_output_embeddings()
    if head is None:
        return False
    known = torch.linspace(-256, 256, head.weight.shape[0], device=ids.device)
    returned: list[torch.Tensor] = []

    def replace(_: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        returned.append(known.to(output.dtype).expand(output.shape))
        return returned[-1].clone()

    hook = head.register_forward_hook(replace)
    try:
        given, _ = inputs(model, causal, {"input_ids": ids}, zeros, adapted=False)
        with autocast(precision, ids.device.type):
            logits = causal(**given).logits
    finally:
        hook.remove()
    return len(returned) == 1 and logits.shape == returned[0].shape and torch.equal(logits.float(), returned[0].float())


@contextmanager
def selecting(model: Any) -> Iterator[None]:
    """Within the context, `plain_loss` may have the head compute at label positions only."""
    head = model.get_base_model().get_output_embeddings()
    if head is None:
        yield
        return
    original = head.forward

    def forward(module: Any, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        places = getattr(_asked, "places", None)
        if places is None:
            result: torch.Tensor = original(hidden, *args, **kwargs)
            return result
        selected = hidden.reshape(-1, hidden.shape[-1]).index_select(0, places)
        _asked.hidden.append(selected)
        if _asked.capture:
            return selected.new_zeros(1, 0, module.weight.shape[0])
        logits: torch.Tensor = original(selected[None], *args, **kwargs)
        return logits

    own = head.__dict__.get("forward")
    head.forward = MethodType(forward, head)
    try:
        yield
    finally:
        del head.__dict__["forward"]
        if own is not None:
            head.forward = own
