"""Copies of weights that a processor multiplies faster: the same products, and a model that stays as it is."""

import pytest
import torch

from fineline.inference import packed_weights
from fineline.inference.packed_weights import PackedWeights


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(96, 160), torch.nn.SiLU(), torch.nn.Linear(160, 1600, bias=False)).eval()


@pytest.fixture
def calls(monkeypatch):
    """How often packed weights were multiplied with."""
    made = []
    packed = packed_weights._packed

    def counted(layer):
        forward = packed(layer)
        return lambda states: made.append(layer) or forward(states)

    monkeypatch.setattr(packed_weights, "_packed", counted)
    return made


@pytest.mark.parametrize("shape", [(1, 96), (37, 96), (2, 300, 96)])
@torch.inference_mode()
def test_products_are_the_same(layers, calls, shape):
    states = torch.randn(shape)
    expected = layers(states)
    assert not calls
    with PackedWeights(layers).used():
        torch.testing.assert_close(layers(states), expected)
    assert len(calls) == 2


@torch.inference_mode()
def test_a_model_is_as_before_afterwards(layers):
    weights = PackedWeights(layers)
    with pytest.raises(RuntimeError), weights.used():
        layers(torch.randn(1, 3))
    layers[0].weight.zero_()
    layers[0].bias.zero_()
    assert not layers(torch.randn(4, 96)).any()
    assert "forward" not in vars(layers[0])


@torch.inference_mode()
@pytest.mark.parametrize("reason", ["memory", "unknown", "precision", "size", "replaced"])
def test_what_is_not_packed_is_multiplied_as_ever(layers, calls, monkeypatch, reason):
    states = torch.randn(4, 96)
    if reason in ("memory", "unknown"):
        monkeypatch.setattr(packed_weights.machine, "free", lambda: 100_000 if reason == "memory" else None)
    elif reason == "precision":
        layers, states = layers.to(torch.bfloat16), states.to(torch.bfloat16)
    elif reason == "size":
        layers, states = torch.nn.Linear(8, 4), torch.randn(3, 8)
    else:
        for layer in layers:
            layer.forward = layer.forward
    expected = layers(states)
    with PackedWeights(layers).used():
        assert torch.equal(layers(states), expected)
    assert not calls
