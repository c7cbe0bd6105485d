"""The number of trained parameters: published figures, and a count of the parameters that are trained."""

import pytest

from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.models import shape
from fineline.project.params.training import Train
from tests.models.shapes import GPT2, QWEN2, write_config


def trained_parameters(method, shape, train):
    return METHODS[method].trained_parameters(shape, train)


def test_adapters_of_a_published_model(llama_2_7b):
    for rank, trained in ((16, 16_777_216), (32, 33_554_432)):
        assert trained_parameters("lora", llama_2_7b, Train(rank=rank, targets="attention")) == trained
        named = Train(rank=rank, targets=["q_proj", "k_proj", "v_proj", "o_proj"])
        assert trained_parameters("lora", llama_2_7b, named) == trained
    assert trained_parameters("lora", llama_2_7b, Train(rank=16)) == 39_976_960
    assert trained_parameters("full", llama_2_7b, Train()) == 6_738_415_616
    assert trained_parameters("prefix", llama_2_7b, Train(virtual_tokens=10)) == 10 * 32 * 2 * 4096


def test_a_published_share(llama_2_7b):
    share = trained_parameters("lora", llama_2_7b, Train(rank=16, targets="attention")) / llama_2_7b.parameters
    assert share == pytest.approx(0.00249, abs=0.00001)


def test_methods_without_trainable_parts_in_the_base_are_refused(llama_2_7b):
    with pytest.raises(InputError, match="bitfit trains bias terms, and this base has none"):
        trained_parameters("bitfit", llama_2_7b, Train())
    with pytest.raises(InputError, match=r"no linear layer of the base matches \['w_q'\]; its layers are .*q_proj"):
        trained_parameters("lora", llama_2_7b, Train(targets=["w_q"]))


def test_layers_that_are_no_linear_modules_are_counted_too(tmp_path):
    """GPT-2's are transformers' Conv1D."""
    found = shape.of_model(write_config(tmp_path, GPT2))
    inputs_and_outputs = 64 + 192, 64 + 64, 64 + 256, 256 + 64
    assert trained_parameters("lora", found, Train(rank=4)) == 4 * 2 * sum(inputs_and_outputs)
    assert trained_parameters("prompt", found, Train(virtual_tokens=3)) == 3 * 64


@pytest.mark.parametrize("targets", ["all-linear", "attention", "experts", "all", ["q_proj", "experts.down_proj"]])
@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "deepseek_v3", "qwen3_5_moe"])
def test_experts_are_counted(family, targets, tmp_path):
    from fineline.adapters import attach
    from tests import zoo

    train = Train(method="lora", rank=4, targets=targets)
    model = zoo.build(family)
    model.config.save_pretrained(tmp_path)
    if family == "deepseek_v3" and isinstance(targets, list):
        train = train.model_copy(update={"targets": ["q_a_proj", "experts.down_proj"]})
    adapted = attach(model.requires_grad_(False), train)
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert trained == trained_parameters("lora", shape.of_model(tmp_path), train)


KINDS = [
    (method.name, targets)
    for method in METHODS.values()
    for targets in (("all-linear", "attention", ["v_proj"]) if "targets" in method.uses else ("all-linear",))
]


@pytest.mark.parametrize(("method", "targets"), KINDS)
def test_each_formula_counts_what_is_trained(method, targets, tmp_path):
    """On a model with biases, so that every method applies."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from fineline.adapters import attach

    uses = METHODS[method].uses
    chosen = {"rank": 4, "targets": targets, "virtual_tokens": 5, "bottleneck": {"size": 6, "placement": "houlsby"}}
    train = Train(method=method, **{name: value for name, value in chosen.items() if name in uses})
    directory = write_config(tmp_path, QWEN2)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory)).to(torch.bfloat16)
    adapted = attach(model, train)
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert trained == trained_parameters(method, shape.of_model(directory), train)


def test_pissa_holds_twice_the_rank(llama_2_7b):
    assert trained_parameters("lora", llama_2_7b, Train(rank=8, initialization="pissa")) == 39_976_960
