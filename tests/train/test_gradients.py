"""Loss and gradients of a micro-step are those of transformers, one row at a time, for every family."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from fineline import adapters
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.project.params.training import Train
from fineline.train import choice, trial
from tests import zoo

FAMILIES = [
    "llama", "qwen3", "qwen3_5", "gemma2", "gemma3", "gemma4", "mistral", "gpt_oss", "phi3", "glm4", "glm4_moe", "deepseek_v3",
    "granite", "granitemoehybrid", "smollm3", "cohere2", "mamba2", "falcon_h1", "qwen3_next", "rwkv", "gpt2", "bloom",
    "qwen3_vl",
]  # fmt: skip
"""Windows, capped and scaled logits, sinks, compressed attention, experts, state space and recurrent layers, and images."""
WINDOW = {"mistral", "gpt_oss", "gemma2", "gemma3", "cohere2"}


def made(count=4):
    """Rows of random tokens, with labels in their second half."""
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randint(3, 370, (11 + 7 * number,), generator=generator).tolist() for number in range(count)]
    return [TokenizedRow(ids, [IGNORED] * (len(ids) // 2) + ids[len(ids) // 2 :]) for ids in drawn]


def built(family, dtype=torch.float32):
    """A tiny model of a family in the class that it is published in."""
    if family == "mistral":  # with an MLP that ia3 tells from attention: another inner size
        config = zoo.tiny_config(family)
        config.intermediate_size = 96
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).to(dtype).requires_grad_(False).eval()
    kinds = [entry.kind for entry in zoo.classes() if entry.model_type == family]
    return zoo.build(family, kinds[0] if kinds else "causal").to(dtype).requires_grad_(False)


def adapted(family, dtype=torch.float32, **keys):
    torch.manual_seed(0)
    return adapters.attach(built(family, dtype), Train.model_validate({"method": "lora", "rank": 4} | keys))


def trained(model):
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def expected(model, given):
    """Loss and gradients as transformers computes them, with one row in each forward pass."""
    causal, total, learned = model.get_base_model(), torch.zeros(()), 0
    for row in given:
        ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
        count = int((labels[:, 1:] != IGNORED).sum())
        total = total + causal(input_ids=ids, labels=labels, use_cache=False).loss * count
        learned += count
    loss = total / learned
    return loss.item(), torch.autograd.grad(loss, list(trained(model).values()), allow_unused=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_chosen_path_has_the_gradients_of_transformers(family):
    model, given = adapted(family), made()
    path = choice.choose(model, given, "fp32")
    model.eval()
    loss, gradients = expected(model, given)
    with path.ready(model):
        found = path.loss(model, path.collate(given), None, "fp32")
        computed = torch.autograd.grad(found, list(trained(model).values()), allow_unused=True)
    assert found.item() == pytest.approx(loss, abs=1e-5)
    for one, other in zip(computed, gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert any(gradient is not None and gradient.any() for gradient in computed)
    if family in WINDOW:
        assert path.name == "plain"


@pytest.mark.parametrize("method", ["full", "dora", "vera", "bottleneck", "prompt", "prefix", "p-tuning", "bitfit", "ia3"])
def test_every_method_trains_on_the_plain_path(method):
    keys = {"dropout": 0.0} if method in ("dora", "vera") else {}
    rank = {"rank": 4} if method in ("dora", "vera") else {}
    family = "gpt_neox" if method == "bitfit" else "mistral"
    torch.manual_seed(0)
    train = Train.model_validate({"method": method} | rank | keys)
    model = adapters.attach(built(family), train) if method != "full" else full(built(family))
    given = made()
    tried = trial.Trial(model, trial.sample(given), "fp32")
    tried.check()
    paths = list(choice.plain_paths("", train.virtual_tokens if method in ("prompt", "prefix", "p-tuning") else 0))
    assert tried.difference(paths[0]) == ""


def full(model):
    from pathlib import Path

    from fineline.adapters.native import Full

    return Full.new(model, Path("nowhere"))


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "qwen3_5_moe", "deepseek_v3", "glm4_moe", "granitemoehybrid"])
@pytest.mark.parametrize("targets", ["experts", "all"])
def test_experts_are_adapted_and_their_routers_are_not(family, targets):
    model, given = adapted(family, targets=targets), made()
    path = choice.choose(model, given, "fp32")
    with path.ready(model):
        path.loss(model, path.collate(given), None, "fp32").backward()
    names = {name for name, weight in trained(model).items() if weight.grad is not None and weight.grad.any()}
    assert any(".experts." in name for name in names)
    assert any("attn" in name or "mixer" in name or "mamba" in name for name in names) == (targets == "all")
    assert not any("router" in name or ".gate.lora" in name for name in trained(model))
    assert {weight.dtype for weight in trained(model).values()} == {torch.float32}
