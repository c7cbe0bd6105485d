"""Models that are exact in a few rows of a trial, and would not be in the rows of the data, are not trained on flat rows."""

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.llama import modeling_llama

from fineline import adapters
from fineline.chat.tokens import TokenizedRow
from fineline.project.params.training import Train
from fineline.train import attention, choice
from tests import zoo
from tests.train.test_gradients import adapted, expected, made, trained


def test_a_mask_that_a_model_makes_itself_is_not_dropped(monkeypatch):
    def masked(config, inputs_embeds, **_):
        length = inputs_embeds.shape[1]
        return torch.zeros(1, 1, length, length) if config._attn_implementation == attention.NAME else None

    monkeypatch.setattr(modeling_llama, "create_causal_mask", masked)
    assert "make a mask themselves" in choice.choose(adapted("llama"), made(), "fp32").reason


def test_an_unknown_argument_of_attention_is_not_dropped(monkeypatch):
    known = modeling_llama.LlamaAttention.forward

    def forward(self, *args, **kwargs):
        return known(self, *args, tilt=2.0, **kwargs)

    monkeypatch.setattr(modeling_llama.LlamaAttention, "forward", forward)
    path = choice.choose(adapted("llama"), made(), "fp32")
    assert path.name == "plain"
    assert "tilt" in path.reason


@pytest.mark.parametrize("family", ["gpt_neo", "gptj", "codegen"])
def test_a_model_that_takes_rows_apart_by_their_positions_is_tried_with_a_common_beginning(family):
    given = made()
    assert len({row.input_ids[0] for row in given}) > 1
    assert choice.choose(adapted(family), given, "fp32").name == "plain"


def stretching():
    """A model whose rotary embeddings change for all rows of a batch in which one has more than 24 tokens."""
    config = zoo.tiny_config("llama")
    config.rope_parameters = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 8,
        "long_factor": [4.0] * 8,
        "factor": 4.0,
        "original_max_position_embeddings": 24,
    }
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(False).eval()
    return adapters.attach(model, Train(method="lora", rank=4))


def test_rows_on_both_sides_of_the_length_at_which_embeddings_stretch_share_no_pass():
    model, given = stretching(), made()
    assert sorted(len(row.input_ids) > 24 for row in given) == [False, False, True, True]
    path = choice.choose(model, given, "fp32")
    assert (path.name, path.batching) == ("plain", "alone")
    assert "beyond 24 tokens" in path.reason
    model.eval()
    loss, gradients = expected(model, given)
    with path.ready(model):
        found = path.loss(model, path.collate(given), None, "fp32")
        computed = torch.autograd.grad(found, list(trained(model).values()))
    assert found.item() == pytest.approx(loss, abs=1e-5)
    torch.testing.assert_close(list(computed), list(gradients), rtol=0, atol=1e-5)


def test_short_rows_do_not_stretch_embeddings():
    short = [TokenizedRow(row.input_ids[:20], row.labels[:20]) for row in made()]
    assert choice.choose(stretching(), short, "fp32").name == "flat"
