"""Rows in the forms in which other tools write them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fineline.curate.layouts import read
from fineline.curate.reading import Rejected, Unwanted
from fineline.project.params.curation import Curate

USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
TURN = [USER, ANSWER]


def call(arguments, **more):
    """Return the message of a call to a lamp."""
    return {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "lamp", "arguments": arguments}} | more]}


def arguments_of(row, **how):
    (called,) = read(row, {}, **how).messages[-1]["tool_calls"]
    assert called["type"] == "function"
    return called["function"]["arguments"]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"Role": "User", "Content": "hi"}, {"ROLE": "Assistant", "content": "ho"}]},
        {"messages": [{"from": "human", "value": "hi", "role": None}, {"from": "gpt", "value": "ho", "content": None}]},
        {"messages": [{"role": "system", "content": None}, *TURN]},
        {"messages": [{**USER, "tool_calls": None, "name": None}, {**ANSWER, "tool_calls": [], "function_call": None}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "image_url": None}]}, ANSWER]},
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "ho"}]}]},
        {"conversation": [{"human": "hi", "assistant": "ho"}]},
        {"dialogue": json.dumps(TURN)},
        {"prompt": [USER], "completion": [ANSWER]},
        {"prompt": USER, "completion": ANSWER},
        {"messages": None, "prompt": "hi", "completion": None, "response": "ho"},
        {"query": "hi", "response": "ho"},
        {"input": "hi", "output": "ho"},
        {"question": "hi", "answers": {"text": ["ho"], "answer_start": [0]}},
        {"instruction": "hi", "input": "", "output": "ho", "history": "[]"},
    ],
)
def test_the_forms_of_other_tools_give_the_same_messages(row):
    example = read(row, {})
    assert example.messages == TURN
    assert not example.reading.unread


def test_a_rendered_text_is_not_taken_for_the_prompt():
    row = {"instruction": "add", "input": "1 2", "output": "3", "prompt": "### Instruction: add 1 2 ### Response: 3"}
    example = read(row, {})
    assert [message["content"] for message in example.messages] == ["add\n\n1 2", "3"]
    assert example.reading.unread == {("column", "prompt")}


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        ({"prompt": "hi", "completion": "ho", "turns": ["a", "b"]}, "turns"),
        ({"prompt": "hi", "response": "ho", "conversation": TURN}, "conversation"),
        ({"prompt": "hi", "completion": "ho", "messages": []}, None),
        ({"instruction": "hi", "output": "ho", "text": "hi ho"}, "text"),
    ],
)
def test_a_usual_pair_comes_before_names_with_several_meanings(row, unread):
    example = read(row, {})
    assert example.messages == TURN
    assert example.reading.unread == ({("column", unread)} if unread else set())


def test_a_text_answers_the_prompt_of_its_part_next_to_other_columns():
    row = {"text": "ho", "input": "x", "output": "y"}
    assert read(row, {"prompt": "hi"}).messages == TURN
    assert [message["content"] for message in read(row, {}).messages] == ["x", "y"]


@pytest.mark.parametrize(
    ("history", "earlier"),
    [
        ([["a", "b"]], ["a", "b"]),
        ('[["a", "b"]]', ["a", "b"]),
        ([["a", "b"], ["c", 4]], ["a", "b", "c", "4"]),
        (["a", "b"], ["a", "b"]),
        ([{"prompt": "a", "response": "b"}], ["a", "b"]),
        ([{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}], ["a", "b"]),
        ([[None, "Welcome."], ["a", "b"]], ["a", "b"]),
    ],
)
def test_earlier_turns_come_first(history, earlier):
    example = read({"prompt": "hi", "completion": "ho", "history": history}, {})
    assert [message["content"] for message in example.messages] == [*earlier, "hi", "ho"]


def test_a_history_that_is_a_text_is_a_column_that_is_not_read():
    assert read({"prompt": "hi", "completion": "ho", "history": "asthma"}, {}).reading.unread == {("column", "history")}


@pytest.mark.parametrize("mark", [{"weight": 0}, {"weight": "0"}, {"weight": 0.0}, {"train": False}, {"loss": False}])
def test_an_answer_that_must_not_be_learned_is_context(mark):
    messages = read({"messages": [USER, ANSWER | mark, USER, ANSWER]}, {}).messages
    assert [message.get("weight") for message in messages] == [None, 0, None, None]
    assert read({"messages": [USER, ANSWER, USER, ANSWER | mark]}, {}).messages == TURN
    with pytest.raises(Unwanted, match="weight 0"):
        read({"messages": [USER, ANSWER | mark]}, {})


@pytest.mark.parametrize("mark", [{"label": False}, {"label": 0}, {"label": "False"}, {"weight": 0}, {"weight": "0"}])
def test_a_row_that_must_not_be_learned_is_left_out(mark):
    for row in ({"prompt": "hi", "completion": "ho"}, {"messages": TURN}, {"prompt": [USER], "completion": [ANSWER]}):
        with pytest.raises(Unwanted, match="marked as not to be learned"):
            read(row | mark, {})
    with pytest.raises(Unwanted):
        read({"prompt": "hi", "completion": "ho", "good": 0}, {"columns": {"label": "good"}})


def test_a_label_with_another_meaning_is_not_a_mark():
    row = {"text": "hi", "label": 0}
    assert read(row, {"layout": "prompt_completion", "columns": {"prompt": "text", "completion": "label"}}).messages[1:] == [
        {"role": "assistant", "content": "0"}
    ]
    assert read({"prompt": "hi", "completion": "ho", "label": 0}, {}, Curate(split={"stratify": "label"})).messages == TURN
    assert read({"prompt": "hi", "completion": "ho", "label": "spam"}, {}).reading.unread == {("column", "label")}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "ho", "rejected": "no"},
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [ANSWER]},
        {"prompt": "hi", "chosen": TURN, "rejected": TURN},
        {"chosen": TURN, "rejected": TURN},
        {"question": "hi", "chosen": "ho", "rejected": "no"},
        {"conversations": [{"from": "human", "value": "hi"}], "chosen": {"from": "gpt", "value": "ho"}, "rejected": ANSWER},
    ],
)
def test_a_preference_pair_is_refused_as_what_it_is_or_read_by_its_better_side(row):
    with pytest.raises(Rejected, match="a preference pair"):
        read(row, {})
    assert read(row, {}, Curate(preference="chosen")).messages == TURN


def test_the_nulls_of_parquet_are_no_arguments():
    row = {"messages": [USER, call({"room": "attic", "minutes": None})]}
    assert arguments_of(row) == {"room": "attic", "minutes": None}
    assert arguments_of(row, sparse=True) == {"room": "attic"}
    lamp = {"name": "lamp", "parameters": {"type": "object", "properties": {"room": {"type": "string", "default": None}}}}
    assert arguments_of(row | {"tools": [lamp]}) == {"room": "attic"}
    kept, absent = (read(row | {"tools": [lamp]}, {}, sparse=sparse).tools[0]["function"] for sparse in (False, True))
    assert kept["parameters"]["properties"]["room"] == {"type": "string", "default": None}
    assert absent["parameters"]["properties"]["room"] == {"type": "string"}


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('{"room": "attic"}', {"room": "attic"}),
        (json.dumps('{"room": "attic"}'), {"room": "attic"}),
        ("", {}),
        ("null", {}),
        (None, {}),
        ({}, {}),
    ],
)
def test_arguments_become_an_object(given, arguments):
    assert arguments_of({"messages": [USER, call(given)]}) == arguments


@pytest.mark.parametrize("given", ["attic", "[1]", "{", 5, [1]])
def test_arguments_that_are_no_object_reject_the_row(given):
    with pytest.raises(Rejected, match="message 1: the arguments of a tool call are not a JSON object"):
        read({"messages": [USER, call(given)]}, {})


@pytest.mark.parametrize(
    "tools",
    [
        [{"name": "lamp", "parameters": {}}],
        [{"type": "function", "name": "lamp", "parameters": {}}],
        [{"function": {"name": "lamp", "parameters": {}}}],
        [{"name": "lamp", "input_schema": {}}],
        ['{"name": "lamp", "parameters": {}}'],
        '[{"type": "function", "function": {"name": "lamp", "parameters": {}, "strict": null}}]',
        {"name": "lamp", "parameters": {}},
    ],
)
def test_definitions_become_one_form(tools):
    wrapped = [{"type": "function", "function": {"name": "lamp", "parameters": {}}}]
    assert read({"messages": TURN, "tools": tools}, {}).tools == wrapped
    assert read({"messages": [{"role": "system", "content": "S", "tools": tools}, *TURN]}, {}).tools == wrapped


@pytest.mark.parametrize("tools", ["[]", "", " ", "null", [], {}, None, [None]])
def test_no_definitions_are_none(tools):
    assert read({"messages": TURN, "tools": tools}, {}).tools is None


def test_turns_of_sharegpt_that_are_calls_become_calls():
    calls = '{"name": "lamp", "arguments": {"room": "attic"}}'
    turns = [("human", "hi"), ("gpt", "One moment."), ("function_call", calls), ("observation", "ok"), ("gpt", "ho")]
    messages = read({"conversations": [{"from": who, "value": said} for who, said in turns], "tools": "[]"}, {}).messages
    called = {"type": "function", "function": {"name": "lamp", "arguments": {"room": "attic"}}}
    assert messages == [
        USER,
        {"role": "assistant", "content": "One moment.", "tool_calls": [called]},
        {"role": "tool", "content": "ok"},
        ANSWER,
    ]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_kept_under_one_name(key):
    assert read({"messages": [USER, ANSWER | {key: "well"}]}, {}).messages[1] == ANSWER | {"reasoning_content": "well"}
    settings = read({"messages": [USER, ANSWER | {key: {"effort": "low"}}]}, {})
    assert settings.messages == TURN
    assert settings.reading.unread == {("message key", key)}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "image", "text": None},
        {"image": "x.png"},
        {"type": "input_audio", "input_audio": {}},
        {"inlineData": {"mimeType": "image/png"}},
    ],
)
def test_a_row_with_a_picture_or_a_sound_is_rejected(part):
    with pytest.raises(Rejected, match=r"message 0: contains .*, and only text can be learned"):
        read({"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it"}, part]}, ANSWER]}, {})


def test_what_is_not_read_is_named():
    row = {"messages": [USER | {"mood": "good"}, ANSWER | {"score": 5, "x": None, "y": []}], "rating": 1, "id": 7, "n": None}
    assert read(row, {}).reading.unread == {("message key", "mood"), ("message key", "score"), ("column", "rating")}


def test_names_of_roles_can_be_added():
    row = {"messages": [{"role": "Kundin", "content": "hi"}, {"role": "BERATER", "content": "ho"}]}
    with pytest.raises(Rejected, match=r"map other names under `curate\.roles`"):
        read(row, {})
    assert read(row, {}, Curate(roles={"kundin": "user", "Berater": "assistant"})).messages == TURN


def test_answers_that_are_calls_of_the_row_s_tools_become_calls():
    called = [{"name": "lamp", "arguments": {"room": "attic"}}]
    row = {"query": "hi", "answers": json.dumps(called), "tools": '[{"name": "lamp", "parameters": {}}]'}
    assert arguments_of(row) == {"room": "attic"}
    assert read({"query": "hi", "answers": json.dumps(called)}, {}).messages[1]["content"]


def test_a_parquet_file_with_rows_of_several_forms_is_read(run, tmp_path):
    """Arrow gives every object of a column all keys of that column, with null for those that it lacks."""
    rows = [
        {"messages": [USER, call('{"room": "attic"}')], "tools": [{"name": "lamp", "parameters": {"type": "object"}}]},
        {"messages": [{"role": "user", "content": "tea"}, {"role": "assistant", "content": "yes", "weight": 1.0}]},
        {"messages": [{"role": "user", "content": "no"}, {"role": "assistant", "content": "x", "weight": 0.0}]},
        {"prompt": "say", "completion": "so"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(rows)), tmp_path / "rows.parquet")
    curated = run([], source={"path": "rows.parquet"}, split={"validation": 0, "test": 0})
    assert [row["messages"][-1] for row in curated.rows] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "lamp", "arguments": {"room": "attic"}}}],
        },
        {"role": "assistant", "content": "yes"},
        {"role": "assistant", "content": "so"},
    ]
    assert curated.report["reasons"] == {"quality: no answer is to be learned: all have weight #": 1}
    assert curated.report["unread"] == {"columns": {}, "message_keys": {}}


def _schema(rows):
    """Return the schema that holds all rows: that of a row with every key."""
    tables = [pa.Table.from_pylist([row]).schema for row in rows]
    return pa.unify_schemas(tables, promote_options="permissive")
