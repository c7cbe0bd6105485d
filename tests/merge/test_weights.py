"""Merged weights against the model they come from."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from pipelines import loading
from pipelines.merge import reference, weights
from pipelines.params.training import Train
from pipelines.train import adapter


def adapted(tiny_base, tmp_path, quantized):
    """The tiny base with an adapter that changes its answers, saved and loaded as stages do."""
    torch.manual_seed(0)
    model = adapter.attach(loading.base_model(tiny_base, quantized=quantized), Train(rank=4, alpha=8))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    adapter.save(model, tmp_path / "adapter")
    return loading.with_adapter(loading.base_model(tiny_base, quantized=quantized), tmp_path / "adapter")


@pytest.mark.parametrize("quantized", [True, False], ids=["qlora", "lora"])
def test_the_merged_model_answers_as_base_and_adapter(tiny_base, tmp_path, quantized):
    model = adapted(tiny_base, tmp_path, quantized)
    into = tmp_path / "merged"
    into.mkdir()
    weights.write(tiny_base, model, into)
    input_ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(into, dtype=torch.float32)(input_ids=input_ids).logits
        unpacked = reference.unpack(model)
        expected = unpacked(input_ids=input_ids).logits
        with unpacked.disable_adapter():
            base = unpacked(input_ids=input_ids).logits
    assert (merged - expected).abs().max() < 0.02 * (base - expected).abs().max()


def test_an_adapter_that_adds_nothing_leaves_lora_weights_bit_for_bit(tiny_base, tmp_path):
    model = adapter.attach(loading.base_model(tiny_base, quantized=False), Train(rank=4, alpha=8))
    adapter.save(model, tmp_path / "adapter")
    into = tmp_path / "merged"
    into.mkdir()
    unchanged = loading.with_adapter(loading.base_model(tiny_base, quantized=False), tmp_path / "adapter")
    weights.write(tiny_base, unchanged, into)
    original, merged = load_file(tiny_base / "model.safetensors"), load_file(into / "model.safetensors")
    assert all(torch.equal(original[name], merged[name]) for name in original)


def test_the_saved_adapter_has_no_order_of_chance(tiny_base, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    model = adapter.attach(loading.base_model(tiny_base, quantized=False), Train(rank=4, alpha=8))
    adapter.save(model, one)
    adapter.save(model, two)
    assert {file.name for file in one.iterdir()} == set(adapter.FILES)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in adapter.FILES)
