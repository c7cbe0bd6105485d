"""What is learned and what is not."""

import pytest

from pipelines.errors import InputError
from pipelines.tokens import IGNORED, encode, encode_all, tokenizer_of

ROW = [
    {"role": "system", "content": "JSON."},
    {"role": "user", "content": "kitchen lamp on"},
    {"role": "assistant", "content": '{"intent":"turn_on"}'},
]


@pytest.fixture
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


def test_the_completion_and_its_end_are_learned_and_nothing_else(tokenizer):
    row = encode(tokenizer, ROW, 128)
    learned = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == '{"intent":"turn_on"}<|im_end|>'
    prompt = tokenizer.decode(row.input_ids[: -len(learned)])
    assert prompt == "<|im_start|>system\nJSON.<|im_end|>\n<|im_start|>user\nkitchen lamp on<|im_end|>\n<|im_start|>assistant\n"


def test_of_several_turns_the_last_is_learned(tokenizer):
    longer = [*ROW, {"role": "user", "content": "off"}, {"role": "assistant", "content": "done"}]
    row = encode(tokenizer, longer, 256)
    assert tokenizer.decode([label for label in row.labels if label != IGNORED]) == "done<|im_end|>"


def test_a_row_that_is_too_long_is_told_with_its_line(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"train\.jsonl:2: \d+ tokens, more than `train.max_tokens` \(60\)"):
        short = {"messages": ROW[1:]}
        long = {"messages": [{"role": "user", "content": "lamp " * 50}, ROW[2]]}
        encode_all(tokenizer, [short, long], 60, tmp_path / "train.jsonl")


def test_a_template_that_never_ends_a_turn_is_refused(tokenizer):
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    with pytest.raises(InputError, match="never learn to stop"):
        encode(tokenizer, ROW, 128)


def test_a_template_that_changes_the_prompt_is_refused(tokenizer):
    tokenizer.chat_template = "{{ messages | length }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    with pytest.raises(InputError, match="renders the prompt differently"):
        encode(tokenizer, ROW, 128)
