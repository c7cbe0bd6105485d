"""Sizes of batches follow from the model and the budget."""

import gc
import weakref

import pytest
import torch
from transformers import LlamaConfig

from fineline.inference import memory
from fineline.inference.packs import Pack
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from tests.inference import families


def smollm2(**changes):
    return LlamaConfig(
        **{"vocab_size": 49152, "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}
        | changes
    )


def test_a_small_model_is_limited_by_speed_and_not_by_memory():
    assert memory.of_config(smollm2(), "cpu", 4) == memory.Limits(tokens=16384, places=1024)


def test_keys_and_values_of_all_tokens_fit_the_budget():
    wide = smollm2(hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, num_hidden_layers=36)
    token = 36 * 2 * 8 * 128 * 4
    assert memory.of_config(wide, "cpu", 4).tokens == (1 << 30) // token == 3640
    assert memory.of_config(wide, "cpu", 2).tokens == 7281
    assert memory.of_config(wide, "cuda", 2).tokens == 16384


def test_logits_of_all_places_fit_the_budget():
    large = memory.of_config(smollm2(vocab_size=262144), "cpu", 4)
    assert large.places * 262144 * 4 == 1 << 28


def test_a_model_beyond_the_budget_still_gets_a_token_and_a_place():
    assert memory.limits("cpu", token_bytes=1 << 40, vocabulary=1 << 40) == memory.Limits(tokens=1, places=1)


@pytest.mark.parametrize(
    "family", ["llama", "qwen3", "gemma2", "gemma3", "mistral", "phi3", "glm4-moe", "deepseek-v3", "gpt-oss"]
)
def test_a_token_takes_no_more_memory_than_the_limits_assume(family):
    model = families.model(family)
    cache = model(input_ids=torch.tensor([[5, 6, 7, 8]]), use_cache=True).past_key_values
    taken = sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values)) / 4
    text = model.config.get_text_config()
    assert 0 < taken <= memory.layers(text) * memory.keys_and_values(text) * 4


def test_a_pack_is_cut_where_its_logits_exceed_the_limit():
    pack = Pack()
    path = pack.add(range(1, 10))
    pack.ask(path[2:8], range(6))
    assert list(pack.pieces(100)) == [(0, 9, [2, 3, 4, 5, 6, 7])]
    assert list(pack.pieces(4)) == [(0, 6, [2, 3, 4, 5]), (6, 9, [6, 7])]


def test_an_engine_is_gone_with_its_scorer():
    engine = TorchEngine(families.model("llama"), "fp32")
    scorer = Scorer(engine, families.tokenizer())
    scorer._loglikelihood_tokens([(None, [5, 6, 7], [8, 9])])
    alive = weakref.ref(engine)
    gc.collect()
    gc.disable()  # a cycle would keep it until the next collection, which may come too late
    try:
        del engine, scorer
        assert alive() is None
    finally:
        gc.enable()
