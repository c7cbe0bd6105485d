"""Tokens and labels: what is learned and what is not."""

import pytest

from fineline.chat.tokens import IGNORED, encode, encode_all, prompt_and_completion, tokenizer_of
from fineline.errors import InputError

MESSAGES = [
    {"role": "system", "content": "JSON."},
    {"role": "user", "content": "kitchen lamp on"},
    {"role": "assistant", "content": '{"intent":"turn_on"}'},
]
ROW = {"messages": MESSAGES}
SEVERAL = [
    *MESSAGES[:2],
    {"role": "assistant", "content": "on it"},
    {"role": "user", "content": "and the heater"},
    {"role": "assistant", "content": "garage or attic?"},
    {"role": "user", "content": "attic"},
    {"role": "assistant", "content": "done"},
]
TOOLS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}{{ message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FORGETFUL = (  # as Qwen3's: of all answers but the last, what was thought is dropped
    "{% for message in messages %}{% set said = message.content %}"
    "{% if message.role == 'assistant' and not loop.last %}{% set said = said.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + said + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


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


def test_a_row_that_cannot_be_encoded_is_an_error_with_its_line(tokenizer, tmp_path):
    tokenizer.chat_template = "{{ messages | length }}"
    with pytest.raises(InputError, match=r"train\.jsonl:1: the chat template"):
        encode_all(tokenizer, [ROW], tmp_path / "train.jsonl")


def test_tools_are_part_of_the_prompt(tokenizer):
    tokenizer.chat_template = (
        "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}<|im_start|>{{ message['content'] }}"
        "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
    )
    prompt, completion = prompt_and_completion(tokenizer, ROW | {"tools": [{"name": "lamp"}]})
    assert prompt.startswith('[{"name": "lamp"}]')
    assert completion == '{"intent":"turn_on"}<|im_end|>'


def test_an_answer_that_the_template_does_not_end_is_ended_by_the_end_of_sequence_token(tokenizer):
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    assert learned(tokenizer, encode(tokenizer, ROW)) == ['{"intent":"turn_on"}<|im_end|>']
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="would not learn to stop"):
        encode(tokenizer, ROW)


def test_an_answer_follows_the_prompt_that_a_server_sends_and_not_the_one_that_is_rendered_with_it(tokenizer):
    tokenizer.chat_template = "{{ messages | length }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    assert prompt_and_completion(tokenizer, ROW) == ("2JSON.kitchen lamp on", '{"intent":"turn_on"}<|im_end|>')


def test_a_template_that_prompts_for_another_text_than_it_writes_is_refused(tokenizer):
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['content'] }}{% if not add_generation_prompt %}Said: {% endif %}{% endfor %}"
        "{% if add_generation_prompt %}Answer: {% endif %}"
    )
    with pytest.raises(InputError, match="renders the prompt differently"):
        encode(tokenizer, ROW)


def learned(tokenizer, row):
    """Return the text of each run of labels."""
    runs, before = [], IGNORED
    for label in row.labels:
        if label != IGNORED:
            runs += [[]] if before == IGNORED else []
            runs[-1].append(label)
        before = label
    return [tokenizer.decode(run) for run in runs]


def test_of_turns_every_answer_and_its_end_are_learned_and_nothing_between(tokenizer):
    row = encode(tokenizer, {"messages": SEVERAL}, learn="turns")
    assert learned(tokenizer, row) == ["on it<|im_end|>", "garage or attic?<|im_end|>", "done<|im_end|>"]
    whole = tokenizer.apply_chat_template(SEVERAL, tokenize=False)
    assert tokenizer.decode(row.input_ids) == whole.removesuffix("\n")
    assert all(label in (IGNORED, token) for token, label in zip(row.input_ids, row.labels, strict=True))


def test_each_turn_follows_the_prompt_of_serving_time(tokenizer):
    row = encode(tokenizer, {"messages": SEVERAL}, learn="turns")
    for place in (2, 4, 6):
        prompt = tokenizer.apply_chat_template(SEVERAL[:place], tokenize=True, add_generation_prompt=True)["input_ids"]
        assert row.input_ids[: len(prompt)] == prompt
        assert row.labels[len(prompt) - 1] == IGNORED
        assert row.labels[len(prompt)] != IGNORED


