"""The amount of work in a training run, in proportion to that of its base, and its cost, in numbers and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fineline.project.params.project import Costs

if TYPE_CHECKING:
    from fineline.chat.tokens import TokenizedRow


_T = 10**12
_TOKENS = {
    "smollm-135m": 0.6 * _T, "smollm-360m": 0.6 * _T, "smollm-1.7b": _T,
    "smollm2-135m": 2 * _T, "smollm2-360m": 4 * _T, "smollm2-1.7b": 11 * _T, "smollm3-3b": 11.2 * _T,
    "llama-2": 2 * _T, "llama-3": 15 * _T, "llama-3.1": 15 * _T, "llama-3.2": 9 * _T, "llama-3.3": 15 * _T,
    "qwen2.5": 18 * _T, "qwen3": 36 * _T,
    "gemma-2-2b": 2 * _T, "gemma-2-9b": 8 * _T, "gemma-2-27b": 13 * _T,
    "gemma-3-1b": 2 * _T, "gemma-3-4b": 4 * _T, "gemma-3-12b": 12 * _T, "gemma-3-27b": 14 * _T,
    "phi-3-mini": 3.3 * _T, "olmo-2-1124-7b": 4 * _T, "olmo-2-1124-13b": 5 * _T, "tinyllama": 3 * _T, "pythia": 0.3 * _T,
}  # fmt: skip
"""Tokens that published base models were trained on, to put the size of a fine-tuning run into proportion.

Sources: the models' cards and reports. SmolLM 2407; SmolLM2 arXiv 2502.02737; Llama 2307.09288 and 2407.21783; Qwen 2412.15115
and 2505.09388; Gemma 2408.00118 and 2503.19786; Phi 2404.14219; OLMo 2 2501.00656; TinyLlama 2401.02385; Pythia 2304.01373.
Mistral has not published it.
"""


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
    def of(cls, rows: "Sequence[TokenizedRow]") -> "Lengths":
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


def cost(seconds: float, costs: Costs | None) -> float | None:
    """Return the cost of a time in the currency of `costs`; None without a price."""
    return None if costs is None else seconds / 3600 * costs.per_hour


def energy_wh(seconds: float, watts: float | None) -> float | None:
    """Return the energy in watt-hours at a constant power; None if the power is unknown."""
    return None if watts is None else seconds / 3600 * watts


def per_point(training: dict[str, Any], gate: dict[str, Any], costs: Costs | None = None) -> list[dict[str, Any]]:
    """Return the cost of a percentage point for each share that had to improve; other units have no points.

    Args:
        training: The content of reports/<adapter>/training.json.
        gate: The content of reports/<adapter>/gate.json, or one variant of candidate.json.
        costs: Current price; without one, the cost that the training recorded is used.

    Returns:
        Per measure: `measure`, `points` gained, and `seconds`, `energy_wh` and `cost` per point; None if unknown or nothing was
        gained.
    """
    recorded = training.get("value", {})
    spent = {
        "seconds": training["seconds"],
        "energy_wh": recorded.get("energy_wh"),
        "cost": cost(training["seconds"], costs) if costs else recorded.get("cost"),
    }
    found = []
    for entry in gate["rules"]:
        if entry["rule"] != "must_improve" or entry["unit"] != "share" or entry["difference"] is None:
            continue
        points = 100 * entry["difference"]
        each = {name: amount / points if amount is not None and points > 0 else None for name, amount in spent.items()}
        found.append({"measure": entry["measure"], "points": points, **each})
    return found


def training_tokens(*names: str) -> float | None:
    """Return the number of tokens that a base was trained on, by the longest entry found in its names; None if unknown."""
    spelled = [name.lower().replace("_", "-") for name in names]
    found = [entry for entry in _TOKENS if any(entry in name for name in spelled)]
    return _TOKENS[max(found, key=len)] if found else None


def count(number: float) -> str:
    """Return a number with three digits and a prefix, such as 41.9M or 3.2m."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    if number >= 10 or number == 0:
        return f"{number:.0f}"
    size, unit = next((pair for pair in ((1, ""), (1e-3, "m")) if number >= pair[0]), (1e-6, "\N{MICRO SIGN}"))
    return f"{number / size:.2g}{unit}"


def duration(seconds: float) -> str:
    """Return a time in its largest fitting unit, such as 6.5 min."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (0.1, "s")):
        if seconds >= size:
            return f"{seconds / max(size, 1):.1f} {unit}"
    return f"{1000 * seconds:.2g} ms"


def file_size(size: float) -> str:
    """Return a number of bytes in its largest fitting unit, such as 114 MB or 2.5 kB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} bytes"


def price(seconds: float, costs: Costs | None) -> str:
    """Return the cost of a time with its currency; `-` without a price."""
    amount = cost(seconds, costs)
    return "-" if amount is None or costs is None else money(amount, costs.currency)


def money(amount: float, currency: str) -> str:
    """Return an amount with its currency, with two digits of a small one."""
    return f"{amount:.2f} {currency}" if amount >= 1 or amount == 0 else f"{amount:.2g} {currency}"
