"""What the report, the terminal and the card say about how rows were read, and that all that was read is cleaned."""

import json

from fineline.suites.guards import items_of
from tests.conftest import commands

SPLIT = {"validation": 0, "test": 0}


def talk(*messages, **more):
    return {"messages": [dict(zip(("role", "content"), message, strict=False)) for message in messages], **more}


def call(arguments):
    made = {"type": "function", "function": {"name": "mail", "arguments": arguments}}
    return {"messages": [{"role": "user", "content": "send it"}, {"role": "assistant", "content": None, "tool_calls": [made]}]}


def only(curated):
    """Return the rows that are no commands."""
    known = {row["prompt"] for row in commands()}
    return [row for row in curated.rows if row["messages"][0]["content"] not in known]


def test_columns_and_keys_that_are_not_read_are_named_once_with_their_rows(run, capsys):
    rows = [row | {"rating": 1, "empty": None} for row in commands()]
    rows[0] |= {"jane@example.com": 1}
    chat = talk(("user", "hi"), ("assistant", "ho"))
    chat["messages"][1]["channel"] = "final"
    curated = run([*rows, chat], split=SPLIT)
    assert curated.report["unread"] == {
        "columns": {"rating": len(rows), "<EMAIL>": 1},
        "message_keys": {"channel": 1},
    }
    assert (
        f"not read: columns rating ({len(rows)} rows), <EMAIL> (1 rows); message keys channel (1 rows)"
        in capsys.readouterr().out
    )
    assert f"`rating` ({len(rows)})".encode() in curated.files["README.md"]


def test_columns_that_a_project_uses_are_read(run):
    rows = [row | {"kind": "x", "nr": number, "label": True} for number, row in enumerate(commands())]
    source = {"path": "commands.jsonl", "parts": {"rows": {"files": "**", "columns": {"id": "nr"}}}}
    curated = run(rows, source=source, split=SPLIT | {"stratify": "kind"})
    assert curated.report["unread"] == {"columns": {}, "message_keys": {}}


def test_a_card_of_rows_that_were_read_as_they_are_has_no_section_on_reading(run):
    curated = run(commands(), split=SPLIT)
    assert curated.report["read"] == {}
    assert b"In reading" not in curated.files["README.md"]


def test_rows_marked_as_unwanted_are_left_out_and_do_not_count_as_malformed(run):
    rows = [row | {"label": True} for row in commands()]
    rows += [{"prompt": f"bad {number}", "completion": "no", "label": False} for number in range(20)]
    curated = run([*rows, {"prompt": "x y", "completion": "z", "weight": 0}], split=SPLIT, max_rejected=0)
    assert curated.report["reasons"] == {
        "quality: marked as not to be learned by `label`": 20,
        "quality: marked as not to be learned by `weight`": 1,
    }


def test_an_answer_of_weight_0_is_context(run):
    rows = talk(("user", "Opening hours?"), ("assistant", "Go away."), ("user", "Please."), ("assistant", "Nine to five."))
    rows["messages"][1]["weight"] = 0
    rows["messages"][3]["weight"] = 1
    curated = run([*commands(), rows, rows | {"messages": rows["messages"][:2]}], split=SPLIT)
    (row,) = only(curated)
    assert [message.get("weight") for message in row["messages"]] == [None, 0, None, None]
    assert curated.left_out[0]["reason"] == "no answer is to be learned: all have weight 0"
    assert curated.report["read"]["unlearned_answers"] == 1


def test_a_preference_pair_is_named_or_its_better_answer_is_learned(run):
    pair = {"prompt": "hello there", "chosen": "Hello!", "rejected": "What?"}
    assert "preference pair" in run([*commands(), pair], split=SPLIT).left_out[0]["reason"]
    curated = run([*commands(), pair], split=SPLIT, preference="chosen")
    assert "Hello!" in curated.completions()
    assert curated.report["read"] == {"preference_chosen": 1}


def test_roles_of_a_project_are_mapped(run):
    chat = talk(("Kundin", "hi"), ("BERATER", "ho"))
    curated = run([*commands(), chat], split=SPLIT, roles={"kundin": "user", "Berater": "assistant"})
    assert [message["role"] for message in only(curated)[0]["messages"]] == ["user", "assistant"]


def test_private_values_are_removed_from_every_value_of_arguments(run):
    arguments = {
        "type": "jane@example.com",
        "role": "joe@example.com",
        "to": {"card": 4111111111111111},
        "count": 2,
        "now": True,
    }
    rows = [call(arguments), call(json.dumps({"to": "ann@example.com", "card": 4111111111111111}))]
    rows[1]["messages"][0]["content"] = "send it again"
    one, two = only(run([*commands(), *rows], split=SPLIT))
    assert one["messages"][-1]["tool_calls"][0]["function"]["arguments"] == {
        "type": "<EMAIL>",
        "role": "<EMAIL>",
        "to": {"card": "<PAYMENT_CARD>"},
        "count": 2,
        "now": True,
    }
    assert two["messages"][-1]["tool_calls"][0]["function"]["arguments"] == {"to": "<EMAIL>", "card": "<PAYMENT_CARD>"}


def thinking(thought, content="42", prompt="7 boxes of 6?"):
    rows = talk(("user", prompt), ("assistant", content))
    rows["messages"][1]["reasoning_content"] = thought
    return rows


def test_reasoning_is_cleaned_like_any_text(run):
    rows = [
        thinking("ask jane@exa\u200bmple.com"),
        thinking("cafÃ©", prompt="8 boxes?"),
        thinking("so\u200b " * 40, prompt="9?"),
    ]
    curated = run([*commands(), *rows], split=SPLIT)
    assert only(curated)[0]["messages"][-1]["reasoning_content"] == "ask <EMAIL>"
    assert {entry["reason"] for entry in curated.left_out} >= {"mojibake", "repetition"}


def test_a_leak_in_the_reasoning_is_found(run):
    run(commands())
    (question,) = [item.question for item in items_of(["mmlu_dev"]) if len(item.question.split()) > 20][:1]
    curated = run([*commands(), thinking(f"This resembles: {question}")], guards=("mmlu_dev",), split=SPLIT)
    assert curated.left_out[0]["step"] == "contamination"
    assert curated.report["checks"]["contaminated_left"] == 0


def test_answers_that_differ_in_their_reasoning_are_no_contradiction_and_no_duplicates(run):
    rows = [thinking("7 times 6 is 42."), thinking("Six sevens are 42, as 6 and 7 are factors.")]
    curated = run([*commands(), *rows], split=SPLIT)
    assert len(only(curated)) == 2
    assert not curated.left_out


def test_calls_that_differ_in_their_ids_are_no_contradiction(run):
    rows = [call({"to": "me"}), call({"to": "me"})]
    for number, row in enumerate(rows):
        row["messages"][1]["tool_calls"][0]["id"] = f"call_{number}"
    curated = run([*commands(), *rows], split=SPLIT)
    assert curated.report["removed"]["label_noise"] == 0
    assert curated.report["removed"]["exact_duplicates"] == 1
