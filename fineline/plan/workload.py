"""The amount of work in a micro-step and an epoch: tokens, labels, and pairs of tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fineline.chat.tokens import TokenizedRow


@dataclass(frozen=True)
class Workload:
    """Rows that are processed together."""

    rows: int
    tokens: int
    """Number of tokens, without padding."""
    learned: int
    """Number of label positions."""
    squares: int
    """Sum of the squared lengths: the work of attention and, in some kernels, its memory are proportional to it."""
    spared: int = 0
    """Tokens that no linear layer processes: the last of each row, and the common prefix of the rows except once per
    micro-step (see `fineline.train.rows`)."""

    @property
    def worked(self) -> int:
        """Return the number of tokens that linear layers process."""
        return self.tokens - self.spared


@dataclass(frozen=True)
class Lengths:
    """Length and number of labels of every row, the longest first."""

    rows: tuple[tuple[int, int], ...]
    shared: int = 0
    """Length of the common prefix of all rows, in tokens."""

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow]) -> "Lengths":
        """Return the lengths of tokenized rows."""
        ids = [row.input_ids[:-1] for row in rows]
        shared = 0
        if ids:
            first, last = min(ids), max(ids)  # in lexical order, these two differ earliest
            most = min(len(row) for row in ids) - 1  # a row keeps one token that is not shared
            while shared < most and first[shared] == last[shared]:
                shared += 1
        return cls(tuple(sorted(((len(row.input_ids), row.learned) for row in rows), reverse=True)), shared)

    def epoch(self, batch_size: int | None = None) -> Workload:
        """Return the work of all rows in micro-steps of `batch_size`; by default in one micro-step."""
        return self._together(self.rows, math.ceil(len(self.rows) / batch_size) if batch_size else 1)

    def largest(self, batch_size: int, packing: int | None = None) -> Workload:
        """Return the largest micro-step: the `batch_size` longest rows, or rows filling as many packs of `packing` tokens."""
        if packing is None:
            return self._together(self.rows[:batch_size])
        room = batch_size * max(packing, self.rows[0][0] if self.rows else 0)
        taken, tokens = 0, 0
        for length, _ in self.rows:
            if tokens + length > room:
                break
            taken, tokens = taken + 1, tokens + length
        return self._together(self.rows[:taken])

    def _together(self, rows: Sequence[tuple[int, int]], steps: int = 1) -> Workload:
        return Workload(
            rows=len(rows),
            tokens=sum(length for length, _ in rows),
            learned=sum(learned for _, learned in rows),
            squares=sum(length * length for length, _ in rows),
            spared=len(rows) + self.shared * max(0, len(rows) - steps),
        )
