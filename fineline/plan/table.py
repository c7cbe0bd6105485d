"""The forecast of all methods as a table of text."""

from typing import Any

from fineline.plan.value import cost
from fineline.project.params.project import Costs

COLUMNS = (
    "method", "trained", "batch", "base", "adapters", "gradients, optimizer", "activations", "logits", "context", "total",
    "fits", "time", "energy", "cost",
)  # fmt: skip
"""Memory is in GiB. `batch`: rows per micro-step x micro-steps per optimizer step, with r if blocks are recomputed, and d if
four-bit weights are dequantized."""


def cells(report: dict[str, Any], costs: Costs | None) -> list[list[str]]:
    """Return a row per method: those that fit in order of memory, then those that do not, then those that are not possible."""
    order = sorted(
        report["methods"], key=lambda entry: (not entry["fits"], entry.get("memory_bytes", {"total": 2**62})["total"])
    )
    return [_line(entry, costs) for entry in order]


def _line(entry: dict[str, Any], costs: Costs | None) -> list[str]:
    if "not_possible" in entry:
        return [entry["method"], *["-"] * 9, "no", "-", "-", "-"]
    parts = entry["memory_bytes"]
    sizes = [parts["base"], parts["adapters"], parts["gradients"] + parts["optimizer"]]
    sizes += [parts[part] for part in ("activations", "logits", "context", "total")]
    modes = "r" * entry["recompute"] + "d" * entry["dequantize"]
    return [
        entry["method"],
        count(entry["trained_parameters"]),
        f"{entry['batch_size']}x{entry['accumulation']} {modes}".strip(),
        *(f"{size / 2**30:.2f}" for size in sizes),
        "yes" if entry["fits"] else "no",
        duration(entry["seconds"]),
        "-" if entry["energy_wh"] is None else f"{count(entry['energy_wh'])}Wh",
        price(entry["seconds"], costs),
    ]


def count(number: float) -> str:
    """Return a large number with three digits, such as 41.9M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time in its largest fitting unit, such as 6.5 min."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def price(seconds: float, costs: Costs | None) -> str:
    """Return the cost of a time with its currency; `-` without a price."""
    amount = cost(seconds, costs)
    return "-" if amount is None or costs is None else f"{amount:.2f} {costs.currency}"