def test_the_text_after_a_turn_is_not_the_beginning_of_a_text():
    """Some tokenizers add a space at the beginning of a text; it must not be added before each turn."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.decoder = decoders.Metaspace(prepend_scheme="first")
    specials = ["<unk>", "<s>", "</s>"]
    inner.train_from_iterator(["Q: lamp on A: done"], trainers.BpeTrainer(special_tokens=specials, show_progress=False))
    spaced = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    spaced.chat_template = (
        "{% for message in messages %}{% if message.role == 'user' %}{{ 'Q: ' + message.content + ' A:' }}{% else %}"
        "{{ ' ' + message.content + '</s>' }}{% endif %}{% endfor %}"
    )
    messages = [{"role": role, "content": text} for role, text in (("user", "lamp"), ("assistant", "done")) * 2]
    row = encode(spaced, {"messages": messages}, learn="turns")
    assert row.input_ids == spaced("Q: lamp A: done</s>Q: lamp A: done</s>", add_special_tokens=False)["input_ids"]
    assert [label for label in row.labels if label != IGNORED] == spaced(" done</s> done</s>")["input_ids"]


def test_a_row_of_one_turn_is_the_same_both_ways(tokenizer):
    assert encode(tokenizer, ROW, learn="turns") == encode(tokenizer, ROW)


def test_calls_of_tools_are_learned_and_their_results_are_not(tokenizer):
    tokenizer.chat_template = TOOLS
    call = {"type": "function", "function": {"name": "lamp", "arguments": {"room": "attic"}}}
    messages = [
        {"role": "user", "content": "attic lamp on"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "lamp", "content": "ok"},
        {"role": "assistant", "content": "It is on."},
    ]
    row = {"messages": messages, "tools": [{"name": "lamp"}]}
    tokens = encode(tokenizer, row, learn="turns")
    assert learned(tokenizer, tokens) == ['{"name": "lamp", "arguments": {"room": "attic"}}<|im_end|>', "It is on.<|im_end|>"]
    assert tokenizer.decode(tokens.input_ids).startswith('[{"name": "lamp"}]<|im_start|>user')
    assert learned(tokenizer, encode(tokenizer, row)) == ["It is on.<|im_end|>"]


@pytest.mark.parametrize("end_is_marked", [True, False])
def test_the_mask_is_that_of_generation_marks(tokenizer, end_is_marked):
    end = "<|im_end|>"
    answer = "{% generation %}{{ message['content'] }}" + (
        f"{end}{{% endgeneration %}}" if end_is_marked else f"{{% endgeneration %}}{end}"
    )
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['role'] == 'assistant' %}" + answer + "{% else %}{{ message['content'] }}" + end + "{% endif %}"
        "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    row = encode(tokenizer, {"messages": SEVERAL}, learn="turns")
    theirs = tokenizer.apply_chat_template(SEVERAL, return_dict=True, return_assistant_tokens_mask=True)
    assert theirs["input_ids"][: len(row.input_ids)] == row.input_ids
    mask = [label != IGNORED for label in row.labels]
    if not end_is_marked:  # our labels hold the end of each turn, the marks leave it out
        mask = [known and token != tokenizer.eos_token_id for known, token in zip(mask, row.input_ids, strict=True)]
    assert [bool(mark) for mark in theirs["assistant_masks"]][: len(mask)] == mask


def test_a_template_that_drops_earlier_reasoning_is_refused_with_turns_and_works_with_completion(tokenizer, tmp_path):
    tokenizer.chat_template = FORGETFUL
    messages = [
        {"role": "user", "content": "attic"},
        {"role": "assistant", "content": "<think>which?</think>lamp"},
        {"role": "user", "content": "on"},
        {"role": "assistant", "content": "<think>lamp on</think>done"},
    ]
    with pytest.raises(InputError, match=r"train\.jsonl:1: .*before message 3 differently.*`train\.learn: completion`"):
        encode_all(tokenizer, [{"messages": messages}], tmp_path / "train.jsonl", learn="turns")
    row = encode(tokenizer, {"messages": messages})
    assert learned(tokenizer, row) == ["<think>lamp on</think>done<|im_end|>"]
    assert "which?" not in tokenizer.decode(row.input_ids)


@pytest.mark.parametrize("learn", ["completion", "turns"])
@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (["system"], "no answer to learn"),
        (["system", "user"], "no answer to learn"),
        (["user", "assistant", "user"], "no answer to learn"),
        ([], "no answer to learn"),
        (["assistant"], "message 0 is an answer of the assistant without a prompt before it"),
        (["user", "assistant", "assistant"], "message 2 is an answer of the assistant directly after another answer"),
    ],
)
def test_rows_without_an_answer_to_a_prompt_are_refused(tokenizer, learn, roles, said):
    with pytest.raises(InputError, match=said):
        encode(tokenizer, {"messages": [{"role": role, "content": "x"} for role in roles]}, learn)


def test_text_after_an_end_of_turn_inside_an_answer_is_not_learned(tokenizer):
    messages = [MESSAGES[1], {"role": "assistant", "content": "on<|im_end|>\noff"}]
    for learn in ("completion", "turns"):
        assert learned(tokenizer, encode(tokenizer, {"messages": messages}, learn)) == ["on<|im_end|>"]


def test_a_tokenizer_without_a_template_is_an_error_with_a_remedy(tokenizer):
    tokenizer.chat_template = None
    with pytest.raises(InputError, match=r"has no chat template: .*chat_template\.jinja.* instruct model"):
        encode(tokenizer, ROW)


def test_a_row_that_the_template_rejects_is_an_error_with_its_message(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('no system message, please') }}"
    with pytest.raises(InputError, match="rejects the row: no system message, please"):
        encode(tokenizer, ROW)
