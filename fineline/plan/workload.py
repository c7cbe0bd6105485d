"""How many tokens a micro-step and an epoch work on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fineline.chat.tokens import Tokens


@dataclass(frozen=True)
class Workload:
    """Rows that are worked on together."""

    rows: int
    tokens: int
    """Without padding."""
    learned: int
    """Label positions."""
    squares: int
    """Sum of the squared lengths: attention's work and, in some kernels, its memory grow with it."""
    spared: int = 0
    """Tokens that no linear layer works on: the last of each row, and what rows begin with in common but for once a
    micro-step (see `fineline.train.rows`)."""

    @property
    def worked(self) -> int:
        """Tokens that linear layers work on."""
        return self.tokens - self.spared


@dataclass(frozen=True)
class Lengths:
    """Length and number of label positions of every row, the longest first."""

    rows: tuple[tuple[int, int], ...]
    shared: int = 0
    """Tokens that all rows begin with."""

    @classmethod
    def of(cls, rows: Sequence[Tokens]) -> "Lengths":
        """Those of tokenised rows."""
        ids = [row.input_ids[:-1] for row in rows]
        shared = 0
        if ids:
            first, last = min(ids), max(ids)  # in lexical order these two differ earliest
            most = min(len(row) for row in ids) - 1  # a row keeps a token of its own
            while shared < most and first[shared] == last[shared]:
                shared += 1
        return cls(tuple(sorted(((len(row.input_ids), row.learned) for row in rows), reverse=True)), shared)

    def epoch(self, batch_size: int | None = None) -> Workload:
        """All rows, in micro-steps of `batch_size`; by default in one."""
        return self._together(self.rows, math.ceil(len(self.rows) / batch_size) if batch_size else 1)

    def largest(self, batch_size: int, packing: int | None = None) -> Workload:
        """The largest micro-step: the `batch_size` longest rows, or as many as fill so many packs of `packing` tokens."""
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
