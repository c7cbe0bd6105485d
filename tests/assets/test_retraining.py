"""assets.retraining: a job per adapter, with all that the adapter is made from."""

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.retraining import lineage
from assets.stages import read_stages
from pipelines.errors import InputError


def test_lineage_holds_the_base_and_leaves_other_adapters_out(fresh_project):
    names = {stage.name for stage in lineage("home-en", read_stages(fresh_project.root))}
    assert names == {"base@tiny-1m", "curate@home-en", "train@home-en", "evaluate@home-en"}


def test_an_unknown_adapter_is_refused(fresh_project):
    with pytest.raises(InputError, match="no stage belongs to an adapter 'other'"):
        lineage("other", read_stages(fresh_project.root))


def test_there_is_a_job_per_adapter_and_one_for_everything(fresh_project):
    definitions = build_definitions(fresh_project.root)
    keys = {job.name: set(job.asset_layer.selected_asset_keys) for job in definitions.resolve_all_job_defs()}
    assert dg.AssetKey(["tiny_1m", "base"]) in keys["retrain_home_en"]
    assert len(keys["retrain_home_en"]) == len(keys["retrain_support"]) == 4
    assert len(keys["everything"]) == 7
