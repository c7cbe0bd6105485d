"""The scorer against lm-eval's own Hugging Face model, and ONNX against PyTorch."""

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from pipelines.evaluate.scorer import Scorer, _batches
from pipelines.evaluate.torch_engine import TorchEngine
from pipelines.export import builder
from pipelines.onnx_engine import OnnxEngine
from pipelines.tokens import tokenizer_of

CONTEXTS = ["turn on the kitchen lamp", "attic fan", "please switch the heater in the garage off and wait a while"]
CHOICES = ["on", " off", ' {"intent":"turn_on"}', " x"]


@pytest.fixture(scope="module")
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


@pytest.fixture(scope="module")
def torch_scorer(model, tokenizer):
    return Scorer(TorchEngine(model, "fp32"), tokenizer)


@pytest.fixture(scope="module")
def onnx_scorer(tiny_base, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("onnx")
    builder.build(tiny_base, "fp32", directory, tmp_path_factory.mktemp("cache"))
    return Scorer(OnnxEngine(directory), tokenizer)


def likelihoods():
    return [
        Instance("loglikelihood", {}, (context, choice), index)
        for index, (context, choice) in enumerate((context, choice) for context in CONTEXTS for choice in CHOICES)
    ]


def generations(**options):
    options = {"until": [], "max_gen_toks": 12, "do_sample": False} | options
    return [Instance("generate_until", {}, (context, options), index) for index, context in enumerate(CONTEXTS)]


def test_likelihoods_equal_those_of_the_standard_harness(torch_scorer, model, tokenizer):
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    expected = standard.loglikelihood(likelihoods(), disable_tqdm=True)
    found = torch_scorer.loglikelihood(likelihoods(), disable_tqdm=True)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert np.allclose([score for score, _ in found], [score for score, _ in expected], atol=1e-4)


def test_generations_equal_those_of_the_standard_harness(torch_scorer, model, tokenizer):
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    expected = standard.generate_until(generations(), disable_tqdm=True)
    assert torch_scorer.generate_until(generations()) == expected


def test_onnx_and_pytorch_give_the_same_likelihoods(torch_scorer, onnx_scorer):
    expected = torch_scorer.loglikelihood(likelihoods(), disable_tqdm=True)
    found = onnx_scorer.loglikelihood(likelihoods(), disable_tqdm=True)
    assert np.allclose([score for score, _ in found], [score for score, _ in expected], atol=1e-3)


def test_onnx_and_pytorch_write_the_same(torch_scorer, onnx_scorer):
    assert onnx_scorer.generate_until(generations()) == torch_scorer.generate_until(generations())


def test_whole_texts_score_as_the_sum_of_their_tokens(torch_scorer, model, tokenizer):
    text = "turn on the kitchen lamp"
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    request = [Instance("loglikelihood_rolling", {}, (text,), 0)]
    expected = standard.loglikelihood_rolling(request, disable_tqdm=True)
    assert np.allclose(torch_scorer.loglikelihood_rolling(request), expected, atol=1e-3)


def test_a_stop_text_ends_a_row_and_is_cut_off(torch_scorer):
    free = torch_scorer.generate_until(generations())
    stop = free[0][2:4]
    assert torch_scorer.generate_until(generations(until=[stop]))[0] == free[0][: free[0].find(stop)]


def test_sampling_is_refused(torch_scorer):
    with pytest.raises(ValueError, match="greedily"):
        torch_scorer.generate_until(generations(do_sample=True))


def test_batches_stay_within_the_budget():
    sizes = {0: 2500, 1: 2500, 2: 100, 3: 90, 4: 9000}
    ordered = sorted(sizes, key=lambda item: sizes[item])
    assert list(_batches(ordered, sizes, budget=4096)) == [[3, 2], [0], [1], [4]]
