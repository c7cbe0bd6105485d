"""Every class of transformers' causal and image-text mappings against docs/models.md, which `make models` writes."""

import pytest

import models
from tests import own_step, sweep, zoo

QUANTIZED = (
    "llama",
    "qwen3",
    "mistral",
    "gemma2",
    "phi3",
    "olmo2",
    "granite",
    "smollm3",
    "gpt_neox",
    "cohere2",
    "qwen3_moe",
    "glm4",
)
OFTEN = ("Llama", "Qwen3", "Gemma2", "Gemma3", "Gemma4", "Mistral", "GptOss", "Phi", "Glm4", "DeepseekV3", "Granite", "SmolLM3")
"""Beginnings of the classes that `make test-all` takes through; `make soak` takes all of them."""
ENTRIES = {entry.architecture: entry for entry in zoo.classes()}


def _marked(architecture):
    return pytest.param(architecture, marks=pytest.mark.slow if architecture.startswith(OFTEN) else pytest.mark.soak)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("architecture", map(_marked, ENTRIES))
def test_a_class_comes_as_far_as_the_page_says(architecture, tmp_path):
    found = models.line(sweep.run(ENTRIES[architecture], tmp_path))
    expected = models.written().get(architecture)
    assert expected is not None, f"{architecture} is not on the page; run `make models`"
    assert found[:-1] == tuple(expected[:-1]), f"{found[-1]}; run `make models` if the change is wanted"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model_type", QUANTIZED)
def test_a_quantized_base_is_trained_judged_and_merged(model_type, tmp_path):
    entry = next(entry for entry in ENTRIES.values() if entry.model_type == model_type)
    outcome = sweep.run(entry, tmp_path, "qlora", formats=False)
    assert outcome.passed, outcome.reason


@pytest.mark.slow
def test_the_page_has_every_class_and_no_other():
    assert set(models.written()) == set(ENTRIES)


def test_at_most_ten_classes_that_transformers_trains_on_text_do_not_come_through():
    able = [row for row in models.written().values() if len(row) == len(models.COLUMNS)]
    assert len(able) > 200
    assert sum(bool(row[-1]) for row in able) <= 10


@pytest.mark.parametrize(
    ("architecture", "complaint"),
    [
        ("LlamaForCausalLM", ""),
        ("Gemma3ForConditionalGeneration", ""),
        ("BlipForConditionalGeneration", "missing 1 required positional argument: 'pixel_values'"),
    ],
)
def test_a_step_of_transformers_itself_is_tried(architecture, complaint):
    found = own_step.reason_against(ENTRIES[architecture])
    assert complaint in found
    assert bool(found) == bool(complaint)


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "qwen3_5_text", "deepseek_v3", "gpt_oss", "granitemoehybrid"])
def test_the_zoo_keeps_every_kind_of_layer(model_type):
    config = zoo.tiny_config(model_type)
    whole = type(config)()
    for name in ("layer_types", "mlp_layer_types"):
        if getattr(whole, name, None):
            assert set(getattr(config, name)) >= set(getattr(whole, name))
    assert config.num_hidden_layers <= 4
    assert sum(weight.numel() for weight in zoo.build(model_type).parameters()) < 1_000_000


def test_a_saved_model_of_the_zoo_is_the_same_every_time(tmp_path):
    one, two = (zoo.save("qwen3", "causal", tmp_path / name) for name in ("one", "two"))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
