"""Work and its share of the base's: what is known, how it was obtained, and which side of the criterion it is on."""

import copy
from typing import Any

import pytest

from fineline.documents.compute import GENERAL_PURPOSE, compute, energy
from tests.documents.conftest import PLAN, TRAINING


def _plan(**chosen: Any) -> dict[str, Any]:
    plan = copy.deepcopy(PLAN)
    plan["chosen"] |= chosen
    return plan


def test_the_compute_of_the_base_follows_from_work_and_share() -> None:
    found = compute(_plan(flops=6e9, share_of_base_compute=1e-3), TRAINING)
    assert found.base_flops == pytest.approx(6e12)
    assert found.threshold == pytest.approx(2e12)
    assert found.is_significant is False
    assert "1,000 parameters and the 1e+09 tokens" in found.base_obtained


def test_an_unknown_base_is_held_to_a_third_of_what_makes_a_general_purpose_model() -> None:
    found = compute(_plan(flops=6e9, share_of_base_compute=None), TRAINING)
    assert found.base_flops is None
    assert found.threshold == pytest.approx(GENERAL_PURPOSE / 3)
    assert found.base_obtained.startswith("Not known")
    assert "the compute of the base is not known; one third of 1e+23" in found.threshold_obtained


@pytest.mark.parametrize(("share", "significant"), [(0.33, False), (0.34, True), (1.5, True)])
def test_the_criterion_is_one_third(share: float, significant: bool) -> None:
    found = compute(_plan(flops=9e20, share_of_base_compute=share), TRAINING)
    assert found.is_significant is significant
    assert ("The criterion is met" in found.conclusion) is significant


def test_without_work_there_is_no_conclusion() -> None:
    found = compute(_plan(flops=None, share_of_base_compute=None), TRAINING)
    assert found.is_significant is None
    assert "no conclusion is possible" in found.conclusion


def test_interruptions_of_the_run_are_stated() -> None:
    obtained = compute(PLAN, TRAINING | {"stopped_early": True, "resumed_at": 7}).flops_obtained
    assert "stopped early" in obtained
    assert "resumed at step 7" in obtained


def test_energy_is_not_known_or_estimated_and_never_measured() -> None:
    assert energy(PLAN, TRAINING)["energy_wh"] is None
    assert energy(PLAN, TRAINING)["method"].startswith("Not known")
    plan = copy.deepcopy(PLAN)
    plan["device"]["watts"] = 700
    found = energy(plan, TRAINING | {"value": {"energy_wh": 15.0}})
    assert found["energy_wh"] == 15.0
    assert found["method"].startswith("Estimated, not measured")
    assert "700 W" in found["method"]
