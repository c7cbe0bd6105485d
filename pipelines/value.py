"""What a training cost, and what it cost per percentage point gained."""

from typing import Any

from pipelines.params.costs import Costs


def cost(seconds: float, costs: Costs | None) -> float | None:
    """Price of so many seconds, in the currency of `costs`; None without a price."""
    return None if costs is None else seconds / 3600 * costs.per_hour


def energy_wh(seconds: float, watts: float | None) -> float | None:
    """Energy in watt-hours at a constant power; None where the power is unknown."""
    return None if watts is None else seconds / 3600 * watts


def per_point(training: dict[str, Any], gate: dict[str, Any], costs: Costs | None = None) -> list[dict[str, Any]]:
    """What one percentage point cost on each task that was to improve.

    Args:
        training: The content of reports/<adapter>/training.json.
        gate: The content of reports/<adapter>/gate.json.

    Returns:
        Per task: `task`, `points` gained, and `seconds`, `energy_wh` and `cost` per point; None where unknown or nothing was
        gained.
    """
    spent = {
        "seconds": training["seconds"],
        "energy_wh": training.get("value", {}).get("energy_wh"),
        "cost": cost(training["seconds"], costs),
    }
    found = []
    for entry in gate["tasks"]:
        if entry["rule"] != "must_improve":
            continue
        points = 100 * entry["difference"]
        each = {name: amount / points if amount is not None and points > 0 else None for name, amount in spent.items()}
        found.append({"task": entry["task"], "points": points, **each})
    return found
