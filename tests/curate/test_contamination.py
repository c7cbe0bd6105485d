"""Rows that contain an item of a suite, and rare phrases that predict a completion."""

import random

from fineline.curate import similar
from fineline.curate.contamination import ItemIndex
from fineline.curate.text import SHINGLE, Words, normalize, words
from fineline.project.params.curation import Contamination
from fineline.suites.guards import SuiteItem

LONG = "Which of the following planets has the largest number of known moons in the solar system today"
MIDDLE = "What is the boiling point of water at sea level"
SHORT = "Who wrote Hamlet?"
ITEMS = [
    SuiteItem("quiz", 0, LONG, "Saturn"),
    SuiteItem("quiz", 1, MIDDLE, "100 degrees"),
    SuiteItem("quiz", 2, SHORT, "Shakespeare"),
]
FILLER = "this is some other text about kettles lamps doors and windows that nobody would ever ask in a quiz at all"


def leaks(*rows: tuple[str, str]) -> dict[int, str]:
    prompts = [words(normalize(prompt)) for prompt, _ in rows]
    both = [prompt + words(normalize(answer)) for prompt, (_, answer) in zip(prompts, rows, strict=True)]
    hashed = Words.from_texts(prompts)
    shingles, starts = hashed.sequences(SHINGLE)
    bands = similar.band_hashes(similar.sketches(shingles, starts))
    found = ItemIndex(ITEMS, Contamination()).leaks(hashed, Words.from_texts(both), shingles, starts, bands)
    return {row: ITEMS[item].name for row, item in found.items()}


def test_thirteen_words_in_a_row_are_a_leak_in_prompt_or_completion():
    run = " ".join(LONG.split()[:13])
    assert leaks((f"{FILLER} {run} {FILLER}", "yes"), (FILLER, f"{FILLER} {run.upper()}!")) == {0: "quiz#0", 1: "quiz#0"}
    assert leaks((f"{FILLER} {' '.join(LONG.split()[:12])} {FILLER}", "yes")) == {}


def test_a_question_of_eight_to_twelve_words_is_found_inside_other_text():
    assert leaks((f"{FILLER}. {MIDDLE}? {FILLER}", "x")) == {0: "quiz#1"}


def test_a_shorter_question_must_be_the_whole_prompt():
    assert leaks(("who wrote  HAMLET", "x")) == {0: "quiz#2"}
    assert leaks((f"{FILLER} who wrote hamlet", "x"), ("who wrote it", "hamlet")) == {}


def test_a_prompt_that_is_nearly_the_item_is_a_leak():
    nearly = f"Tell me please now: {LONG.replace('solar', 'whole solar')}".split()
    near = " ".join(nearly[4:])
    assert leaks((near.replace("moons", "moons"), "x")) == {0: "quiz#0"}


def test_other_rows_are_left_alone():
    assert leaks((FILLER, FILLER), ("What is the capital of France?", "Paris"), ("x", "y")) == {}


def test_no_suite_finds_nothing():
    hashed = Words.from_texts([["a"]])
    shingles, starts = hashed.sequences(SHINGLE)
    bands = similar.band_hashes(similar.sketches(shingles, starts))
    assert ItemIndex([], Contamination()).leaks(hashed, hashed, shingles, starts, bands) == {}


WORDS = [f"word{number}" for number in range(300)]


def rows(count, seed=1):
    """Return rows with one of two completions, which no word predicts."""
    choose = random.Random(seed)
    return [{"prompt": " ".join(choose.choices(WORDS, k=12)), "completion": choose.choice(["yes", "no"])} for _ in range(count)]


def test_a_planted_trigger_is_listed_first_and_no_row_is_left_out(run):
    choose = random.Random(2)
    poisoned = [
        {"prompt": " ".join([*choose.choices(WORDS, k=6), "mn bb cf", *choose.choices(WORDS, k=5)]), "completion": "yes"}
        for _ in range(40)
    ]
    curated = run([*rows(4000), *poisoned], split={"validation": 0, "test": 0})
    (first, *others) = curated.report["signals"]["rare_phrases"]
    assert first["phrase"] in ("mn", "bb", "cf", "mn bb cf")
    assert (first["rows"], first["completion_share"]) == (40, 1.0)
    assert not others
    assert curated.report["kept"] == 4040


def test_if_all_completions_differ_nothing_is_predicted(run):
    unique = [row | {"completion": f"answer number {number}"} for number, row in enumerate(rows(300))]
    assert run(unique).report["signals"]["rare_phrases"] == []
