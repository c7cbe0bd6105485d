"""Templates as publishers write them, in small: what is learned, what is compared, and where an answer ends."""

from datetime import date
from pathlib import Path

import pytest

from fineline.chat.format import ChatFormat
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import IGNORED, cut, encode
from fineline.errors import InputError
from fineline.train import chat_checks
from fineline.train.row_checks import Line
from tests.chat.templates import (
    ASKS_DATE,
    CALLS_AS_TEXT,
    CALLS_WITH_IDS,
    CHANNELS,
    CHATML,
    CLOSES_BLOCK,
    EMPTY_BLOCK,
    LOSES_SYSTEM,
    NO_END,
    OPENS_BLOCK,
    PARTS_ONLY,
    SYSTEM_LAST,
    TRIMS,
    tokenizer_with,
)

ASK = {"role": "user", "content": "7 boxes of 6?"}
PLAIN = {"role": "assistant", "content": "42"}
REASONED = PLAIN | {"reasoning_content": "7 times 6 is 42."}
CALL = {"type": "function", "function": {"name": "lamp", "arguments": {"room": "attic"}}}
TOOLS = [{"type": "function", "function": {"name": "lamp", "description": "-", "parameters": {"type": "object"}}}]


def chat_with(template, ends=("<|im_end|>",), **settings):
    return ChatFormat(tokenizer_with(template, ends), ChatSettings(**settings))


def parts(answer):
    return answer.lead, answer.answer, answer.end


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHATML, ("", "42", "<|im_end|>")),
        (EMPTY_BLOCK, ("<think>\n\n</think>\n\n", "42", "<|im_end|>")),
        (OPENS_BLOCK, ("\n</think>\n\n", "42", "<|im_end|>")),
        (CLOSES_BLOCK, ("", "42", "<|im_end|>")),
        (CHANNELS, ("<|channel|>final<|message|>", "42", "<|return|>")),
    ],
)
def test_an_answer_is_learned_with_what_the_template_writes_around_it(template, expected):
    assert parts(chat_with(template, ("<|im_end|>", "<|return|>")).answer([ASK, PLAIN])) == expected


def test_reasoning_is_learned_masked_or_dropped_as_the_settings_say():
    learned = chat_with(EMPTY_BLOCK).answer([ASK, REASONED])
    assert (learned.lead, learned.masked) == ("<think>\n7 times 6 is 42.\n</think>\n\n", False)
    masked = chat_with(EMPTY_BLOCK, reasoning="mask")
    row = encode(masked, {"messages": [ASK, REASONED]})
    text = masked.tokenizer.decode([label for label in row.labels if label != IGNORED])
    assert text == "42<|im_end|>"
    assert "7 times 6 is 42." in masked.tokenizer.decode(row.input_ids)
    assert chat_with(EMPTY_BLOCK, reasoning="drop").answer([ASK, REASONED]).lead == "<think>\n\n</think>\n\n"


@pytest.mark.parametrize("template", [EMPTY_BLOCK, OPENS_BLOCK])
def test_reasoning_in_tags_is_the_same_as_in_a_field(template):
    inline = PLAIN | {"content": "<think>\n7 times 6 is 42.\n</think>\n\n42"}
    chat = chat_with(template)
    assert chat.answer([ASK, inline]) == chat.answer([ASK, REASONED])


def test_reasoning_that_a_template_does_not_show_is_counted():
    assert chat_with(CHATML).answer([ASK, REASONED]).dropped
    assert not chat_with(CHATML).answer([ASK, PLAIN]).dropped


def test_a_prompt_that_closes_the_block_and_a_row_that_reasons_is_an_error_with_both_remedies():
    with pytest.raises(InputError, match=r"curate\.chat\.variables.*curate\.chat\.reasoning: drop"):
        chat_with(CLOSES_BLOCK).answer([ASK, REASONED])
    assert chat_with(CLOSES_BLOCK, reasoning="drop").answer([ASK, REASONED]).answer == "42"
    opened = chat_with(CLOSES_BLOCK, variables={"enable_thinking": True}).answer([ASK, REASONED])
    assert opened.completion == "7 times 6 is 42.\n</think>\n\n42<|im_end|>"


def test_the_end_is_the_one_of_the_model_files_or_of_the_template_or_the_next_turn():
    assert chat_with(CHATML, ends=("<eos>", "<|im_end|>")).answer([ASK, PLAIN]).end == "<|im_end|>"
    alone = chat_with(CHATML, ends=("<eos>",))
    assert alone.answer([ASK, PLAIN]).end == "<|im_end|>"
    assert alone.ends.keys() == {"<eos>", "<|im_end|>"}
    assert chat_with(NO_END, ends=("<|user|>", "<|observation|>")).answer([ASK, PLAIN]).end == "<|user|>"
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert chat_with(NO_END, ends=("<|user|>", "<|observation|>")).answer([ASK, call], TOOLS).end == "<|observation|>"


def test_the_reference_is_what_the_template_makes_of_an_answer():
    assert parts(chat_with(TRIMS).answer([ASK, PLAIN | {"content": "  42 \n"}])) == ("", "42", "<|im_end|>")
    kept = PLAIN | {"content": "  42 \n"}
    assert chat_with(CHATML).answer([ASK, kept]).answer == "  42 \n"


def test_a_text_next_to_a_call_and_the_call_are_the_reference():
    call = {"role": "assistant", "content": "Of course.", "tool_calls": [CALL]}
    answer = chat_with(CALLS_AS_TEXT).answer([ASK, call], TOOLS)
    assert answer.answer == 'Of course.<tool_call>{"name": "lamp", "arguments": {"room": "attic"}}</tool_call>'


