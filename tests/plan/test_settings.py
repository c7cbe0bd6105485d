"""The settings that plan writes for train: complete, reproducible, and refused when something has changed."""

import json

import pytest

from fineline.adapters.methods import METHODS
from fineline.artifacts import reports
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError
from fineline.project import layout, params
from fineline.project.params.training import Train
from fineline.stages import handover

DIGESTS = {"base": "b", "data": "d"}
REPORTS = layout.reports("home")
REMEDY = "run `dvc repro plan@home`"
CONCRETE = {"batch_size": 4, "accumulation": 4, "recompute": True, "dequantize": False, "precision": "fp32"}


@pytest.fixture
def adapter(project):
    return params.load().adapter("home")


@pytest.mark.parametrize("method", METHODS)
def test_a_decided_block_comes_back_as_it_was_written(adapter, method):
    """With `auto`, keys that the chosen method does not read may be set."""
    requested = adapter.train.model_copy(update={"quantization": {"type": "fp4"}}) if method == "lora" else adapter.train
    decided = handover.resolved(requested, method=method, **CONCRETE)
    assert (decided.method, decided.batch_size, decided.accumulation, decided.recompute) == (method, 4, 4, True)
    assert decided.learning_rate == adapter.train.learning_rate
    handover.write_settings(REPORTS, DIGESTS, adapter.train, decided)
    found = handover.read_settings(REPORTS, DIGESTS, adapter.train, remedy=REMEDY)
    assert found.model_dump() == decided.model_dump()
    assert (found.precision, isinstance(found.dequantize, bool)) == ("fp32", True)


def test_the_forecast_is_that_of_the_plan_or_none(project):
    none, place = handover.Forecast({}, None), layout.reports("home") / "plan.json"
    assert handover.forecast(REPORTS, DIGESTS) == none
    reports.write(place, {"base": "b", "data": "d", "chosen": {"memory_bytes": {"total": 7}, "seconds": 3.0}})
    assert handover.forecast(REPORTS, DIGESTS) == handover.Forecast({"total": 7}, 3.0)
    assert handover.forecast(REPORTS, {"base": "b", "data": "other"}) == none


@pytest.mark.parametrize("content", ["<<<<<<< HEAD", "[]", "{}", '{"base": "b", "data": "d"}'])
def test_a_broken_plan_forecasts_nothing_and_stops_no_training(project, content):
    place = layout.reports("home") / "plan.json"
    place.parent.mkdir(parents=True)
    place.write_text(content)
    assert handover.forecast(REPORTS, DIGESTS) == handover.Forecast({}, None)


def test_keys_that_the_method_reads_are_kept():
    requested = Train(rank=7, targets=["q_proj"], quantization={"type": "fp4", "double": False}, packing=64)
    decided = handover.resolved(requested, method="qlora", **CONCRETE)
    assert (decided.rank, decided.targets, decided.packing) == (7, ["q_proj"], 64)
    assert (decided.quantization.type, decided.quantization.double) == ("fp4", False)


def test_a_missing_plan_is_reported_with_the_command_that_makes_it(adapter):
    with pytest.raises(InputError, match=r"reports/home/settings.json: missing; run `dvc repro plan@home`"):
        handover.read_settings(REPORTS, DIGESTS, adapter.train, remedy=REMEDY)


@pytest.mark.parametrize(
    ("base", "data", "rank", "message"),
    [
        ("other", "d", 4, "settings.json: base changed since the plan was made; run `dvc repro plan@home`"),
        ("b", "other", 4, "settings.json: data changed since"),
        ("b", "d", 5, r"settings.json: `train:` changed since"),
        ("other", "other", 4, "settings.json: base and data changed since"),
    ],
)
def test_what_changed_since_the_plan_is_named(adapter, base, data, rank, message):
    decided = handover.resolved(adapter.train, method="lora", **CONCRETE)
    handover.write_settings(REPORTS, DIGESTS, adapter.train, decided)
    present = adapter.train.model_copy(update={"rank": rank})
    with pytest.raises(InputError, match=message):
        handover.read_settings(REPORTS, {"base": base, "data": data}, present, remedy=REMEDY)


@pytest.mark.parametrize("content", [{}, {"base": "b"}, [], {"train": 3}, {"train": {"method": "none"}}])
def test_a_broken_file_is_reported(adapter, content):
    decided = handover.resolved(adapter.train, method="lora", **CONCRETE)
    handover.write_settings(REPORTS, DIGESTS, adapter.train, decided)
    file = REPORTS / handover.SETTINGS
    whole = json.loads(file.read_text())
    file.write_text(json.dumps(whole | content if content and isinstance(content, dict) else content))
    if content == {"base": "b"}:
        assert handover.read_settings(REPORTS, DIGESTS, adapter.train, remedy=REMEDY)
        return
    with pytest.raises(InputError, match=r"settings.json: not the settings of a plan"):
        handover.read_settings(REPORTS, DIGESTS, adapter.train, remedy=REMEDY)


def test_settings_of_another_chat_block_are_refused(adapter):
    chat = ChatSettings(reasoning="mask")
    handover.write_settings(REPORTS, DIGESTS, adapter.train, handover.resolved(adapter.train, method="lora", **CONCRETE), chat)
    assert handover.read_settings(REPORTS, DIGESTS, adapter.train, chat, remedy=REMEDY)
    with pytest.raises(InputError, match=r"`curate\.chat` changed since the plan was made"):
        handover.read_settings(REPORTS, DIGESTS, adapter.train, ChatSettings(), remedy=REMEDY)
