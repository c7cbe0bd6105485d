"""Weights that are dequantized one at a time are those of the model in four bits."""

import pytest
import torch

from fineline.models import checkpoint, four_bits, loading, tensor_files
from fineline.models.config import Quantization
from tests import zoo


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("quantization", [Quantization(), Quantization(type="fp4", double=False)], ids=["nf4", "fp4"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_weight_alone_is_the_weight_in_the_model(tmp_path, family, quantization, precision):
    base = zoo.save(family, "causal", tmp_path / "base")
    model = loading.base_model(base, quantization=quantization, precision=precision)
    expected = loading.quantized_layers(model)
    layers = four_bits.layers(base, quantization, precision)
    assert set(layers) == set(expected)
    assert layers
    direct, _ = checkpoint.located(checkpoint.stored_shapes(base), model, {f"{name}.weight" for name in layers})
    names = {name: place for place, name in direct.items()}
    stored = tensor_files.Reader(base / "model.safetensors")
    for name, layer in layers.items():
        weight = loading.weight_of(expected[name]).cpu()
        found = four_bits.dequantized(stored.tensor(names[f"{name}.weight"]), layer, quantization, precision)
        assert torch.equal(found, weight.T if loading.is_transposed(layer) else weight)
