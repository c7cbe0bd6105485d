"""Virtual tokens are applied by models with windows and with recurrent layers as they were trained."""

import pytest
import torch

from fineline import adapters
from fineline.errors import InputError
from fineline.models import loading
from fineline.project.params.training import Train
from tests import zoo

TOKENS = torch.tensor([[5, 9, 17, 33, 65, 129, 3, 7, 11, 13, 19, 23]])


def saved_and_loaded(model_type, method, place):
    base = zoo.save(model_type, "causal", place / "base")
    torch.manual_seed(0)
    train = Train(method=method, virtual_tokens=10)
    model = adapters.attach(loading.base_model(base, precision="fp32"), train, base).eval()
    adapters.save(model, place / "adapter")
    return model, adapters.load(loading.base_model(base, precision="fp32"), place / "adapter")


@pytest.mark.parametrize("method", ["prompt", "p-tuning"])
@pytest.mark.parametrize("model_type", ["llama", "mistral", "gemma3_text", "gpt_oss", "mamba2", "qwen3_5_text", "falcon_h1"])
@torch.no_grad()
def test_learned_embeddings_do_what_they_did_in_training(tmp_path, model_type, method):
    model, loaded = saved_and_loaded(model_type, method, tmp_path)
    causal = model.get_base_model()
    virtual = adapters.virtual_embeddings(model)[None]
    expected = causal(inputs_embeds=torch.cat([virtual, causal.get_input_embeddings()(TOKENS)], dim=1), use_cache=False)
    expected = expected.logits[:, 10:]
    torch.testing.assert_close(loaded(input_ids=TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
    places = torch.tensor([2, 7])
    chosen = loaded(input_ids=TOKENS, logits_to_keep=places).logits
    torch.testing.assert_close(chosen, expected[:, places], rtol=1e-4, atol=1e-4)
    with loaded.disable_adapter():
        assert not torch.allclose(loaded(input_ids=TOKENS).logits, expected, atol=1e-3)


@pytest.mark.parametrize("model_type", ["mistral", "mamba2", "qwen3_5_text", "falcon_h1"])
@torch.no_grad()
def test_a_row_can_be_read_in_two_calls(tmp_path, model_type):
    _, loaded = saved_and_loaded(model_type, "prompt", tmp_path)
    whole = loaded(input_ids=TOKENS).logits
    first = loaded(input_ids=TOKENS[:, :-1], use_cache=True)
    last = loaded(input_ids=TOKENS[:, -1:], past_key_values=first.past_key_values, use_cache=True).logits
    torch.testing.assert_close(last[:, -1], whole[:, -1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model_type", ["mamba2", "qwen3_5_text", "falcon_h1"])
def test_a_prefix_on_recurrent_layers_is_refused_before_training(tmp_path, model_type):
    with pytest.raises(InputError, match="layers with another state; use prompt or lora"):
        saved_and_loaded(model_type, "prefix", tmp_path)
