"""Models that flat rows would train wrongly are refused."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from fineline.errors import InputError
from fineline.models import loading
from fineline.train import attention, check
from tests.train.test_loop import data
from tests.train.test_rows import made

SMALL = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


def small(kind, **keys):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL, **keys), dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("final_logit_softcapping", 30.0, "final_logit_softcapping"),
        ("sliding_window", 8, "sliding window"),
        ("attention_dropout", 0.1, "attention_dropout"),
        ("attn_pdrop", 0.1, "attn_pdrop"),
        ("layer_types", ["full_attention", "linear_attention"], "linear_attention"),
    ],
)
def test_what_a_configuration_says_is_looked_at(tiny_base, key, value, message):
    model = loading.base_model(tiny_base)
    check.model(model)
    setattr(model.config, key, value)
    with pytest.raises(InputError, match=message):
        check.model(model)


def test_layers_that_carry_something_between_tokens_are_refused():
    with pytest.raises(InputError, match="conv"):
        check.model(small("lfm2", layer_types=["conv", "full_attention"]))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "phi", "gpt_neox"])
def test_usual_decoders_pass(kind):
    attention.register()
    model = small(kind)
    check.model(model)
    check.flat_rows(model, made(3))
    assert model.config._attn_implementation != attention.NAME


def test_a_model_that_does_something_unknown_is_found_out(tiny_base):
    attention.register()
    model = loading.base_model(tiny_base)
    check.flat_rows(model, data()[0])
    head = model.lm_head.forward
    model.lm_head.forward = lambda hidden: 3 * head(hidden)
    with pytest.raises(InputError, match="computes something that rows in one sequence do not"):
        check.flat_rows(model, data()[0])
