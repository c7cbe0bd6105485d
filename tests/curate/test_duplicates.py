"""Duplicates and contradictions."""

from pipelines.curate.duplicates import distinct
from pipelines.curate.rows import Row


def row(identity: str, prompt: str, completion: str) -> Row:
    messages = ({"role": "user", "content": prompt}, {"role": "assistant", "content": completion})
    return Row(identity, identity, messages)


def test_of_equal_rows_the_first_is_kept():
    kept, repeated, contradictions = distinct([row("1", "Hi", "ho"), row("2", " hi ", "Ho"), row("3", "bye", "ho")])
    assert [[one.id for one in rows] for rows in (kept, repeated, contradictions)] == [["1", "3"], ["2"], []]


def test_full_width_letters_are_the_same_letters():
    assert len(distinct([row("1", "ｈｉ", "ho"), row("2", "hi", "ho")])[0]) == 1


def test_no_row_of_a_contradicted_prompt_is_kept():
    kept, repeated, contradictions = distinct([row("1", "hi", "ho"), row("2", "hi", "no"), row("3", "hi", "ho")])
    assert (kept, repeated) == ([], [])
    assert [one.id for one in contradictions] == ["1", "2", "3"]
