"""Inference with PyTorch."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from fineline import adapters
from fineline.inference import memory, tree_attention, trials
from fineline.inference.packed_weights import PackedWeights
from fineline.inference.packs import Answers, Pack, Prompts
from fineline.inference.plain import PlainModel
from fineline.inference.rows import DecodingRows
from fineline.models.config import Precision, autocast, dtype

# Larger passes are not faster on a CPU: products reach full speed, and intermediate results stay in the cache.
_PACK_TOKENS = {"cpu": 512, "cuda": 4096}


class TorchEngine:
    """A `transformers` model, with or without an adapter, whose weights must not change while the engine is in use.

    Sequences are read as trees, and several rows at once, only where a trial on this model shows that the numbers are those of
    one row at a time (see `trials`).

    Args:
        precision: Precision of the computation.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model = model
        self.precision = precision
        self.device = next(model.parameters()).device
        self.context_length = adapters.context_length(model)
        self.pack_tokens = _PACK_TOKENS.get(self.device.type, _PACK_TOKENS["cpu"])
        self._windows = trials.windows(model.config)
        # beyond its original context, the positions of a model may be scaled by the longest row
        self._context = min(self.context_length, trials.original_context(model.config) or self.context_length)
        self._weights = PackedWeights(model)
        self._by_parts = False
        number_bytes = torch.finfo(dtype(precision)).bits // 8
        self.limits = memory.of_config(model.config, self.device.type, number_bytes)
        self.plain = PlainModel(model, precision, self._weights.used, self.limits.places)
        self._reasons: dict[str, str] = {}

    @property
    def path(self) -> str:
        """Return how the model was read so far, and why, in a sentence."""
        return "; ".join(self._reasons.values()) or "no request so far"

    @cached_property
    def tree_length(self) -> int:
        """At most a window of the model's attention; 0 for a model that does not read a tree as it reads its sequences alone
        (one that passes state from token to token)."""
        longest = min([self._context, *self._windows])
        by_parts = tree_attention.use(self.model)
        for self._by_parts in (True, False) if by_parts else (False,):
            try:
                trials.check_trees(self, self.plain, longest)
            except trials.Inexact as error:
                reason = str(error)
                tree_attention.leave(self.model)
            else:
                self._reasons["trees"] = f"sequences up to {longest} tokens are read as trees"
                return longest
        self._reasons["trees"] = f"no trees: {reason}"
        return 0

    @cached_property
    def row_length(self) -> int:
        """Longest sequence that may be read together with others in padded rows; 0 if none may."""
        longest = min([self._context, *(window for window in self._windows if window > trials.TESTED)])
        try:
            trials.check_padding(self.plain)
        except trials.Inexact as error:
            self._reasons["rows"] = f"other sequences one at a time: {error}"
            return 0
        self._reasons["rows"] = f"other sequences up to {longest} tokens in padded rows"
        return longest

    @cached_property
    def generates(self) -> trials.Rows:
        """The rows that are generated together outside of trees."""
        if getattr(self.model, "virtual_tokens", 0):  # generate() does not know them
            self._reasons["generation"] = "other prompts are continued one at a time, because of virtual tokens"
            return "single"
        reason = ""
        for padded in (True, False):
            try:
                trials.check_generation(self.plain, self._context, padded=padded)
            except trials.Inexact as error:
                reason = reason or f": {error}"
            else:
                kind = "padded rows" if padded else "rows of equal length"
                self._reasons["generation"] = f"other prompts are continued in {kind}{reason}"
                return "padded" if padded else "equal"
        self._reasons["generation"] = f"other prompts are continued one at a time{reason}"
        return "single"

    @torch.inference_mode()
    def encode(self, prefix: Sequence[int]) -> Any:
        """See `Engine.encode`."""
        pack = Pack()
        pack.add(prefix)
        return self._read(pack, self._empty(), [len(prefix) - 1]).past_key_values

    @torch.inference_mode()
    def score(self, prefix: Any, pack: Pack) -> Answers:
        """See `Engine.score`."""
        answers = Answers(len(pack.targets))
        past = self._empty() if prefix is None else prefix
        for first, last, places in pack.pieces(self.limits.places):
            output = self._read(pack, past, places or [last - 1], first, last, cached=last < len(pack))
            past = output.past_key_values
            pack.read_off(output.logits[0], places, answers)
        return answers

    @torch.inference_mode()
    def open(self, prefix: Any, packs: Sequence[Prompts], room: int) -> tuple[np.ndarray, Any]:
        """See `Engine.open`."""
        past = self._empty() if prefix is None else prefix
        tokens = []

        def caches() -> Iterator[Any]:
            for prompts in packs:
                ends = sorted({path[-1] for path in prompts.paths})
                output = self._read(prompts.pack, past, ends)
                lines = [ends.index(path[-1]) for path in prompts.paths]
                tokens.append(output.logits[0, lines].argmax(dim=-1))
                yield output.past_key_values

        rows = DecodingRows.spread(caches(), packs, room)
        return torch.cat(tokens).cpu().numpy(), rows

    @torch.inference_mode()
    def write(self, rows: DecodingRows, tokens: np.ndarray) -> np.ndarray:
        """See `Engine.write`."""
        positions = rows.lengths[:, None]
        rows.grow()
        with autocast(self.precision, self.device.type), self._weights.used():
            output = self.model(
                input_ids=torch.from_numpy(tokens).to(self.device)[:, None],
                attention_mask=rows.seen,
                position_ids=positions,
                past_key_values=rows.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        chosen: np.ndarray = output.logits[:, -1].argmax(dim=-1).cpu().numpy()
        return chosen

    @torch.inference_mode()
    def keep(self, rows: DecodingRows, kept: np.ndarray) -> None:
        """See `Engine.keep`."""
        rows.keep(torch.from_numpy(kept).to(self.device))

    def _read(
        self, pack: Pack, past: Any, keep: list[int], first: int = 0, last: int | None = None, *, cached: bool = True
    ) -> Any:
        """Run a pass over the tokens from `first` up to `last` of a pack, with logits after the places in `keep`. `past` is not
        modified."""
        part = slice(first, last or len(pack))
        visible = None if pack.is_chain else pack.visible()[part, : pack.behind + part.stop]
        if past is not None:
            layers = [copy.copy(layer) for layer in past.layers]
            past = copy.copy(past)
            past.layers = layers
        by_parts = tree_attention.reading(visible) if self._by_parts and visible is not None else nullcontext()
        with autocast(self.precision, self.device.type), by_parts, self._weights.used():
            return self.model(
                input_ids=torch.tensor([pack.tokens[part]], device=self.device),
                attention_mask=None if visible is None else self._mask(visible),
                position_ids=torch.tensor([pack.positions[part]], device=self.device),
                past_key_values=past,
                use_cache=cached,
                logits_to_keep=torch.tensor(keep, device=self.device) - first,
            )

    def _mask(self, visible: np.ndarray) -> torch.Tensor:
        """Return the mask (1, 1, tokens, all tokens so far) in the form that the model's attention accepts."""
        mask = torch.from_numpy(visible).to(self.device)[None, None]
        if self.model.config._attn_implementation == "eager":  # the mask is added to the scores
            kind = self.model.get_base_model().dtype if hasattr(self.model, "get_base_model") else self.model.dtype
            return torch.zeros_like(mask, dtype=kind).masked_fill_(~mask, torch.finfo(kind).min)
        return mask

    def _empty(self) -> Any:
        """Return the cache that a tree starts with. By default, a model with windows would keep only a window of the pack."""
        return DynamicCache() if self._windows else None
