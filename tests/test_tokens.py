"""What is learned and what is not."""

import pytest

from pipelines.errors import InputError
from pipelines.tokens import IGNORED, encode, encode_all, halves, tokenizer_of

MESSAGES = [
    {"role": "system", "content": "JSON."},
    {"role": "user", "content": "kitchen lamp on"},
    {"role": "assistant", "content": '{"intent":"turn_on"}'},
]
ROW = {"messages": MESSAGES}


@pytest.fixture
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


def test_the_completion_and_its_end_are_learned_and_nothing_else(tokenizer):
    row = encode(tokenizer, ROW)
    learned = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == '{"intent":"turn_on"}<|im_end|>'
    prompt = tokenizer.decode(row.input_ids[: -len(learned)])
    assert prompt == "<|im_start|>system\nJSON.<|im_end|>\n<|im_start|>user\nkitchen lamp on<|im_end|>\n<|im_start|>assistant\n"


def test_of_several_turns_the_last_is_learned(tokenizer):
    longer = [*MESSAGES, {"role": "user", "content": "off"}, {"role": "assistant", "content": "done"}]
    row = encode(tokenizer, {"messages": longer})
    assert tokenizer.decode([label for label in row.labels if label != IGNORED]) == "done<|im_end|>"


def test_a_row_that_cannot_be_encoded_is_told_with_its_line(tokenizer, tmp_path):
    tokenizer.chat_template = "{{ messages | length }}"
    with pytest.raises(InputError, match=r"train\.jsonl:1: the chat template"):
        encode_all(tokenizer, [ROW], tmp_path / "train.jsonl")


def test_tools_are_part_of_the_prompt(tokenizer):
    tokenizer.chat_template = (
        "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}<|im_start|>{{ message['content'] }}"
        "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
    )
    prompt, completion = halves(tokenizer, ROW | {"tools": [{"name": "lamp"}]})
    assert prompt.startswith('[{"name": "lamp"}]')
    assert completion == '{"intent":"turn_on"}<|im_end|>'


def test_a_template_that_never_ends_a_turn_is_refused(tokenizer):
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    with pytest.raises(InputError, match="never learn to stop"):
        encode(tokenizer, ROW)


def test_a_template_that_changes_the_prompt_is_refused(tokenizer):
    tokenizer.chat_template = "{{ messages | length }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    with pytest.raises(InputError, match="renders the prompt differently"):
        encode(tokenizer, ROW)
