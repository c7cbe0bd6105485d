"""fineline.dagster.data_tables: which rows are shown, and how."""

import json

import pytest

from fineline.dagster.data_tables import LONGEST_TEXT, samples


@pytest.fixture
def write(tmp_path):
    """Writes a split of rows with these turns each."""

    def write(*conversations):
        file = tmp_path / "train.jsonl"
        rows = [{"id": str(number), "source": "chats", "messages": turns} for number, turns in enumerate(conversations)]
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return file

    return write


def turns(prompt, completion):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


@pytest.mark.parametrize(
    ("rows", "shown"), [(0, []), (3, [0, 1, 2]), (10, list(range(10))), (25, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22])]
)
def test_samples_are_spread_evenly(write, rows, shown):
    file = write(*(turns(str(number), "yes") for number in range(rows)))
    assert [sample["prompt"] for sample in samples(file, rows)] == [str(number) for number in shown]


def test_the_prompt_shown_is_the_turn_that_is_answered(write):
    system, earlier = {"role": "system", "content": "Be brief."}, turns("first", "one")
    (sample,) = samples(write([system, *earlier, *turns("second", "two")]), 1)
    assert sample == {"prompt": "second", "completion": "two", "source": "chats"}


def test_long_texts_are_cut_and_unseen_characters_go(write):
    (sample,) = samples(write(turns("a\n\tb\u202ec\u200bd", "x" * 1000)), 1)
    assert sample["prompt"] == "a b c d"
    assert len(sample["completion"]) == LONGEST_TEXT
    assert sample["completion"].endswith("x…")


def test_a_turn_without_text_is_shown_empty(write):
    (sample,) = samples(write([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": []}]), 1)
    assert sample["completion"] == ""


def test_without_rows_there_are_no_samples(tmp_path):
    assert samples(tmp_path / "train.jsonl", 5) == []
