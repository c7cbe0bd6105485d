"""Any usual layout becomes messages; anything else is rejected with a reason."""

import pytest

from fineline.curate.layouts import read
from fineline.curate.reading import Rejected

ANSWERED = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": ANSWERED},
        {"prompt": "hi", "completion": "ho"},
        {"prompt": "hi", "response": "ho"},
        {"Prompt": "hi", " Completion ": "ho"},
        {"instruction": "hi", "input": "", "output": "ho"},
        {"question": "hi", "answer": "ho"},
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]},
        {"conversations": '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]'},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, ANSWERED[1]]},
    ],
)
def test_every_layout_gives_the_same_messages(row):
    assert read(row, {}).messages == ANSWERED


def test_an_input_or_context_follows_the_question():
    assert read({"instruction": "add", "input": "1 2", "output": "3"}, {}).messages[0]["content"] == "add\n\n1 2"
    assert read({"question": "who", "context": "Ada", "answer": "she"}, {}).messages[0]["content"] == "who\n\nAda"


def test_plain_text_answers_the_prompt_of_its_part():
    assert read({"text": "ho"}, {"prompt": "hi"}).messages == ANSWERED
    with pytest.raises(Rejected, match="plain text has no prompt"):
        read({"text": "ho"}, {})


def test_columns_override_the_keys():
    part = {"layout": "question_answer", "columns": {"prompt": "Frage", "completion": "Antwort", "group": "Kunde"}}
    example = read({"Frage": "hi", "Antwort": "ho", "Kunde": 7, "prompt": "not this"}, part)
    assert example.messages == ANSWERED
    assert example.group == "7"
    with pytest.raises(Rejected, match="no key 'Antwort', which `columns` names for completion"):
        read({"Frage": "hi"}, part)


def test_a_completion_may_be_an_object():
    assert read({"prompt": "hi", "completion": {"a": [1]}}, {}).messages[1]["content"] == '{"a":[1]}'


def test_tools_and_their_calls_are_kept():
    call = [{"id": "1", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}]
    messages = [
        ANSWERED[0],
        {"role": "assistant", "content": None, "tool_calls": call},
        {"role": "tool", "content": "done", "tool_call_id": "1"},
        ANSWERED[1],
    ]
    example = read({"messages": messages, "tools": [{"type": "function"}]}, {})
    assert example.tools == [{"type": "function"}]
    call[0]["function"]["arguments"] = {}
    assert example.messages[1] == {"role": "assistant", "content": "", "tool_calls": call}


def test_a_system_column_comes_first():
    assert read({"system": "Be kind.", "prompt": "hi", "completion": "ho"}, {}).messages == [
        {"role": "system", "content": "Be kind."},
        *ANSWERED,
    ]


@pytest.mark.parametrize(
    "value", [1700000000, "1700000000", 1700000000000, "1700000000000", "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20"]
)
def test_a_time_is_seconds_milliseconds_or_iso_8601_in_utc(value):
    row = {"prompt": "hi", "completion": "ho", "when": value}
    assert read(row, {"columns": {"time": "when"}}).time == 1700000000
    assert read({"prompt": "hi", "completion": "ho", "time": value}, {}).time == 1700000000


@pytest.mark.parametrize("value", [True, [1], "inf", 1e300, "soon", float("nan")])
def test_an_invalid_time_rejects_a_row_only_if_it_is_declared(value):
    assert read({"prompt": "hi", "completion": "ho", "time": value}, {}).time is None
    with pytest.raises(Rejected, match="the time is neither"):
        read({"prompt": "hi", "completion": "ho", "when": value}, {"columns": {"time": "when"}})


def test_spaces_around_keys_are_ignored():
    assert read({"prompt": "hi", " completion": "ho"}, {}).messages == ANSWERED


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "no layout fits"),
        ({"a": 1, "b": 2}, r"no layout fits.*\(keys: a, b\)"),
        ({"prompt": "hi"}, "no completion"),
        ({"prompt": "hi", "completion": None}, "no completion"),
        ({"prompt": "hi", "completion": " \n"}, "no completion"),
        ({"prompt": " ", "completion": "ho"}, "message 0: blank"),
        ({"prompt": ["hi"], "completion": "ho"}, "the prompt must be text"),
        ({"prompt": True, "completion": "ho"}, "the prompt must be text"),
        ({"messages": "hi"}, "must be a list of messages"),
        ({"messages": []}, "must be a list of messages, and not empty"),
        ({"messages": ["hi"]}, "message 0: not an object"),
        ({"messages": ANSWERED[:1]}, "no completion"),
        ({"messages": ANSWERED[1:]}, "no prompt"),
        ({"messages": [*ANSWERED, {"role": "system", "content": "x"}, *ANSWERED]}, "found a system message after assistant"),
        ({"messages": [*ANSWERED, {"role": "robot", "content": "x"}]}, "message 2: the role must be one of"),
        ({"messages": [{"role": "user", "content": 3}, ANSWERED[1]]}, "message 0: the content must be text"),
        ({"messages": [ANSWERED[0], {"role": "tool", "content": "x"}, ANSWERED[1]]}, "found tool after user"),
        ({"prompt": "hi", "completion": "ho", "tools": "{"}, "`tools` is not valid JSON"),
    ],
)
def test_an_unusable_row_is_rejected_with_the_reason(row, reason):
    with pytest.raises(Rejected, match=reason):
        read(row, {})


def test_no_reason_quotes_a_value():
    secret = "bob@example.com"
    for row in ({"messages": [{"role": secret, "content": "x"}]}, {"prompt": [secret], "completion": "x"}):
        with pytest.raises(Rejected) as reason:
            read(row, {})
        assert secret not in str(reason.value)
