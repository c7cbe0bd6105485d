"""The scorer against lm-eval's own Hugging Face model, and ONNX against PyTorch."""

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from fineline.chat.tokens import cut, tokenizer_of
from fineline.errors import InputError
from fineline.export.onnx import build
from fineline.inference import batches
from fineline.inference.journal import AnswerJournal
from fineline.inference.memory import Limits
from fineline.inference.onnx_engine import OnnxEngine
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine

CONTEXTS = ["turn on the kitchen lamp", "attic fan", "please switch the heater in the garage off and wait a while"]
CHOICES = ["on", " off", ' {"intent":"turn_on"}', ' {"intent":"turn_off"}', " x"]
SHOTS = "".join(f"{context} -> {choice}\n" for context in CONTEXTS for choice in CHOICES)
LONG = SHOTS * 3  # more than the tiny model's 512 tokens


@pytest.fixture(scope="module")
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


class Standard(HFLM):
    """lm-eval's own model class, but a continuation has the tokens that follow its context, white space included."""

    def _encode_pair(self, context, continuation):
        return cut(
            lambda text: self.tok_encode(text, add_special_tokens=False), context, continuation, self.tokenizer.eos_token
        )


@pytest.fixture(scope="module")
def standard(model, tokenizer):
    return Standard(pretrained=model, tokenizer=tokenizer, batch_size=1)


@pytest.fixture(scope="module")
def torch_engine(model):
    return TorchEngine(model, "fp32")


