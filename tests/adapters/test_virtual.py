"""Virtual tokens: invisible to the caller, and otherwise what PEFT computes."""

import numpy as np
import pytest
import torch

from fineline import adapters
from fineline.adapters.virtual import VirtualTokens
from fineline.inference.batches import Question
from fineline.inference.packs import Pack, Prompts
from fineline.inference.torch_engine import TorchEngine
from tests.adapters.cases import CASES, PROMPT_LEARNING, batch, loaded_base, new

every_kind = pytest.mark.parametrize("name", PROMPT_LEARNING)
TOKENS = batch()["input_ids"]


@pytest.fixture
def pair(trained, name):
    """The trained `PeftModel` and the loaded adapter, both in fp32."""
    case = trained[name]
    loaded = adapters.load(loaded_base(case.case, case.base), case.directory)
    attached = adapters.attach(loaded_base(case.case, case.base), case.case.train)
    attached.load_state_dict(case.model.state_dict())
    return torch.nn.Module.float(attached).eval(), torch.nn.Module.float(loaded).eval()


@every_kind
@torch.no_grad()
def test_logits_are_those_of_peft_without_the_virtual_positions(pair):
    attached, loaded = pair
    expected = attached(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS)).logits[:, -TOKENS.shape[1] :]
    assert isinstance(loaded, VirtualTokens)
    assert torch.allclose(loaded(input_ids=TOKENS).logits, expected, atol=1e-4)
    assert torch.allclose(loaded(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS)).logits, expected, atol=1e-4)


@every_kind
@torch.no_grad()
def test_continuing_from_the_cache_equals_one_forward_pass(pair):
    _, loaded = pair
    at_once = loaded(input_ids=TOKENS).logits
    step = loaded(input_ids=TOKENS[:, :10], use_cache=True)
    parts = [step.logits]
    for first, last in ((10, 11), (11, 17), (17, 24)):
        step = loaded(input_ids=TOKENS[:, first:last], past_key_values=step.past_key_values, use_cache=True)
        parts.append(step.logits)
    assert torch.allclose(torch.cat(parts, dim=1), at_once, atol=1e-4)


@every_kind
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_engine_scores_a_tree_like_separate_sequences(pair, attention):
    _, loaded = pair
    loaded.model.set_attn_implementation(attention)
    engine = TorchEngine(loaded, "fp32")
    assert engine.tree_length == engine.context_length
    row = TOKENS[0].tolist()
    sequences = [[*row[:9], 5, 6], [*row[:9], 7], row[:12]]
    pack = Pack(4)
    numbers = [pack.ask(pack.add(sequence[4:])[-2:], [8, 9]) for sequence in sorted(sequences)]
    found = engine.score(engine.encode(row[:4]), pack)
    for sequence, asked in zip(sorted(sequences), numbers, strict=True):
        with torch.no_grad():
            expected = loaded(input_ids=torch.tensor([sequence])).logits[0].log_softmax(-1)
        assert found.scores[asked] == pytest.approx([expected[-2, 8].item(), expected[-1, 9].item()], abs=1e-4)


@every_kind
def test_the_engine_generates_rows_of_different_lengths_independently(pair):
    _, loaded = pair
    engine = TorchEngine(loaded, "fp32")
    texts = sorted([TOKENS[0, :10].tolist(), TOKENS[0, :6].tolist(), TOKENS[1, :8].tolist()])
    prompts = Prompts(Pack())
    prompts.paths += [prompts.pack.add(text) for text in texts]
    tokens, rows = engine.open(None, [prompts], room=4)
    written = [tokens]
    for _ in range(3):
        written.append(engine.write(rows, written[-1]))
    for text, own in zip(texts, np.stack(written, axis=1).tolist(), strict=True):
        for token in own:
            with torch.no_grad():
                assert loaded(input_ids=torch.tensor([text])).logits[0, -1].argmax().item() == token
            text = [*text, token]


@every_kind
def test_rows_outside_of_trees_begin_with_the_virtual_tokens(pair):
    _, loaded = pair
    plain = TorchEngine(loaded, "fp32").plain
    texts = [tuple(TOKENS[0, :10].tolist()), tuple(TOKENS[1, :6].tolist())]
    written = [[], []]
    plain.generate(texts, 4, lambda number, token: written[number].append(token) or False)
    for text, own in zip(texts, written, strict=True):
        for token in own:
            assert plain.logits([text], [len(text) - 1]).argmax().item() == token
            text = (*text, token)
    ((score, _),) = plain.score([Question(texts[0], (8,))])
    with torch.no_grad():
        expected = loaded(input_ids=torch.tensor([texts[0]])).logits[0, -1].log_softmax(-1)[8].item()
    assert score == pytest.approx(expected, abs=1e-4)


@every_kind
def test_virtual_tokens_take_room_in_the_context(pair):
    _, loaded = pair
    assert TorchEngine(loaded, "fp32").context_length == 512 - 6


@every_kind
def test_what_training_reads_has_a_gradient(bases, name):
    model = new(CASES[name], bases["plain"])
    embeddings, key_values = adapters.virtual_embeddings(model), adapters.virtual_key_values(model)
    assert (embeddings is None) == (name == "prefix")
    assert (key_values is None) == (name != "prefix")
    if embeddings is not None:
        assert embeddings.shape == (6, 64)
        assert embeddings.requires_grad
    if key_values is not None:
        assert [(key.shape, value.shape) for key, value in key_values] == [((1, 2, 6, 16), (1, 2, 6, 16))] * 2
        assert all(part.requires_grad for pair in key_values for part in pair)


@pytest.mark.parametrize("name", ["lora", "bottleneck", "full"])
def test_other_methods_have_no_virtual_tokens(trained, name):
    assert adapters.virtual_embeddings(trained[name].model) is None
    assert adapters.virtual_key_values(trained[name].model) is None


def test_a_prefix_starts_at_the_activations_of_real_tokens(bases):
    """As many as random ones would be, but of the size of the model's own (arXiv 2101.00190, section 7.4)."""
    model = new(CASES["prefix"], bases["plain"])
    with torch.no_grad():
        cache = model.get_base_model()(input_ids=TOKENS, use_cache=True).past_key_values
    for (key, value), layer in zip(adapters.virtual_key_values(model), cache.layers, strict=True):
        assert key.std().item() == pytest.approx(layer.keys.std().item(), rel=0.5)
        assert value.std().item() == pytest.approx(layer.values.std().item(), rel=0.5)
