"""Answers of many requests together equal those of the model itself, one row at a time, for every family."""

from contextlib import nullcontext

import pytest
import torch
from lm_eval.api.instance import Instance

from fineline.inference import trials
from fineline.inference.plain import PlainModel
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from tests import zoo
from tests.inference import families

NEW = 10
PROMPTS = [trials.sample(families.model("llama").config, length, length) for length in (40, 3, 12, 26, 13, 26)]
"""Longer and shorter than the windows, the chunks and the original context of the models."""
RECURRENT = ("qwen3.5", "qwen3-next", "granite4", "mamba2", "falcon-h1", "Qwen3_5")


@pytest.fixture(scope="module", params=[*families.SETTINGS, *families.PICTURES])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def model(family):
    return families.model_with_pictures(family) if family in families.PICTURES else families.model(family)


@pytest.fixture(scope="module")
def engine(model):
    return TorchEngine(model, "fp32")


def continuations():
    """Contexts, each with continuations of one and of several tokens."""
    return [(None, list(prompt[:-4]), list(end)) for prompt in PROMPTS[2:] for end in (prompt[-4:], prompt[-3:-2], (5, 9, 7))]


@torch.no_grad()
def alone(model, context, continuation):
    logits = model(input_ids=torch.tensor([[*context, *continuation[:-1]]])).logits[0].float().log_softmax(-1)
    places = range(len(context) - 1, len(context) + len(continuation) - 1)
    chosen = [logits[place].argmax().item() for place in places]
    return sum(logits[place, token].item() for place, token in zip(places, continuation, strict=True)), chosen == continuation


@pytest.mark.parametrize("trees", [True, False])
def test_likelihoods_are_those_of_the_models_own_logits(model, engine, trees, monkeypatch):
    if not trees:
        monkeypatch.setattr(engine, "tree_length", 0)
    found = Scorer(engine, families.tokenizer())._loglikelihood_tokens(continuations())
    expected = [alone(model, context, continuation) for _, context, continuation in continuations()]
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("trees", [True, False])
def test_generated_answers_are_those_of_generate(model, engine, trees, monkeypatch):
    if not trees:
        monkeypatch.setattr(engine, "tree_length", 0)
    tokenizer = families.tokenizer()
    scorer, options = Scorer(engine, tokenizer), {"until": [], "max_gen_toks": NEW}
    requests = [Instance("generate_until", {}, (tokenizer.decode(prompt), options), 0) for prompt in PROMPTS]
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        text = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW)[0, len(prompt) :]
        expected.append(scorer.chat.tokenizer.decode([token for token in text.tolist() if token != tokenizer.eos_token_id]))
    assert scorer.generate_until(requests) == expected


def test_the_engine_records_how_the_model_is_read(family, engine):
    reads_trees = engine.tree_length > 0
    assert reads_trees == (family not in RECURRENT)
    assert ("are read as trees" in engine.path) == reads_trees
    assert engine.row_length > 0
    assert engine.generates == "padded"


def test_decoding_settings_that_came_with_the_model_change_no_answer():
    model = families.model("llama")
    plain = TorchEngine(model, "fp32").plain
    texts = []
    for setting in ({}, {"do_sample": True, "repetition_penalty": 5.0, "eos_token_id": list(range(96)), "max_length": 4}):
        model.generation_config.update(**setting)
        text = []
        plain.generate([PROMPTS[1]], NEW, lambda _, token, text=text: text.append(token) or False)
        texts.append(text)
    assert len(texts[0]) == NEW
    assert texts[0] == texts[1]
    assert model.generation_config.repetition_penalty == 5.0


def test_a_row_that_ended_takes_no_more_tokens():
    plain = TorchEngine(families.model("mamba2"), "fp32").plain
    taken = [0, 0]

    def take(number, token):
        taken[number] += 1
        return taken[number] == (2, 5)[number]

    plain.generate([PROMPTS[1], PROMPTS[2]], NEW, take)
    assert taken == [2, 5]


def test_rows_of_a_model_that_reads_padding_are_continued_in_groups_of_equal_length(monkeypatch):
    model = families.model("llama")
    generate = type(model).generate
    monkeypatch.setattr(type(model), "generate", lambda self, ids, attention_mask=None, **more: generate(self, ids, **more))
    engine = TorchEngine(model, "fp32")
    assert engine.generates == "equal"
    assert "rows of equal length: rows generated together differs by" in engine.path


def test_a_model_whose_rows_depend_on_each_other_is_read_one_row_at_a_time(monkeypatch):
    model = families.model("llama")
    forward = model.lm_head.forward

    def mixed(states):
        return forward(states + states.mean(dim=0, keepdim=True) * (len(states) > 1))

    monkeypatch.setattr(model.lm_head, "forward", mixed)
    engine = TorchEngine(model, "fp32")
    assert (engine.row_length, engine.generates) == (0, "single")
    assert "one at a time" in engine.path


def test_no_more_logits_are_in_memory_than_a_piece(monkeypatch):
    model = families.model("llama")
    sizes = []
    logits = PlainModel.logits

    def counted(self, rows, keep):
        sizes.append(len(rows) * len(keep))
        return logits(self, rows, keep)

    engine = TorchEngine(model, "fp32")
    engine.tree_length = 0
    engine.plain.places = 8
    assert engine.row_length
    monkeypatch.setattr(PlainModel, "logits", counted)
    context, continuation = list(PROMPTS[0][:5]), list(PROMPTS[0][5:])
    ((score, _),) = Scorer(engine, families.tokenizer())._loglikelihood_tokens([(None, context, continuation)])
    assert sizes == [8, 8, 8, 8, 3]
    assert score == pytest.approx(alone(model, context, continuation)[0], abs=1e-4)


def test_a_model_whose_cache_cannot_be_built_reads_the_whole_text_again():
    model = zoo.build("blt")
    plain = PlainModel(model, "fp32", nullcontext, 1024)
    prompt, found = (40, 50, 60, 70), []
    plain.generate([prompt], 4, lambda _, token: bool(found.append(token)))
    expected = model.generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False, use_cache=False)[0, 4:].tolist()
    assert found == expected
