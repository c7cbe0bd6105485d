"""Rows of a batch during generation: their key-value caches in one block, with room for new tokens."""

from collections.abc import Sequence
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
    def spread(cls, caches: Sequence[Any], packs: Sequence[Prompts], room: int) -> "DecodingRows":
        """Return the prompts of packs as rows, copied from the caches that these were read into.

        Args:
            room: Largest number of new tokens per row.
        """
        device = caches[0].layers[0].keys.device
        lengths = torch.tensor([length for prompts in packs for length in prompts.lengths], device=device)
        longest = int(lengths.max())
        by_layer = zip(*(cache.layers for cache in caches), strict=True)
        layers: list[Any] = [_Slots.gathered(parts, packs, longest, room) for parts in by_layer]
        return cls(Cache(layers=layers), lengths, torch.arange(longest, device=device) < lengths[:, None])

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
    def gathered(cls, parts: Sequence[Any], packs: Sequence[Prompts], longest: int, room: int) -> "_Slots":
        """Return the rows of packs, copied from one layer of the caches that these were read into."""
        states: list[torch.Tensor] = []
        for name in ("keys", "values"):
            blocks = [getattr(part, name) for part in parts]  # each (1, heads, virtual + prefix + pack, head dim)
            virtual = blocks[0].shape[2] - packs[0].pack.behind - len(packs[0].pack)
            rows = sum(len(prompts.paths) for prompts in packs)
            state = blocks[0].new_empty(rows, blocks[0].shape[1], virtual + longest + room, blocks[0].shape[3])
            filled = 0
            for block, prompts in zip(blocks, packs, strict=True):
                slots = torch.from_numpy(prompts.slots(longest, virtual)).to(block.device)
                state[filled : filled + len(slots), :, : virtual + longest] = block[0][:, slots].transpose(0, 1)
                filled += len(slots)
            states.append(state)
        keys, values = states
        return cls(keys, values, virtual + longest)

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