@pytest.fixture(scope="module")
def onnx_engine(tiny_base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("onnx")
    build(tiny_base, "fp32", directory, tmp_path_factory.mktemp("cache"))
    return OnnxEngine(directory)


@pytest.fixture(scope="module", params=["torch", "onnx"])
def engine(request):
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture(scope="module")
def torch_scorer(torch_engine, tokenizer):
    return Scorer(torch_engine, tokenizer)


def likelihoods(contexts=CONTEXTS, choices=CHOICES):
    pairs = ((context, choice) for context in contexts for choice in choices)
    return [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]


def generations(contexts=CONTEXTS, **options):
    options = {"until": [], "max_gen_toks": 12, "do_sample": False} | options
    return [Instance("generate_until", {}, (context, options), number) for number, context in enumerate(contexts)]


def assert_same(found, expected, tolerance=1e-3):
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert np.allclose([score for score, _ in found], [score for score, _ in expected], rtol=tolerance)


@pytest.fixture
def shares_prefixes(monkeypatch):
    """However little a shared prefix saves, it is read apart."""
    monkeypatch.setattr(batches, "_WORTH", 0)


@pytest.fixture
def prefixes(monkeypatch):
    """The lengths of the prefixes that are read apart."""
    seen = []
    encode = TorchEngine.encode
    monkeypatch.setattr(TorchEngine, "encode", lambda self, prefix: seen.append(len(prefix)) or encode(self, prefix))
    return seen


def test_likelihoods_equal_those_of_the_standard_harness(engine, tokenizer, standard):
    requests = likelihoods()
    assert_same(Scorer(engine, tokenizer).loglikelihood(requests), standard.loglikelihood(requests, disable_tqdm=True))


def test_a_shared_few_shot_prefix_is_read_once_and_changes_nothing(torch_engine, tokenizer, standard, prefixes):
    requests = likelihoods([f"{SHOTS}{context} ->" for context in CONTEXTS])
    found = Scorer(torch_engine, tokenizer).loglikelihood(requests)
    assert len(prefixes) == 1
    assert prefixes[0] == pytest.approx(len(tokenizer(SHOTS)["input_ids"]), abs=3)
    assert_same(found, standard.loglikelihood(requests, disable_tqdm=True))


def test_onnx_shares_prefixes_like_pytorch(torch_engine, onnx_engine, tokenizer, shares_prefixes):
    requests = likelihoods([f"{SHOTS}{context} ->" for context in CONTEXTS])
    expected = Scorer(torch_engine, tokenizer).loglikelihood(requests)
    assert_same(Scorer(onnx_engine, tokenizer).loglikelihood(requests), expected)
    writing = generations([f"{SHOTS}{context} ->" for context in CONTEXTS])
    assert Scorer(onnx_engine, tokenizer).generate_until(writing) == Scorer(torch_engine, tokenizer).generate_until(writing)


def test_sharing_prefixes_equals_not_sharing_them(engine, tokenizer, monkeypatch):
    requests, writing = likelihoods(), generations()
    results = []
    for worth in (0, 10**9):
        monkeypatch.setattr(batches, "_WORTH", worth)
        subject = Scorer(engine, tokenizer)
        results.append((subject.loglikelihood(requests), subject.generate_until(writing)))
    assert_same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_batches_of_another_size_give_the_same_answers(engine, tokenizer):
    requests, writing = likelihoods(), generations()
    usual, small = Scorer(engine, tokenizer), Scorer(engine, tokenizer, budget=0.01)
    assert_same(small.loglikelihood(requests), usual.loglikelihood(requests))
    assert small.generate_until(writing) == usual.generate_until(writing)


def test_long_packs_are_read_in_pieces(engine, tokenizer, monkeypatch):
    requests = likelihoods()
    expected = Scorer(engine, tokenizer).loglikelihood(requests)
    monkeypatch.setattr(engine, "limits", Limits(tokens=engine.limits.tokens, places=7))
    monkeypatch.setattr("fineline.inference.packs._PIECE", 20)
    assert_same(Scorer(engine, tokenizer).loglikelihood(requests), expected)


def test_generations_equal_those_of_the_standard_harness(engine, tokenizer, standard):
    expected = standard.generate_until(generations(), disable_tqdm=True)
    assert Scorer(engine, tokenizer).generate_until(generations()) == expected


def test_rows_end_at_their_own_limits(torch_scorer, standard):
    requests = [
        Instance("generate_until", {}, (context, {"until": [], "max_gen_toks": limit, "do_sample": False}), number)
        for number, (context, limit) in enumerate(zip(CONTEXTS * 2, (1, 9, 4, 12, 2, 7), strict=True))
    ]
    alone = [standard.generate_until([request], disable_tqdm=True)[0] for request in requests]
    assert torch_scorer.generate_until(requests) == alone


@pytest.mark.parametrize("length", [1, 2, 5])
def test_stop_texts_end_and_cut_rows_like_the_standard_harness(engine, tokenizer, standard, length):
    free = Scorer(engine, tokenizer).generate_until(generations())
    stops = [text[3 : 3 + length] for text in free[:2]]
    expected = standard.generate_until(generations(until=stops), disable_tqdm=True)
    found = Scorer(engine, tokenizer).generate_until(generations(until=stops))
    assert found == expected
    assert found[0] == free[0][: min(at for stop in stops if (at := free[0].find(stop)) >= 0)]


def test_one_stop_text_may_stand_alone(torch_scorer):
    assert torch_scorer.generate_until(generations(until="e")) == torch_scorer.generate_until(generations(until=["e"]))


def test_whole_texts_score_like_the_standard_harness(engine, tokenizer, standard):
    requests = [Instance("loglikelihood_rolling", {}, (text,), number) for number, text in enumerate((*CONTEXTS, LONG))]
    expected = standard.loglikelihood_rolling(requests, disable_tqdm=True)
    assert len(tokenizer(LONG)["input_ids"]) > 512
    assert np.allclose(Scorer(engine, tokenizer).loglikelihood_rolling(requests), expected, rtol=1e-4)


def test_an_empty_context_scores_like_the_standard_harness(engine, tokenizer, standard):
    requests = likelihoods(["", *CONTEXTS])
    assert_same(Scorer(engine, tokenizer).loglikelihood(requests), standard.loglikelihood(requests, disable_tqdm=True))


def test_an_empty_prompt_starts_like_a_text_without_context(torch_scorer, tokenizer):
    assert torch_scorer.generate_until(generations([""])) == torch_scorer.generate_until(generations([tokenizer.bos_token]))


def test_a_context_longer_than_the_window_loses_its_beginning(engine, tokenizer, standard):
    requests = likelihoods([LONG, *CONTEXTS])
    assert_same(Scorer(engine, tokenizer).loglikelihood(requests), standard.loglikelihood(requests, disable_tqdm=True))
    writing = generations([LONG, *CONTEXTS])
    assert Scorer(engine, tokenizer).generate_until(writing) == standard.generate_until(writing, disable_tqdm=True)


def test_a_continuation_longer_than_the_window_is_refused(torch_scorer):
    with pytest.raises(InputError, match="the model's context is 512"):
        torch_scorer.loglikelihood(likelihoods(["attic fan"], [LONG]))
    with pytest.raises(InputError, match="max_gen_toks is 512"):
        torch_scorer.generate_until(generations(max_gen_toks=512))


def test_continuations_of_one_token_score_like_the_standard_harness(engine, tokenizer, standard):
    requests = likelihoods(choices=["a", "e", "o", "x"])
    found = Scorer(engine, tokenizer).loglikelihood(requests)
    assert_same(found, standard.loglikelihood(requests, disable_tqdm=True))


def test_the_same_request_twice_is_answered_twice(engine, tokenizer):
    subject = Scorer(engine, tokenizer)
    once, twice = subject.loglikelihood(likelihoods()), subject.loglikelihood(likelihoods() * 2)
    assert_same(twice, once * 2)
    assert subject.generate_until(generations() * 2) == subject.generate_until(generations()) * 2


def test_answers_come_in_the_order_of_the_requests(torch_scorer):
    requests = likelihoods()
    assert_same(torch_scorer.loglikelihood(requests[::-1]), torch_scorer.loglikelihood(requests)[::-1])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_model_with_windows_shares_no_more_than_a_window(attention, tokenizer):
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=24,
        max_position_embeddings=512,
        attn_implementation=attention,
    )
    windowed = MistralForCausalLM(config).eval()
    engine = TorchEngine(windowed, "fp32")
    assert engine.tree_length == 24
    requests = likelihoods([*CONTEXTS, SHOTS])
    expected = Standard(pretrained=windowed, tokenizer=tokenizer, batch_size=1).loglikelihood(requests, disable_tqdm=True)
    assert_same(Scorer(engine, tokenizer).loglikelihood(requests), expected)


