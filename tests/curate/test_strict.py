"""Rows that differ in what a task may be about: case, indentation, superscripts, width, accents, punctuation, white space."""

import pytest

from fineline.curate.text import exact, exact_answer
from tests.conftest import commands

CITIES = ("lisbon", "porto", "madrid", "paris", "vienna", "oslo", "rome", "bern")
SPLIT = {"validation": 0, "test": 0}


def pair(prompt, completion):
    return {"prompt": prompt, "completion": completion}


def test_rows_that_restore_capitals_are_kept_and_an_echo_is_not(run):
    rows = [pair(f"the train from {city} leaves.", f"The train from {city.title()} leaves.") for city in CITIES]
    curated = run([*commands(), *rows, pair("say it", "say it")], split=SPLIT)
    assert {row["completion"] for row in rows} <= curated.completions()
    assert [entry["reason"] for entry in curated.left_out] == ["echo"]
    loose = run([*commands(), *rows], split=SPLIT, normalize="loose")
    assert loose.report["reasons"] == {"quality: echo": len(rows)}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("What does it print?\nif a:\n    b()\nc()", "What does it print?\nif a:\n    b()\n    c()"),
        ("How is x² read?", "How is x2 read?"),
        ("Is ＡＢＣ wide?", "Is ABC wide?"),
        ("Is it a city? Polish", "Is it a city? polish"),
        ("How many lines?\na\nb", "How many lines?\na b"),
        ("How many spaces at the end? x  ", "How many spaces at the end? x"),
    ],
)
def test_prompts_that_differ_in_what_the_task_is_about_are_no_contradiction(run, one, two):
    rows = [pair(one, "Like the first."), pair(two, "As the second says.")]
    curated = run([*commands(), *rows], split=SPLIT)
    assert {row["completion"] for row in rows} <= curated.completions()
    assert not curated.left_out
    assert run([*commands(), *rows], split=SPLIT, normalize="loose").report["removed"]["label_noise"] == 2


def test_equal_prompts_with_different_answers_are_a_contradiction(run):
    curated = run([*commands(), pair("How is x² read?", "x squared"), pair("How is x² read?", "x two")], split=SPLIT)
    assert curated.report["removed"]["label_noise"] == 2


def test_answers_to_one_prompt_that_differ_in_case_only_are_one_answer(run):
    curated = run([*commands(), pair("the capital of Peru", "Lima"), pair("the capital of Peru", "lima ")], split=SPLIT)
    assert "Lima" in curated.completions()
    (gone,) = curated.left_out
    assert gone["reason"] == "same prompt; the completion differs in case, white space or Unicode form only"


def test_near_duplicates_with_answers_that_differ_in_case_are_kept(run):
    said = "the quick brown fox jumps over lazy dogs while seven wizards box with jugs of liquor near old mill ponds today"
    rows = [pair(f"{said} in small letters", said), pair(f"{said.upper()} IN SMALL LETTERS", said.upper())]
    curated = run([*commands(), *rows], split=SPLIT, quality={"repetition": "report"})
    assert {said, said.upper()} <= curated.completions()


def test_the_strict_form_folds_line_ends_and_composed_accents_only():
    assert exact("a\r\nb") == "a\nb"
    assert exact("e\u0301") == "\u00e9"
    assert exact(" A² ") == " A² "
    assert [exact_answer(text) for text in ("\n yes", " yes\n", "    yes", "yes  ")] == ["yes", "yes", "    yes", "yes"]


LONG = "You work in a shop for bicycles in Porto and a customer asks about an open invoice; answer in one polite sentence."
REPLY = "Thank you for asking: the invoice that you mention amounts to {} euros in all, payable within thirty days of receipt."


def test_prose_that_was_copied_in_another_form_is_a_copy(run):
    prompt, reply = f"{LONG} How much is it?", REPLY.format("many")
    rows = [
        pair(prompt, reply),
        pair(prompt.upper(), reply.upper()),
        pair(prompt.replace(" ", "  "), reply.replace(" ", "\u00a0")),
    ]
    assert run([*commands(), *rows], split=SPLIT).report["removed"]["exact_duplicates"] == 2


def test_near_duplicates_with_other_numbers_are_kept(run):
    rows = [pair(f"{LONG} How much is number {number}?", REPLY.format(number * 10)) for number in (17, 18)]
    near = {"split": SPLIT, "duplicates": {"similarity": 0.6}}
    assert {row["completion"] for row in rows} <= run(rows, **near).completions()
    assert run(rows, **near, normalize="loose").report["removed"]["near_duplicates"] == 1


@pytest.mark.parametrize(("prompt", "one", "two"), [("The square of x?", "x²", "x2"), ("Symbol of cobalt?", "Co", "CO")])
def test_short_answers_that_differ_in_form_are_different_answers(run, prompt, one, two):
    curated = run([*commands(), pair(prompt, one), pair(prompt.lower(), two)], split=SPLIT)
    assert {one, two} <= curated.completions()


def test_a_completion_that_repeats_its_prompt_in_another_form_is_counted(run):
    curated = run([*commands(), pair("i live in lima", "I live in Lima")], split=SPLIT)
    assert curated.report["reported"]["echo"] == 1
