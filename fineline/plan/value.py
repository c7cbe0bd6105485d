"""The cost of a training, in total and per percentage point gained."""

from typing import Any

from fineline.project.params.project import Costs


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
