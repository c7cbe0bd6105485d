"""Rare phrases that predict a completion."""

import random

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
