"""How many tokens a micro-step and an epoch work on."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.tokens import Tokens


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


@dataclass(frozen=True)
class Lengths:
    """Length and number of label positions of every row, the longest first."""

    rows: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Sequence[Tokens]) -> "Lengths":
        """Those of tokenised rows."""
        return cls(tuple(sorted(((len(row.input_ids), row.learned) for row in rows), reverse=True)))

    def epoch(self) -> Workload:
        """All rows."""
        return _workload(self.rows)

    def largest(self, batch_size: int, packing: int | None = None) -> Workload:
        """The largest micro-step: the `batch_size` longest rows, or as many as fill so many packs of `packing` tokens."""
        if packing is None:
            return _workload(self.rows[:batch_size])
        room = batch_size * max(packing, self.rows[0][0] if self.rows else 0)
        taken, tokens = 0, 0
        for length, _ in self.rows:
            if tokens + length > room:
                break
            taken, tokens = taken + 1, tokens + length
        return _workload(self.rows[:taken])


def _workload(rows: Sequence[tuple[int, int]]) -> Workload:
    return Workload(
        rows=len(rows),
        tokens=sum(length for length, _ in rows),
        learned=sum(learned for _, learned in rows),
        squares=sum(length * length for length, _ in rows),
    )
