"""Which raw lines are rows, and why the others are not."""

import json

import pytest

from pipelines.curate import rows


def read(tmp_path, *lines: bytes | dict, system=None):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return rows.read(file, system)


def test_both_layouts_give_the_same_row(tmp_path):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    (one, two), rejected = read(tmp_path, {"messages": messages}, {"prompt": "hi", "completion": "ho"})
    assert one == two
    assert not rejected


def test_a_system_message_is_given_to_rows_without_one(tmp_path):
    own = [{"role": "system", "content": "own"}, *({"role": role, "content": "x"} for role in ("user", "assistant"))]
    (one, two), _ = read(tmp_path, {"prompt": "hi", "completion": "ho"}, {"messages": own}, system="shared")
    assert one.messages[0] == {"role": "system", "content": "shared"}
    assert two.messages[0] == {"role": "system", "content": "own"}


def test_the_group_is_the_declared_one_or_the_prompt(tmp_path):
    row = {"prompt": " Hi  There ", "completion": "ho"}
    (one, two), _ = read(tmp_path, row, row | {"group": 7})
    assert one.group == "user: hi there"
    assert two.group == "7"


def message(role: str, content: object = "x") -> dict:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken\n", "not valid JSON"),
        (b"\xff\xfe{}\n", "not UTF-8 at byte 0"),
        (b"[1, 2]\n", "a row is a JSON object, found list"),
        (b"[" * 100_000 + b"\n", "not valid JSON"),
        ({"prompt": "hi"}, "no completion"),
        ({"prompt": "hi", "completion": "  "}, "no completion"),
        ({"prompt": "hi", "completion": None}, "the content must be text"),
        ({"prompt": "", "completion": "ho"}, "message 0: blank"),
        ({"text": "hi"}, "neither `messages` nor"),
        ({}, "neither `messages` nor"),
        ({"messages": []}, "no list, or empty"),
        ({"messages": [message("user")]}, "no completion"),
        ({"messages": [message("system")]}, "no completion"),
        ({"messages": [message("assistant"), message("user")]}, "roles must alternate"),
        ({"messages": [message("user"), message("user"), message("assistant")]}, "roles must alternate"),
        ({"messages": [message("robot")]}, "the role must be one of"),
        ({"messages": [message("user"), message("assistant", ["x"])]}, "the content must be text"),
    ],
)
def test_an_unusable_line_is_kept_with_its_place_and_reason(tmp_path, line, reason):
    good = {"prompt": "hi", "completion": "ho"}
    accepted, rejected = read(tmp_path, good, line, good)
    assert len(accepted) == 2
    assert rejected[0]["line"] == 2
    assert reason in rejected[0]["reason"]
