"""The cost of a training per percentage point."""

import json

import pytest

from fineline.plan import workload
from fineline.project.params.project import Costs
from tests.conftest import ROOT


def rule(measure, difference, name="must_improve", unit="share"):
    return {"measure": measure, "rule": name, "unit": unit, "difference": difference}


GATE = {
    "rules": [
        rule("target", 0.40),
        rule("worse", -0.10),
        rule("guard", 0.02, "must_not_regress"),
        rule("gold", 1.8, unit="bits a byte"),
        rule("broken", None),
    ]
}


def test_cost_and_energy():
    assert workload.cost(1800, Costs(per_hour=3.0)) == 1.5
    assert workload.cost(1800, None) is None
    assert workload.energy_wh(1800, 450) == 225
    assert workload.energy_wh(1800, None) is None


def test_a_point_costs_its_share_and_only_shares_that_were_to_improve_have_points():
    target, worse = workload.per_point({"seconds": 7200, "value": {"energy_wh": 80.0}}, GATE, Costs(per_hour=2.0))
    assert target == {"measure": "target", "points": 40.0, "seconds": 180.0, "energy_wh": 2.0, "cost": pytest.approx(0.1)}
    assert worse == {"measure": "worse", "points": -10.0, "seconds": None, "energy_wh": None, "cost": None}


def test_without_price_and_power_there_is_still_time():
    target, _ = workload.per_point({"seconds": 7200}, GATE)
    assert (target["seconds"], target["energy_wh"], target["cost"]) == (180.0, None, None)


def test_without_a_price_of_today_the_price_of_the_training_counts():
    target, _ = workload.per_point({"seconds": 7200, "value": {"cost": 8.0}}, GATE)
    assert target["cost"] == pytest.approx(0.2)


def test_the_shipped_reports_have_the_form_that_is_read():
    directory = ROOT / "reports" / "home-en"
    training, gate = (json.loads((directory / f"{name}.json").read_text()) for name in ("training", "gate"))
    found = workload.per_point(training, gate)
    improved = [entry for entry in gate["rules"] if entry["rule"] == "must_improve" and entry["unit"] == "share"]
    assert [entry["measure"] for entry in found] == [entry["measure"] for entry in improved]
    assert found
    assert all(entry["seconds"] > 0 for entry in found)
