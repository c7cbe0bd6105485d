"""Inference with PyTorch."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from fineline import adapters
from fineline.inference import tree_attention
from fineline.inference.packed_weights import PackedWeights
from fineline.inference.packs import Answers, Pack, Prompts
from fineline.inference.rows import DecodingRows
from fineline.models.config import Precision, autocast

# Larger passes are not faster on a CPU: products reach full speed, and intermediate results stay in the cache.
_PACK_TOKENS = {"cpu": 512, "cuda": 4096}
_PIECE = 1024  # tokens whose logits may be in memory at once


class TorchEngine:
    """A `transformers` model, with or without an adapter, whose weights must not change while the engine is in use.

    Args:
        precision: Precision of the computation.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model = model
        self.precision = precision
        self.device = next(model.parameters()).device
        self.context_length = adapters.context_length(model)
        self.pack_tokens = _PACK_TOKENS.get(self.device.type, _PACK_TOKENS["cpu"])
        config = model.config.get_text_config()
        windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
        self._windows = [window for window in windows if window]
        self._by_parts = tree_attention.use(model)
        self._weights = PackedWeights(model)

    @cached_property
    def tree_length(self) -> int:
        """At most a window of the model's attention; 0 for a model that ignores an attention mask (one that passes state from
        token to token)."""
        return min([self.context_length, *self._windows]) if self._reads_trees() else 0

    def _reads_trees(self) -> bool:
        """True if a tree gives the same results as its sequences alone."""
        sequence, tokens = (1, 2, 5, 6), (6, 7, 8, 9)
        pack, alone = Pack(), Pack()
        pack.ask(pack.add((1, 2, 3, 4)), tokens)
        numbers = pack.ask(pack.add(sequence), tokens)
        alone.ask(alone.add(sequence), tokens)
        try:
            found = self.score(None, pack).scores[numbers]
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            return False
        tolerance = 1e-3 if self.precision == "fp32" else 0.1
        return np.allclose(found, self.score(None, alone).scores, rtol=0, atol=tolerance, equal_nan=True)

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
        past = self._empty() if prefix is None and not pack.is_chain else prefix
        for first, last, places in pack.pieces(_PIECE):
            output = self._read(pack, past, places or [last - 1], first, last, cached=last < len(pack))
            past = output.past_key_values
            pack.read_off(output.logits[0], places, answers)
        return answers

    @torch.inference_mode()
    def open(self, prefix: Any, packs: Sequence[Prompts], room: int) -> tuple[np.ndarray, Any]:
        """See `Engine.open`. A single row continues with the model's own type of cache."""
        single = sum(len(prompts.paths) for prompts in packs) == 1
        past = self._empty() if prefix is None and not single else prefix
        tokens, caches = [], []
        for prompts in packs:
            ends = sorted({path[-1] for path in prompts.paths})
            output = self._read(prompts.pack, past, ends)
            lines = [ends.index(path[-1]) for path in prompts.paths]
            tokens.append(output.logits[0, lines].argmax(dim=-1))
            caches.append(output.past_key_values)
        rows = DecodingRows.alone(caches[0], packs[0], self.device) if single else DecodingRows.spread(caches, packs, room)
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
