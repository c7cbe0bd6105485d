"""Texts that are being written end where they should, whatever the tokens."""

import pytest

from fineline.chat.tokens import tokenizer_of
from fineline.inference.writing import GeneratedText


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


def written(tokenizer, text, *stops, limit=100):
    """The text that results, and how many tokens were taken."""
    subject = GeneratedText(tokenizer.decode, {tokenizer.eos_token_id}, limit, stops)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    for count, token in enumerate(tokens, start=1):
        if subject.take(token):
            return str(subject), count
    return str(subject), None


def test_a_text_ends_at_the_end_of_the_turn(tokenizer):
    text, count = written(tokenizer, "kitchen<|im_end|>lamp")
    assert text == "kitchen"
    assert count == len(tokenizer("kitchen<|im_end|>", add_special_tokens=False)["input_ids"])


def test_a_text_ends_at_its_limit(tokenizer):
    assert written(tokenizer, "zzzzzz", limit=4) == ("zzzz", 4)


@pytest.mark.parametrize("stop", ["q", "\n", "\n\n", "xq", "zxqzxqzxqzx", "é", "\U0001f600", "é\U0001f600"])
def test_a_stop_text_that_spans_tokens_ends_the_text_at_once(tokenizer, stop):
    text, count = written(tokenizer, f"kitchen lamp {stop}zz and more", stop)
    assert text == "kitchen lamp "
    tokens = tokenizer(f"kitchen lamp {stop}", add_special_tokens=False)["input_ids"]
    assert count <= len(tokens)


def test_the_first_of_several_stop_texts_counts(tokenizer):
    assert written(tokenizer, "zzxqw", "w", "xq", "z" * 9)[0] == "zz"


def test_without_a_stop_the_text_goes_on(tokenizer):
    assert written(tokenizer, "kitchen lamp", "heater") == ("kitchen lamp", None)
