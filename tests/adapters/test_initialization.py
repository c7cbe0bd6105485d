"""Initialization of LoRA matrices."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from fineline.adapters.initialization import lora_layers
from fineline.merge import weights
from fineline.models import loading
from tests.adapters.cases import CASES, batch, loaded_base, logits, new, next_token_loss

PISSA = [name for name, case in CASES.items() if case.train.initialization == "pissa"]
EVA = [name for name, case in CASES.items() if case.train.initialization == "eva"]


def matrices(layer):
    """A, B and the scaling of a layer."""
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight, layer.scaling["default"]


@pytest.mark.parametrize("name", PISSA)
def test_pissa_starts_at_the_principal_part_and_changes_nothing_yet(bases, name):
    case = CASES[name]
    base = bases[case.base]
    model = new(case, base)
    rank = case.train.rank
    for layer in lora_layers(model).values():
        a, b, scaling = matrices(layer)
        weight = loading.weight_of(layer.get_base_layer())
        best = torch.linalg.svdvals(weight)[rank:].norm()
        assert best <= (weight - scaling * b[:, :rank] @ a[:rank]).norm() * 1.001 <= 1.01 * best
        assert torch.allclose(b @ a, torch.zeros_like(weight), atol=1e-6)
        assert scaling == pytest.approx(case.train.alpha / (rank**0.5 if case.train.method == "rslora" else rank))
    plain = loaded_base(case, base)
    assert torch.allclose(logits(model, half=name.startswith("q")), logits(plain, half=name.startswith("q")), atol=0.05)


@pytest.mark.parametrize("name", PISSA)
def test_the_second_half_of_pissa_stays_where_it_started(trained, name):
    start = new(trained[name].case, trained[name].base)
    rank = trained[name].case.train.rank
    for before, after in zip(lora_layers(start).values(), lora_layers(trained[name].model).values(), strict=True):
        (a0, b0, _), (a1, b1, _) = matrices(before), matrices(after)
        assert torch.equal(a0[rank:], a1[rank:])
        assert torch.equal(b0[:, rank:], b1[:, rank:])
        assert not torch.equal(a0[:rank], a1[:rank])
        assert not torch.equal(b0[:, :rank], b1[:, :rank])


@pytest.mark.parametrize("name", [*PISSA, *EVA, "qlora-loftq"])
def test_the_saved_configuration_is_that_of_plain_lora(trained, name):
    config = json.loads((trained[name].directory / "adapter_config.json").read_text())
    assert config["init_lora_weights"] is True
    assert config["eva_config"] is None
    assert config["loftq_config"] == {}
    assert config["r"] == (8 if name in PISSA else 4)
    tensors = load_file(trained[name].directory / "adapter_model.safetensors")
    assert {tensor.shape[0] for key, tensor in tensors.items() if "lora_A" in key} == {config["r"]}


def test_loftq_corrects_as_much_of_the_quantization_error_as_its_rank_allows(bases):
    case = CASES["qlora-loftq"]
    model = new(case, bases["plain"])
    originals = load_file(bases["plain"] / "model.safetensors")
    for name, layer in lora_layers(model).items():
        a, b, scaling = matrices(layer)
        lost = originals[f"{name}.weight"].float() - loading.weight_of(layer.get_base_layer())
        best = torch.linalg.svdvals(lost)[case.train.rank :].norm()
        assert best <= (lost - scaling * b @ a).norm() * 1.001 <= 1.01 * best
        assert best < lost.norm()


def test_eva_takes_the_directions_in_which_inputs_vary_most(bases):
    model = new(CASES["lora-eva"], bases["plain"])
    rows = batch()
    with torch.no_grad():
        states = model.get_base_model().model.embed_tokens(rows["input_ids"])
        first = model.get_base_model().model.layers[0]
        inputs = first.input_layernorm(states)[rows["attention_mask"].bool()].float()
    _, _, right = torch.linalg.svd(inputs, full_matrices=False)
    for name in ("q_proj", "k_proj", "v_proj"):
        a, b, _ = matrices(first.self_attn.get_submodule(name))
        shared = (a @ right[: len(a)].T).abs()  # the same space, whatever the order of near-equal directions
        assert torch.linalg.svdvals(shared).min() > 0.8
        assert torch.allclose(a.norm(dim=1), torch.ones(len(a)), atol=1e-5)
        assert not b.any()


@pytest.mark.parametrize("name", PISSA)
def test_pissa_learns_what_it_learns_on_a_base_without_its_principal_part(bases, name):
    """The published form, built by hand: rank r on W less the start (arXiv 2404.02948, section 3)."""
    case = CASES[name]
    model = float_model(new(case, bases["plain"]))
    published = float_model(
        new(replace(case, train=case.train.model_copy(update={"initialization": "default"})), bases["plain"])
    )
    rank = case.train.rank
    with torch.no_grad():
        for ours, theirs in zip(lora_layers(model).values(), lora_layers(published).values(), strict=True):
            (a, b, scaling), (a_published, b_published, _) = matrices(ours), matrices(theirs)
            a_published.copy_(a[:rank])
            b_published.copy_(b[:, :rank])
            theirs.get_base_layer().weight -= scaling * b[:, :rank] @ a[:rank]
    for one in (model, published):
        descend(one)
    start = float_model(loaded_base(case, bases["plain"]))
    moved = (logits(published, half=False) - logits(start, half=False)).abs().max()
    assert (logits(model, half=False) - logits(published, half=False)).abs().max() < 0.01 * moved


def float_model(model):
    """A model that computes in fp32, dequantized if it was quantized."""
    return weights.reference(model).train()


def descend(model):
    """Steps of gradient descent, which follow the gradient's size and not its sign only."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.1)
    for _ in range(10):
        loss = next_token_loss(model, half=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
