"""Sampling: which rows share a micro-step."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from fineline.chat.tokens import TokenizedRow
from fineline.train.packing import best_fit

_POOL = 16  # batches that are sorted together: enough for similar lengths, few enough for a random order

Item = list[TokenizedRow]
"""The unit that the sampler draws: a pack of rows, or a single row."""


def items(rows: Sequence[TokenizedRow], packing: int | None) -> list[Item]:
    """Return rows as the sampler draws them: one by one, or in packs of at most `packing` tokens."""
    if packing is None:
        return [[row] for row in rows]
    return [[rows[number] for number in pack] for pack in best_fit([len(row.input_ids) for row in rows], packing)]


def size(item: Item) -> int:
    """Return the number of tokens of an item."""
    return sum(len(row.input_ids) for row in item)


class LengthGrouped(Sampler[int]):
    """A random order in which the items of one batch have similar lengths, and batches of all lengths alternate.

    Attention then pads little. The seed and the epoch decide the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; accelerate calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        pool = self.batch_size * _POOL
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            alike = sorted(order[start : start + pool], key=lambda row: self.lengths[row])
            batches.extend(alike[first : first + self.batch_size] for first in range(0, len(alike), self.batch_size))
        short = [batch for batch in batches if len(batch) < self.batch_size]  # an incomplete batch must come last
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        for place in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[place]
        for batch in short:
            yield from batch
