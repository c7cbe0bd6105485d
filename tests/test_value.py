"""What a training cost per percentage point."""

import json

import pytest

from pipelines import value
from pipelines.params.costs import Costs
from tests.conftest import ROOT

GATE = {
    "tasks": [
        {"task": "target", "rule": "must_improve", "difference": 0.40},
        {"task": "worse", "rule": "must_improve", "difference": -0.10},
        {"task": "guard", "rule": "must_not_regress", "difference": 0.02},
    ]
}


def test_cost_and_energy():
    assert value.cost(1800, Costs(per_hour=3.0)) == 1.5
    assert value.cost(1800, None) is None
    assert value.energy_wh(1800, 450) == 225
    assert value.energy_wh(1800, None) is None


def test_a_point_costs_its_share_and_guards_are_not_bought():
    target, worse = value.per_point({"seconds": 7200, "value": {"energy_wh": 80.0}}, GATE, Costs(per_hour=2.0))
    assert target == {"task": "target", "points": 40.0, "seconds": 180.0, "energy_wh": 2.0, "cost": pytest.approx(0.1)}
    assert worse == {"task": "worse", "points": -10.0, "seconds": None, "energy_wh": None, "cost": None}


def test_without_price_and_power_there_is_still_time():
    target, _ = value.per_point({"seconds": 7200}, GATE)
    assert (target["seconds"], target["energy_wh"], target["cost"]) == (180.0, None, None)


def test_the_shipped_reports_have_the_form_that_is_read():
    directory = ROOT / "reports" / "home-en"
    training, gate = (json.loads((directory / f"{name}.json").read_text()) for name in ("training", "gate"))
    found = value.per_point(training, gate)
    assert [entry["task"] for entry in found] == [task["task"] for task in gate["tasks"] if task["rule"] == "must_improve"]
    assert all(entry["seconds"] > 0 for entry in found)
