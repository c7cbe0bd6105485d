"""Which rows share a batch, and what a batch looks like."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from pipelines.tokens import IGNORED, Tokens

_POOL = 16  # batches that are sorted together: enough to make lengths alike, few enough to stay random


class LengthGrouped(Sampler[int]):
    """A random order in which the rows of one batch are of like length, and batches of all lengths alternate.

    Padding then costs a few percent. Each epoch has an order of its own, decided by the seed.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
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
        short = [batch for batch in batches if len(batch) < self.batch_size]  # only whole batches may stand inside
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        for place in torch.randperm(len(whole), generator=generator).tolist():
            yield from whole[place]
        for batch in short:
            yield from batch


def collate(rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Pad rows at the right to the longest: `input_ids` and `labels`, both (rows, tokens).

    There is no attention mask: attention looks back only, so a row never sees the padding behind it.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    input_ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED)
    for place, row in enumerate(rows):
        input_ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        labels[place, : len(row["labels"])] = torch.tensor(row["labels"])
    return {"input_ids": input_ids, "labels": labels}


def dataset(rows: Sequence[Tokens]) -> list[dict[str, list[int]]]:
    """Rows in the form that `transformers.Trainer` takes."""
    return [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
