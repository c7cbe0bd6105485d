"""Rows of a batch during generation: their key-value caches in one block, with room for new tokens."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from fineline.inference.packs import Prompts


class DecodingRows:
    """Rows of different lengths. A new token is written to the same slot in all of them, after the longest prompt.

    Args:
        cache: Keys and values of the rows.
        lengths: (rows,): number of tokens so far.
        seen: (rows, slots): True for the slots with tokens of each row.
    """

    def __init__(self, cache: Any, lengths: torch.Tensor, seen: torch.Tensor) -> None:
        self.cache = cache
        self.lengths = lengths
        self.seen = seen

    @classmethod
    def spread(cls, caches: Iterable[Any], packs: Sequence[Prompts], room: int) -> "DecodingRows":
        """Return the prompts of packs as rows, copied from the caches that these were read into.

        Args:
            caches: The cache of each pack. One is needed at a time, so an iterator may compute it.
            room: Largest number of new tokens per row.
        """
        counts = [length for prompts in packs for length in prompts.lengths]
        longest, filled = max(counts), 0
        layers: list[_Slots] = []
        for cache, prompts in zip(caches, packs, strict=True):
            virtual = cache.layers[0].keys.shape[2] - prompts.pack.behind - len(prompts.pack)
            layers = layers or [_Slots.like(layer, len(counts), virtual + longest, room) for layer in cache.layers]
            slots = torch.from_numpy(prompts.slots(longest, virtual)).to(layers[0].keys.device)
            for own, layer in zip(layers, cache.layers, strict=True):
                own.fill(filled, slots, layer)
            filled += len(slots)
        device = layers[0].keys.device
        lengths = torch.tensor(counts, device=device)
        return cls(Cache(layers=list(layers)), lengths, torch.arange(longest, device=device) < lengths[:, None])

    def grow(self) -> None:
        """Count one more token for each row."""
        self.lengths = self.lengths + 1
        self.seen = torch.cat([self.seen, self.seen.new_ones(len(self.seen), 1)], dim=1)

    def keep(self, kept: torch.Tensor) -> None:
        """Continue with the given rows, in that order."""
        self.lengths, self.seen = self.lengths[kept], self.seen[kept]
        moved = (kept != torch.arange(len(kept), device=kept.device)).nonzero()[:, 0]
        for layer in self.cache.layers:
            layer.keep(len(kept), moved, kept[moved])


class _Slots(DynamicLayer):
    """A cache layer with preallocated memory; a growing one would be copied at every token.

    Args:
        keys, values: (rows, heads, slots, head dim); slots after `used` are empty.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, used: int) -> None:
        super().__init__()
        self.keys: torch.Tensor = keys
        self.values: torch.Tensor = values
        self.used = used
        self.is_initialized = True

    @classmethod
    def like(cls, layer: Any, rows: int, used: int, room: int) -> "_Slots":
        """Return memory for rows of `used` slots and `room` new tokens, for states like those of a layer."""
        shapes = [(part, (rows, part.shape[1], used + room, part.shape[3])) for part in (layer.keys, layer.values)]
        keys, values = (part.new_empty(shape) for part, shape in shapes)
        return cls(keys, values, used)

    def fill(self, first: int, slots: torch.Tensor, layer: Any) -> None:
        """Copy slots (rows, used) of a layer that a pack was read into to the rows from `first` on."""
        for state, part in ((self.keys, layer.keys), (self.values, layer.values)):
            state[first : first + len(slots), :, : self.used] = part[0][:, slots].transpose(0, 1)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (rows, heads, new tokens, head dim), and return all keys and values."""
        first, self.used = self.used, self.used + key_states.shape[2]
        self.keys[:, :, first : self.used] = key_states
        self.values[:, :, first : self.used] = value_states
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def get_seq_length(self) -> int:
        """Return the number of slots in use."""
        return self.used

    def keep(self, rows: int, places: torch.Tensor, sources: torch.Tensor) -> None:
        """Continue with the first `rows` rows, after the rows `sources` are copied to `places`."""
        for state in (self.keys, self.values):
            state[places, :, : self.used] = state[sources, :, : self.used]
        self.keys, self.values = self.keys[:rows], self.values[:rows]
