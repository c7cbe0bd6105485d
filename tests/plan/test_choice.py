"""The choice as a truth table over plain numbers: a memory of 100, of which 90 can be used."""

import re

import pytest

from fineline.plan import choice
from fineline.plan.choice import Setting
from fineline.project.params.training import Train

PER_ROW = 10


def forecast_of(base=10, packed=4, *, saved=PER_ROW):
    """A base, and per row `saved`, or a tenth of it with recomputation."""

    def forecast(setting):
        held = packed if setting.method == "qlora" and not setting.dequantize else base
        rows = setting.batch_size * saved // (10 if setting.recompute else 1)
        return {"base": held, "activations": rows, "optimizer": 1, "total": held + rows + 1}

    return forecast


def decide(forecast, *, per_row=200, memory=100, **train):
    return choice.decide(Train(**{"batch_size": 8} | train), forecast, lambda rows: rows * per_row, memory)


@pytest.mark.parametrize(
    ("base", "packed", "saved", "expected"),
    [
        (9, 4, 10, Setting("lora", 8, 1, False, False)),  # all fits
        (10, 4, 10, Setting("lora", 4, 2, False, False)),  # one more byte: the same numbers in smaller micro-steps
        (49, 4, 10, Setting("lora", 4, 2, False, False)),
        (50, 4, 10, Setting("lora", 2, 4, False, False)),
        (70, 4, 10, Setting("lora", 8, 1, True, False)),  # 200 tokens at one row are too few: recompute before that
        (81, 4, 10, Setting("lora", 8, 1, True, False)),
        (82, 4, 10, Setting("lora", 4, 2, True, False)),
        (88, 4, 10, Setting("qlora", 8, 1, False, False)),  # no exact base fits
        (88, 40, 10, Setting("qlora", 4, 2, False, False)),
        (99, 81, 10, Setting("qlora", 8, 1, True, False)),
        (99, 87, 10, Setting("qlora", 2, 4, True, False)),
        (99, 88, 10, Setting("qlora", 1, 8, True, False)),
        (99, 89, 10, None),
    ],
)
def test_auto_gives_up_what_costs_least_first(base, packed, saved, expected):
    found = decide(forecast_of(base, packed, saved=saved))
    assert found.fits == (expected is not None)
    if expected:
        assert found.setting == expected
    assert found.reason.endswith(".")


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 1), (6, 2), (16, 3), (5, 1), (1, 7)])
def test_a_split_keeps_the_rows_of_an_optimizer_step(batch_size, accumulation):
    tried = choice.settings("lora", Train(batch_size=batch_size, accumulation=accumulation), lambda rows: rows * 1000)
    assert {setting.batch_size * setting.accumulation for setting in tried} == {batch_size * accumulation}
    assert (tried[0].batch_size, tried[0].accumulation) == (batch_size, accumulation)


def test_micro_steps_are_not_split_below_what_keeps_a_device_busy():
    assert decide(forecast_of(10), per_row=32).setting == Setting("lora", 8, 1, True, False)


@pytest.mark.parametrize(
    ("recompute", "base", "expected"),
    [
        (True, 9, Setting("lora", 8, 1, True, False)),
        (False, 70, Setting("qlora", 8, 1, False, False)),
    ],
)
def test_a_mode_that_is_set_is_kept(recompute, base, expected):
    assert decide(forecast_of(base), recompute=recompute).setting == expected


@pytest.mark.parametrize(
    ("base", "packed", "expected"),
    [
        (9, 4, (False, True)),  # (recompute, dequantize)
        (10, 9, (False, False)),
        (81, 20, (True, True)),
        (82, 81, (True, False)),
    ],
)
def test_a_configured_qlora_takes_the_fastest_that_fits_and_keeps_its_batch(base, packed, expected):
    found = decide(forecast_of(base, packed), method="qlora")
    assert found.fits
    assert (found.setting.recompute, found.setting.dequantize) == expected
    assert (found.setting.method, found.setting.batch_size, found.setting.accumulation) == ("qlora", 8, 1)


def test_a_configured_method_that_fits_nowhere_takes_what_needs_least_and_says_so():
    found = decide(forecast_of(99, 98), method="qlora")
    assert not found.fits
    assert (found.setting.recompute, found.setting.dequantize) == (True, False)


@pytest.mark.parametrize(
    ("train", "forecast", "remedy"),
    [
        ({}, forecast_of(99, 95), "most of it base .*: use a smaller base"),
        ({"method": "lora"}, forecast_of(99), "most of it base .*: set `train.method` to qlora"),
        ({"method": "qlora", "dequantize": True}, forecast_of(99, 4), "set `train.dequantize` to auto"),
        ({"method": "lora", "recompute": False}, forecast_of(1, saved=50), "set `train.recompute` to auto"),
        ({"method": "lora"}, forecast_of(1, saved=500), "lower `curate.max_tokens` or `train.batch_size`"),
        ({"method": "full"}, lambda _: {"base": 10, "optimizer": 200, "total": 210}, "adamw-8bit"),
    ],
)
def test_if_nothing_fits_the_largest_component_and_the_setting_are_named(train, forecast, remedy):
    found = decide(forecast, **train)
    assert not found.fits
    assert re.search(remedy, found.reason)


def test_the_reason_names_the_first_setting_that_did_not_fit():
    forecast = forecast_of(50 * 2**30, 4 * 2**30, saved=10 * 2**30)
    assert decide(forecast, memory=100 * 2**30).reason == (
        "lora in 4 micro-steps of 2 rows needs 70.0 GiB of 90.0 GiB: the base stays exact. lora would need 130.0 GiB."
    )


@pytest.mark.parametrize(("total", "fits"), [(90, True), (91, False)])
def test_a_tenth_of_the_memory_is_left_free(total, fits):
    assert choice.fits(total, 100) is fits
