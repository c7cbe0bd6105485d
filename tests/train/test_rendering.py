"""What a reader sees of a row: all of it, with what is learned marked, and nothing that a browser would act on."""

import pytest

from fineline.chat.tokens import encode, tokenizer_of
from fineline.train.rendering import LONGEST, markdown


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return tokenizer_of(tiny_base)


@pytest.fixture
def tokens(tokenizer):
    def make(answer, user="lamp"):
        return encode(tokenizer, {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]})

    return make


def test_in_markdown_lines_with_plus_are_learned(tokenizer, tokens):
    assert markdown(tokenizer, [("train.jsonl:1", tokens("on\noff"))]).split("\n")[2:-1] == [
        "```diff",
        "# train.jsonl:1",
        "  <|im_start|>user⏎",
        "  lamp<|im_end|>⏎",
        "  <|im_start|>assistant⏎",
        "+ on⏎",
        "+ off<|im_end|>",
        "```",
    ]


@pytest.mark.parametrize("attack", ["\n```\n![](http://tracker.example/a.png)", "````` <img src=x onerror=alert(1)>"])
def test_no_row_leaves_its_code_block(tokenizer, tokens, attack):
    _, _, fence, *body, closing, end = markdown(tokenizer, [("row", tokens(attack, user=attack))]).split("\n")
    ticks = fence.removesuffix("diff")
    assert (closing, end) == (ticks, "")
    assert not [line for line in body if ticks in line]


def test_what_has_no_glyph_is_written_as_its_code_point(tokenizer, tokens):
    shown = markdown(tokenizer, [("row", tokens("a\u202eb\x07c\r"))])
    assert "+ a\\u{202e}b\\u{7}c\\u{d}<|im_end|>" in shown


def test_of_a_long_row_the_middle_is_left_out(tokenizer, tokens):
    shown = markdown(tokenizer, [("row", tokens("x" * 3 * LONGEST))])
    assert f"… {2 * LONGEST + len('<|im_end|>')} characters …" in shown
    assert len(shown) < 1.2 * LONGEST
