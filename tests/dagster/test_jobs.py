"""fineline.dagster.jobs: an error in the block of an adapter affects only its own schedule."""

import json
from pathlib import Path

import pytest
import yaml

from fineline.dagster.jobs import configured, retrain_schedules
from fineline.dagster.retraining import retrain_job
from fineline.dagster.sensors import look, notify_invalid
from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.retraining.triggers import Triggers
from tests.dagster.small import adapter

NAMES = ("home", "home-two")
STAGES = [Stage(Path(), f"train@{name}", "true", "", "", (), {}, {}, (), ()) for name in NAMES]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes params.yaml with a schedule for both adapters and changes to the block of `home-two`."""

    def write(**changes):
        blocks = {name: adapter("rows", {"cron": "0 3 * * 1"}) for name in NAMES}
        blocks["home-two"] = {key: value for key, value in (blocks["home-two"] | changes).items() if value is not None}
        bases = {"tiny": {"owner": "m@example.com", "license": "mit", "path": "."}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"bases": bases, "adapters": blocks}))
        return tmp_path

    return write


def schedules(root):
    return [schedule.name for schedule in retrain_schedules(root, STAGES, retrain_job(root, STAGES))]


def test_both_adapters_have_their_schedule(write):
    assert schedules(write()) == ["retrain_home", "retrain_home_two"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": None, "trian": {}}, "adapters.home-two.trian: unknown key"),
        ({"base": "small"}, "adapters.home-two.base: there is no base 'small'"),
        ({"retrain": {"corn": "@daily"}}, "adapters.home-two.retrain.corn: unknown key; did you mean 'cron'?"),
        ({"retrain": {"cron": "61 * * * *"}}, "adapters.home-two.retrain.cron: '61 * * * *' is not a valid schedule"),
    ],
)
def test_an_error_in_a_block_removes_only_the_schedule_of_its_adapter(write, changes, message):
    root = write(**changes)
    assert schedules(root) == ["retrain_home"]
    found = configured(root, STAGES)
    assert isinstance(found["home"], Triggers)
    assert message in str(found["home-two"])


def test_an_error_is_reported_once_when_a_second_tick_sees_it(write):
    root, memory = write(train=None, trian={}), {"home-two": {"started": "x"}}
    waiting = root / ".fineline" / "outbox" / "waiting"
    found = configured(root, STAGES)
    counts = []
    for _ in range(3):
        _, problems, now = look(root, found, memory, 0.0)
        assert "adapters.home-two.trian: unknown key" in problems[0]
        notify_invalid(root, found, memory, now)
        memory = now
        counts.append(len(list(waiting.glob("*.json"))))
    assert counts == [0, 1, 1]
    (file,) = waiting.glob("*.json")
    notice = json.loads(file.read_text())["notice"]
    assert (notice["event"], notice["subject"]) == ("failed", "home-two")
    assert any("adapters.home-two.trian: unknown key" in line for line in notice["lines"])
    assert memory["home-two"]["started"] == "x", "what was seen before is kept"


@pytest.mark.parametrize("text", ["bases: {", "adapters: []", "bases: {}"])
def test_a_file_that_cannot_be_read_at_all_has_no_schedules(write, text):
    root = write()
    (root / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml"):
        configured(root, STAGES)
    assert schedules(root) == []
