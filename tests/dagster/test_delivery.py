"""fineline.dagster.delivery: how far merge and export are from what was evaluated."""

import pytest

from fineline.dagster.delivery import exported, judge_fidelity, judge_parity, merged

COMPARISON = {"passed": True, "mean_kl": 1e-5, "top1_agreement": 0.999, "max_abs_difference": 0.02}
EXPORT = {
    "parity": COMPARISON,
    "forms": {
        "fp32": {"bytes": 540, "tokens_per_second": 30.5},
        "quantized": {"precision": "int4", "bytes": 86, "tokens_per_second": 120.0},
    },
}


def test_merge_shows_its_distances(stage):
    assert merged(stage("merge", merge=COMPARISON)) == {
        "fidelity/mean_kl": 1e-5,
        "fidelity/top1_agreement": 0.999,
        "fidelity/max_abs_difference": 0.02,
    }


def test_export_shows_size_and_speed_of_each_form(stage):
    shown = exported(stage("export", export=EXPORT))
    assert (shown["fp32/bytes"], shown["quantized/bytes"], shown["quantized/precision"]) == (540, 86, "int4")
    assert shown["parity/top1_agreement"] == 0.999


@pytest.mark.parametrize("passed", [True, False])
def test_the_checks_repeat_what_the_reports_say(stage, passed):
    comparison = COMPARISON | {"passed": passed}
    made = stage("export", merge=comparison, export=EXPORT | {"parity": comparison})
    for judge in (judge_fidelity, judge_parity):
        assert judge(made).passed is passed
        assert "mean kl 1e-05" in judge(made).reason


def test_without_reports_nothing_passes_and_nothing_is_shown(stage):
    assert not judge_fidelity(stage("merge")).passed
    assert not judge_parity(stage("export")).passed
    assert merged(stage("merge")) == exported(stage("export")) == {}
