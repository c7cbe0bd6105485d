"""The trial takes the flat path only where it is exact, and refuses models that cannot be trained."""

import pytest
import torch

from fineline import adapters
from fineline.errors import InputError
from fineline.project.params.training import Train
from fineline.train import choice, trial
from tests.train.test_gradients import adapted, built, made


def chosen(model, given=None, precision="fp32"):
    return choice.choose(model, given or made(), precision)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "phi", "gpt_neox", "granitemoe"])
def test_usual_decoders_are_trained_on_flat_rows(family, precision):
    model = adapted(family, torch.bfloat16 if precision == "bf16" else torch.float32)
    kinds = {name: weight.dtype for name, weight in model.named_parameters()}
    values = {name: weight.clone() for name, weight in model.named_parameters()}
    path = chosen(model, precision=precision)
    assert (path.name, path.reason) == ("flat", "equal loss and gradient in a trial on this model")
    assert {name: weight.dtype for name, weight in model.named_parameters()} == kinds
    assert all(torch.equal(weight, values[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("mamba2", "a row changes with the row before it"),
        ("falcon_h1", "a row changes with the row before it"),
        ("qwen3_next", "a row changes with the row before it"),
        ("cohere", "the model changes the output of its head"),
        ("mistral", "longer than the window"),
        ("gpt_oss", "longer than the window"),
        ("gemma2", "the model changes the output of its head"),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_flat_rows_cannot_do_is_found_out(family, reason, precision, monkeypatch):
    monkeypatch.setattr(trial, "_WIDENED", 0)  # in bf16 too, where rounding hides small differences
    model = adapted(family, torch.bfloat16 if precision == "bf16" else torch.float32)
    path = chosen(model, precision=precision)
    assert path.name == "plain"
    assert reason in path.reason


def test_a_window_is_compared_with_the_longest_row_of_the_data():
    model = adapted("mistral")
    model.get_base_model().config.sliding_window = 64
    assert chosen(model).name == "flat"
    longer = made()
    longer[0].input_ids.extend([5] * 80)
    longer[0].labels.extend([5] * 80)
    path = chosen(model, longer)
    assert path.name == "plain"
    assert "rows of 90 tokens" in path.reason


def test_dropout_in_the_configuration_is_the_models_own():
    model = adapted("llama")
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.1
    path = chosen(model)
    assert path.name == "plain"
    assert "dropout" in path.reason


def test_a_model_whose_tokens_see_what_follows_is_refused():
    model = built("bert")
    model.config.is_decoder = False
    for module in model.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False
        if hasattr(module, "is_decoder"):
            module.is_decoder = False
    with pytest.raises(InputError, match="depend on the tokens after it"):
        chosen(adapters.attach(model, Train(method="lora")))


def test_a_model_that_needs_an_image_is_refused_before_training():
    with pytest.raises(InputError, match=r"train.method: a blip-2 model cannot be trained this way: .*pixel_values"):
        chosen(adapted("blip-2"))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_base_without_a_finite_loss_is_explained(number):
    model = adapted("llama")
    with torch.no_grad():
        model.get_base_model().model.norm.weight.fill_(number)
    with pytest.raises(InputError, match="before any training"):
        chosen(model)


def test_a_prefix_is_not_dropped_by_recomputation():
    model = built("mistral")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model = adapters.attach(model, Train(method="prefix"))
    with pytest.raises(InputError, match=r"train\.recompute"):
        choice.choose(model, made(), "fp32", 16)


@pytest.mark.parametrize(
    ("model_type", "complaint"), [("prophetnet", "the number of tokens after it"), ("reformer", "the tokens after it")]
)
def test_a_model_that_cannot_generate_what_it_learned_is_refused_with_the_cause(model_type, complaint):
    with pytest.raises(InputError, match=f"depend on {complaint}"):
        chosen(adapted(model_type))
