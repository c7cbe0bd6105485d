"""Merged weights against the model they come from."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from fineline import adapters, artifacts
from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.inference import probe
from fineline.inference.fidelity import fidelity
from fineline.merge import weights
from fineline.project import layout
from fineline.stages import merge as stage
from tests.adapters.cases import CASES, MERGEABLE, loaded_base, new
from tests.merge.conftest import moved

TOKENS = [list(range(3, 40)), list(range(90, 50, -1))]


def adapted(name, base, tmp_path, precision="bf16"):
    """A small base with an adapter that changes its answers, saved and loaded as stages do."""
    case = CASES[name]
    adapters.save(moved(case, base), tmp_path / "adapter")
    return adapters.load(loaded_base(case, base, precision), tmp_path / "adapter")


def merged_into(tmp_path, name, base, model, precision="bf16"):
    into = tmp_path / "merged"
    into.mkdir()
    weights.write(base, model, into, METHODS[CASES[name].train.method], precision)
    return into


def logits(model):
    return list(probe.torch_logits(model, TOKENS))


@pytest.mark.parametrize("name", MERGEABLE)
def test_the_merged_model_answers_as_base_and_adapter(bases, tmp_path, name):
    base = bases[CASES[name].base]
    model = adapted(name, base, tmp_path)
    into = merged_into(tmp_path, name, base, model)
    merged = logits(AutoModelForCausalLM.from_pretrained(into, dtype=torch.float32))
    reference = weights.reference(model)
    expected = logits(reference)
    with reference.disable_adapter():
        plain = logits(reference)
    measured = fidelity(expected, merged).mean_kl  # near-ties are many in a model with random weights: no top-1 agreement here
    assert measured <= min(stage.LARGEST_KL, 1e-3 * fidelity(expected, plain).mean_kl)
    assert fidelity(expected, merged).max_abs_difference < 0.03 * fidelity(expected, plain).max_abs_difference


@pytest.mark.parametrize("name", MERGEABLE)
def test_a_model_trained_and_merged_in_fp32_is_the_same_model(bases, tmp_path, name):
    base = bases[CASES[name].base]
    model = adapted(name, base, tmp_path, "fp32")
    into = merged_into(tmp_path, name, base, model, "fp32")
    merged = AutoModelForCausalLM.from_pretrained(into, dtype="auto")
    assert {weight.dtype for weight in merged.parameters()} == {torch.float32}
    measured = fidelity(probe.torch_logits(weights.reference(model), TOKENS), probe.torch_logits(merged, TOKENS))
    assert measured.mean_kl <= 1e-9
    assert measured.max_abs_difference <= 1e-4 * measured.max_abs_logit


def test_an_adapter_that_adds_nothing_leaves_lora_weights_bit_for_bit(tiny_base, tmp_path):
    adapters.save(new(CASES["lora"], tiny_base), tmp_path / "adapter")
    unchanged = adapters.load(loaded_base(CASES["lora"], tiny_base), tmp_path / "adapter")
    into = merged_into(tmp_path, "lora", tiny_base, unchanged)
    original, merged = load_file(tiny_base / "model.safetensors"), load_file(into / "model.safetensors")
    assert all(torch.equal(original[name], merged[name]) for name in original)


@pytest.mark.parametrize("name", ["full", "bitfit", "ia3-biased"])
def test_what_was_not_trained_is_merged_bit_for_bit(bases, tmp_path, name):
    base = bases[CASES[name].base]
    into = merged_into(tmp_path, name, base, adapted(name, base, tmp_path))
    original, merged = load_file(base / "model.safetensors"), load_file(into / "model.safetensors")
    assert original.keys() == merged.keys()
    changed = {key.rpartition(".")[2] for key in original if not torch.equal(original[key], merged[key])}
    assert changed == {"full": {"weight"}, "bitfit": {"bias"}, "ia3-biased": {"weight", "bias"}}[name]
    assert all(tensor.dtype == torch.bfloat16 for tensor in merged.values())


@pytest.mark.parametrize("method", [method for method in METHODS if not METHODS[method].mergeable])
def test_what_cannot_be_merged_is_refused_before_any_weight_is_read(project, method):
    with artifacts.create(
        layout.adapter("home"),
        kind="adapter",
        name="home",
        stage="train",
        parameters={"method": method},
    ) as directory:
        (directory / "adapter_config.json").write_text("{}")
    assert not layout.base("tiny").exists()
    expected = f"adapters.home.train.method: a {method} adapter cannot be merged: .*; serve it next to its base, or train with"
    with pytest.raises(InputError, match=expected):
        stage.run("home")


def test_prompt_learning_and_bottlenecks_cannot_be_merged_and_all_else_can():
    refused = {method for method in METHODS if not METHODS[method].mergeable}
    assert refused == {"prefix", "prompt", "p-tuning", "bottleneck"}


@pytest.mark.parametrize(
    "method", [method for method in METHODS.values() if not method.mergeable], ids=lambda method: method.name
)
def test_a_method_that_cannot_be_merged_says_why(method):
    with pytest.raises(InputError, match=f"a {method.name} adapter cannot be merged: {method.not_mergeable}"):
        method.merges(None)
