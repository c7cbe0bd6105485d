"""The GPU benchmark trains the models and rows that it names."""

import torch
from transformers import LlamaConfig

import gpu
import random_models
from fineline.models import loading
from fineline.project.params.training import Quantization

PLACE = torch.device("cpu")


def test_a_model_made_layer_by_layer_is_the_one_that_loading_quantizes(tmp_path):
    config = LlamaConfig(**random_models.SHAPES["tiny"])
    random_models.materialized(config, PLACE, seed=3).save_pretrained(tmp_path)
    made = random_models.materialized(config, PLACE, Quantization(), seed=3)
    loaded = loading.base_model(tmp_path, quantization=Quantization())
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(made(ids).logits, loaded(ids).logits)
    assert loading.quantized_layers(made).keys() == loading.quantized_layers(loaded).keys()


def test_shapes_are_the_published_ones():
    published = {"llama-2-7b": 6_738_415_616, "llama-3.1-8b": 8_030_261_248, "llama-3.1-70b": 70_553_706_496}
    assert {
        name: random_models.shape_of(LlamaConfig(**random_models.SHAPES[name])).parameters for name in published
    } == published


def test_rows_learn_the_given_share_and_share_no_first_token():
    setting = gpu.SETTINGS[0]
    drawn = gpu._rows(setting, 4096, 0.25)
    assert [row.learned for row in drawn] == [setting.length // 4] * setting.rows
    assert len({row.input_ids[0] for row in drawn}) == setting.rows