def test_an_exported_model_with_windows_shares_nothing(tiny_base, onnx_engine, tmp_path, tmp_path_factory):
    """Its operator counts a window's places in the pack, so a tree would hide what a sequence sees."""
    import onnx

    built = tmp_path / "windowed"
    build(tiny_base, "fp32", built, tmp_path_factory.mktemp("cache"))
    model = onnx.load(built / "model.onnx", load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            kept = [attribute for attribute in node.attribute if attribute.name != "local_window_size"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("local_window_size", 8)])
    onnx.save(model, built / "model.onnx")
    assert OnnxEngine(built).tree_length == 0
    assert onnx_engine.tree_length == onnx_engine.context_length


def test_a_model_that_computes_no_numbers_scores_none(model, tokenizer, tmp_path):
    import copy

    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.model.layers[0].mlp.down_proj.weight.fill_(torch.nan)
    file = tmp_path / "journal.jsonl"
    for _ in range(2):  # computed, then read from the journal
        found = Scorer(TorchEngine(broken, "fp32"), tokenizer, AnswerJournal(file)).loglikelihood(likelihoods())
        assert all(np.isnan(score) and not greedy for score, greedy in found)


def test_sampling_is_refused(torch_scorer):
    with pytest.raises(ValueError, match="greedily"):
        torch_scorer.generate_until(generations(do_sample=True))


class Killed(Exception):
    """What stands for the end of the process."""


class Mortal:
    """An engine that lives for so many batches, and says which it was given."""

    def __init__(self, engine, life):
        self.engine, self.life, self.packs = engine, life, []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def _live(self, tokens):
        if len(self.packs) == self.life:
            raise Killed
        self.packs.append(tokens)

    def score(self, prefix, pack):
        self._live(pack.tokens)
        return self.engine.score(prefix, pack)

    def open(self, prefix, packs, room):
        self._live([prompts.pack.tokens for prompts in packs])
        return self.engine.open(prefix, packs, room)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(torch_engine, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_engine, "limits", Limits(tokens=3000, places=torch_engine.limits.places))
    small, file = {"budget": 0.02}, tmp_path / "journal.jsonl"
    requests, writing = likelihoods(), generations([*CONTEXTS, *CHOICES])
    whole = Mortal(torch_engine, life=100)
    subject = Scorer(whole, tokenizer, **small)
    expected = subject.loglikelihood(requests), subject.generate_until(writing)
    assert len(whole.packs) >= 6

    last_life = len(whole.packs) - 2
    first = Mortal(torch_engine, last_life)
    interrupted = Scorer(first, tokenizer, AnswerJournal(file), **small)
    with pytest.raises(Killed):
        _ = interrupted.loglikelihood(requests), interrupted.generate_until(writing)
    second = Mortal(torch_engine, life=100)
    resumed = Scorer(second, tokenizer, AnswerJournal(file), **small)
    assert (resumed.loglikelihood(requests), resumed.generate_until(writing)) == expected
    assert first.packs + second.packs == whole.packs


def test_batches_are_the_same_for_every_model(model, tokenizer, torch_engine):
    import copy

    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    seen = []
    for engine in (torch_engine, TorchEngine(other, "fp32")):
        arm = Mortal(engine, life=100)
        subject = Scorer(arm, tokenizer, budget=0.1)
        subject.loglikelihood(likelihoods())
        subject.generate_until(generations())
        seen.append(arm.packs)
    assert seen[0] == seen[1]