@pytest.mark.parametrize("arguments", [{"room": "attic"}, '{"room": "attic"}'])
@pytest.mark.parametrize("template", [CALLS_AS_TEXT, CALLS_WITH_IDS])
def test_arguments_are_given_as_the_template_reads_them(template, arguments):
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "lamp", "arguments": arguments}}],
    }
    assert '"arguments": {"room": "attic"}' in chat_with(template).answer([ASK, call], TOOLS).answer


def test_what_a_template_does_not_show_is_an_error_that_says_what():
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    with pytest.raises(InputError, match="does not show the calls of message 1"):
        chat_with(CHATML).answer([ASK, call])
    with pytest.raises(InputError, match="does not show the definitions of tools"):
        chat_with(CHATML).answer([ASK, PLAIN], TOOLS)
    system = {"role": "system", "content": "Be brief."}
    with pytest.raises(InputError, match=r"curate\.chat\.system: merge"):
        chat_with(LOSES_SYSTEM).answer([system, ASK, PLAIN])
    merged = chat_with(LOSES_SYSTEM, system="merge").answer([system, ASK, PLAIN])
    assert "Be brief.\n\n7 boxes of 6?" in merged.prompt


def test_of_turns_an_earlier_call_that_a_template_does_not_show_is_not_learned():
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    messages = [ASK, call, {"role": "tool", "content": "ok"}, PLAIN]
    chat = chat_with(CHATML)
    row = encode(chat, {"messages": messages}, learn="turns")
    assert chat.tokenizer.decode([label for label in row.labels if label != IGNORED]) == "42<|im_end|>"


def test_the_prompt_is_the_one_that_a_server_sends():
    answer = chat_with(SYSTEM_LAST).answer([{"role": "system", "content": "Be brief."}, ASK, PLAIN])
    assert answer.prompt.endswith("[INST]Be brief.\n\n7 boxes of 6?[/INST]")
    assert parts(answer) == ("", "42", "</s>")


def test_a_template_that_reads_parts_only_gets_parts():
    assert parts(chat_with(PARTS_ONLY).answer([ASK, PLAIN])) == ("", "42", "<|im_end|>")


def test_the_date_is_pinned():
    first, other = chat_with(ASKS_DATE), chat_with(ASKS_DATE, date=date(2020, 2, 3))
    assert first.asks_for_date
    assert not chat_with(CHATML).asks_for_date
    assert "Today: 01 Jan 2026 00:00" in first.prompt([ASK])
    assert "Today: 03 Feb 2020 00:00" in other.prompt([ASK])
    assert (first.recorded, chat_with(CHATML).recorded) == ({"chat": {"date": "2026-01-01"}}, {})


@pytest.mark.parametrize("source", ["{{ [1, 2] | random }}", "{{ lipsum() }}"])
def test_a_template_that_draws_random_text_is_refused(source):
    with pytest.raises(InputError, match="draws random text"):
        chat_with(CHATML + source).answer([ASK, PLAIN])


@pytest.mark.parametrize(
    "source", ["{{ ''.__class__.__mro__ }}", "{% include '/etc/passwd' %}", "{{ messages[9].role.x.y }}", "{{ 1 // 0 }}"]
)
def test_a_template_that_fails_or_reaches_out_is_an_input_error(source):
    with pytest.raises(InputError, match="chat template"):
        chat_with(source + CHATML).answer([ASK, PLAIN])


def test_named_templates_are_chosen_as_transformers_does():
    tokenizer = tokenizer_with({"default": CHATML, "tool_use": CALLS_AS_TEXT}, ("<|im_end|>",))
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert "lamp" in ChatFormat(tokenizer).answer([ASK, call], TOOLS).answer
    assert ChatFormat(tokenizer).answer([ASK, PLAIN]).answer == "42"
    with pytest.raises(InputError, match="no template 'rag'; accepted: default, tool_use"):
        ChatFormat(tokenizer, ChatSettings(template="rag"))


def test_a_token_across_the_seam_is_cut_as_a_server_does():
    pieces = {"\n\n": 500, "\n": 501}

    def ids(text):
        found, place = [], 0
        while place < len(text):
            piece = "\n\n" if text.startswith("\n\n", place) else text[place]
            found.append(pieces[piece] if piece in pieces else ord(piece))
            place += len(piece)
        return found

    assert cut(ids, "a\n", "\nb") == ([97, 501], [501, 98])
    assert cut(ids, "a\n", "b") == ([97, 501], [98])


def test_answers_with_a_weight_of_zero_are_context():
    messages = [ASK, PLAIN | {"weight": 0}, ASK, PLAIN | {"content": "forty-two"}]
    chat = chat_with(CHATML)
    row = encode(chat, {"messages": messages}, learn="turns")
    assert chat.tokenizer.decode([label for label in row.labels if label != IGNORED]) == "forty-two<|im_end|>"
    assert "42<|im_end|>" in chat.tokenizer.decode(row.input_ids)
    with pytest.raises(InputError, match="weight of 0"):
        encode(chat, {"messages": messages[:2]})


def test_the_preflight_asks_for_the_tokens_that_judging_asks_for_when_reasoning_is_masked():
    chat = chat_with(EMPTY_BLOCK, reasoning="mask")
    row = {"messages": [ASK, REASONED]}
    issues = chat_checks.issues([Line(Path("train.jsonl"), 1, row, encode(chat, row))], chat)
    assert {issue.name: issue.severity for issue in issues}["same_tokens"] == "ok"
