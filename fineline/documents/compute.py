"""Work and energy of the training, and the ratio of the work to that of training the base.

By the European Commission's guidelines for providers of general-purpose models (C(2025) 7719, points 57 to 63), modifying a
model with more than one third of its original training compute makes the modifier a provider. Where the original compute is
unknown, the guidelines use a third of the compute from which a model counts as general-purpose (or as one with systemic risk).
"""

from dataclasses import dataclass
from typing import Any

SHARE = 1 / 3
GENERAL_PURPOSE = 1e23  # operations
SYSTEMIC_RISK = 1e25


@dataclass(frozen=True)
class Compute:
    """The work of a training, and how each number was obtained; None is not known."""

    flops: float | None
    flops_obtained: str
    base_flops: float | None
    base_obtained: str
    share: float | None
    """Of the base's compute."""
    threshold: float
    """Operations from which the guidelines' criterion is met."""
    threshold_obtained: str
    is_significant: bool | None
    """True if the criterion is met."""

    @property
    def conclusion(self) -> str:
        """The conclusion from the criterion, in a sentence."""
        if self.is_significant is None:
            return "The work of this training is not known, so no conclusion is possible."
        compared = f"{self.flops:.3g} operations against a threshold of {self.threshold:.3g}"
        if self.is_significant:
            return f"The criterion is met: {compared}. Review the duties of a provider before a release."
        return (
            f"The criterion is not met: {compared}. By this measure the change does not make its author a provider of a"
            " general-purpose model."
        )


def compute(plan: dict[str, Any], training: dict[str, Any]) -> Compute:
    """Return the work of the run that made the adapter.

    Args:
        plan: The content of plan.json.
        training: The content of training.json.
    """
    chosen = plan["chosen"]
    flops, share = chosen.get("flops"), chosen.get("share_of_base_compute")
    base = flops / share if flops and share else None
    threshold = SHARE * (base or GENERAL_PURPOSE)
    return Compute(
        flops=flops,
        flops_obtained=_flops_obtained(plan, training),
        base_flops=base,
        base_obtained=_base_obtained(plan, base),
        share=share,
        threshold=threshold,
        threshold_obtained=(
            "one third of the compute of the base"
            if base
            else f"the compute of the base is not known; one third of {GENERAL_PURPOSE:.0e} operations, for a base"
            f" without systemic risk (for one with systemic risk, a third of {SYSTEMIC_RISK:.0e})"
        ),
        is_significant=None if flops is None else flops > threshold,
    )


def energy(plan: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """Return the energy of the training in watt-hours, and the method by which it was obtained."""
    found = training.get("value", {}).get("energy_wh")
    watts = plan["device"].get("watts")
    if found is None:
        return {
            "energy_wh": None,
            "method": f"Not known: no power is recorded for the device ({plan['device']['name']}), and no meter was used.",
        }
    by = f"the device's rated power of {watts:,} W" if watts else "a constant power of the device"
    return {"energy_wh": found, "method": f"Estimated, not measured: measured training time multiplied by {by}."}


def _flops_obtained(plan: dict[str, Any], training: dict[str, Any]) -> str:
    words = (
        "Counted before the run from the shape of the base, the method and the tokens of every row: products of matrices and"
        f" attention, forward and backward, for {plan['epochs']:g} epochs and the passes over the validation rows. Only the run"
        " that made these weights is counted, without earlier trials."
    )
    if training.get("stopped_early"):
        words += " Training stopped early, so the work done is less than this."
    if training.get("resumed_at"):
        words += f" Training was interrupted and resumed at step {training['resumed_at']}; repeated steps are counted once."
    return words


def _base_obtained(plan: dict[str, Any], base: float | None) -> str:
    if base is None:
        return "Not known: the number of tokens the base was trained on is not recorded."
    return (
        f"6 x parameters x tokens (arXiv 2001.08361): {plan['parameters']:,} parameters and the"
        f" {base / (6 * plan['parameters']):.3g} tokens that its publisher reports. Later tuning of the base is not counted."
    )
