"""flips.md: items that got worse, with no text read as markup."""

import re

import pytest

from fineline.evaluate import flips
from tests.evaluate.decisions import decision, entry

DECISION = decision(entry("guard", "must_not_regress", 0.0), entry("other", "info", 0.0))


def record(item, answer="yes", expected="yes", task="suite", question="Is it?", **scores):
    return {"task": task, "item": item, "scores": scores, "question": question, "answer": answer, "expected": expected}


def rows(markdown):
    lines = [line for line in markdown.splitlines() if line.startswith("| ") and not line.startswith(("| item", "| ---"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_items_that_went_from_right_to_wrong_are_shown_and_both_ways_are_counted():
    base = [record(0, guard=1.0), record(1, guard=1.0), record(2, answer="no", guard=0.0), record(3, guard=1.0)]
    after = [record(0, guard=1.0), record(1, answer="no", guard=0.0), record(2, guard=1.0), record(3, answer="?", guard=0.0)]
    made = flips.markdown(base, after, DECISION)
    assert "Of 4 items 2 went from right to wrong and 1 from wrong to right." in made
    assert rows(made) == [["1", "`Is it?`", "`yes`", "`yes`", "`no`"], ["3", "`Is it?`", "`yes`", "`yes`", "`?`"]]


def test_the_largest_drops_of_a_graded_measure_come_first():
    base = [record(item, f1=0.9) for item in range(4)]
    after = [record(0, f1=0.8), record(1, f1=0.1), record(2, f1=0.95), record(3, f1=None)]
    made = flips.markdown(base, after, DECISION)
    assert "Of 4 items 3 got worse and 1 got better." in made
    assert [row[-1] for row in rows(made)] == ["0.9 → –", "0.9 → 0.1", "0.9 → 0.8"]


def test_the_number_of_items_shown_is_limited():
    base = [record(item, guard=1.0) for item in range(30)]
    after = [record(item, guard=0.0) for item in range(30)]
    made = flips.markdown(base, after, DECISION, most=10)
    assert len(rows(made)) == 10
    assert "Of 30 items 30 went from right to wrong and 0 from wrong to right. The first 10 are shown." in made


def test_measures_that_a_rule_judges_come_first_also_through_a_pool():
    base = [record(0, other=1.0, member=1.0, guard=1.0)]
    order = [line[3:] for line in flips.markdown(base, base, DECISION).splitlines() if line.startswith("## ")]
    assert order == ["guard", "other", "member"]
    pooled = decision(entry("pool", "must_not_regress", 0.0), entry("guard", "info", 0.0))
    made = flips.markdown(base, base, pooled, pools={"pool": ["member"]})
    assert [line[3:] for line in made.splitlines() if line.startswith("## ")] == ["member", "other", "guard"]


def test_a_choice_is_shown_by_its_text_or_else_by_its_place():
    right, wrong = [[-1.0, True], [-2.0, False]], [[-2.0, False], [-1.0, True]]
    base, after = record(0, answer=right, expected=0, guard=1.0), record(0, answer=wrong, expected=0, guard=0.0)
    assert rows(flips.markdown([base], [after], DECISION)) == [["0", "`Is it?`", "`choice 1`", "`choice 1`", "`choice 2`"]]
    choices = {"choices": ["red", "blue"]}
    assert rows(flips.markdown([base | choices], [after | choices], DECISION))[0][2:] == ["`red`", "`red`", "`blue`"]


def test_the_chosen_text_agrees_with_a_score_that_counts_length():
    likely = [[-3.0, False], [-4.0, False]]
    base = record(0, answer=likely, expected=1, guard=1.0) | {"choices": ["a", "a long one"]}
    after = record(0, answer=[[-1.0, False], [-40.0, False]], expected=1, guard=0.0) | {"choices": ["a", "a long one"]}
    assert rows(flips.markdown([base], [after], DECISION))[0][3:] == ["`a long one`", "`a`"]


def test_a_single_likelihood_is_not_a_choice():
    base, after = record(0, answer=[[-10.0, False]], plain=-1.0), record(0, answer=[[-20.0, False]], plain=-2.0)
    made = flips.markdown([base], [after], DECISION)
    assert rows(made)[0][3:] == ["`log-likelihood -10.00`", "`log-likelihood -20.00`", "-1 → -2"]
    broken = record(0, answer=[[None, False]], plain=None)
    assert rows(flips.markdown([base], [broken], DECISION))[0][4] == "`not a number`"


HOSTILE = [
    "a|b",
    "`code`",
    "``two``",
    "<img src=x onerror=alert(1)>",
    "[link](https://evil.example) https://evil.example",
    "line\nline\r\n| x |",
    "\u202eevil\x1b[31m\x00",
    "`",
    "\\|",
    "",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_answer_of_a_model_breaks_the_table_or_becomes_markup(text):
    """Parsed as GitHub does: cells end at pipes that are not escaped, and a cell is one code span."""
    base, after = record(0, guard=1.0, question=text), record(0, guard=0.0, answer=text, expected=text, question=text)
    made = flips.markdown([base], [after], DECISION)
    assert all(character == "\n" or character.isprintable() for character in made)
    (line,) = [line for line in made.splitlines() if line.startswith("| 0")]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    assert len(cells) == 5
    for cell in (cells[1], cells[2], cells[4]):
        fence = re.match("`*", cell).group()
        inner = cell[len(fence) : -len(fence)] if fence else cell
        assert cell in ("*nothing*", "*spaces*") or (fence and cell.endswith(fence))
        assert not [run for run in re.findall("`+", inner) if run == fence] if fence else True


def test_long_texts_are_cut_to_where_the_answer_goes_wrong():
    long = "x" * 500
    assert len(flips.excerpt(long)) == flips.LONGEST + 1
    base = record(0, answer=f"{long}right", expected=f"{long}right", guard=1.0)
    after = record(0, answer=f"{long}wrong", expected=f"{long}right", guard=0.0)
    *_, expected, reference, candidate = rows(flips.markdown([base], [after], DECISION))[0]
    assert expected == reference
    assert expected.startswith("`…x")
    assert expected.endswith("right`")
    assert candidate.endswith("wrong`")
    after = record(0, answer=f"no{long}", expected=f"{long}right", guard=0.0)
    assert rows(flips.markdown([base], [after], DECISION))[0][4].startswith("`noxxx")


def test_items_that_only_one_was_asked_are_left_out():
    assert flips.find([record(0, guard=1.0)], [record(1, guard=0.0)]) == {}
