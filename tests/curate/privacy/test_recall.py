"""Planted values are found in any surroundings. All tests use `clean`, so they also cover the gates."""

import json
import random

import pytest

from tests.curate.privacy.planted import MAKERS

SURROUNDINGS = (
    "{}",
    "{} it is",
    "it is {}",
    "({})",
    "see {}.",
    "see {}, and",
    "first\n{}\nlast",
    "\t{}\t",
    '"{}"',
    "'{}'",
    "“{}”",
    "[{}]",
    "<b>{}</b>",
    "`{}`",
    "at:{};",
    "key={}",
    "- {}",
    "1. {}",
    "Is it {}?",
    "a,{},b",
    "7,{},8",
    "42 {} of",
    "of {} 42 x",
)
# The library does not accept every number of a form as one in use.
RECALL = {"phone": 0.98}


def planted(kind: str, count: int) -> list[str]:
    rng = random.Random(f"planted {kind}")
    return [MAKERS[kind](rng) for _ in range(count)]


@pytest.mark.parametrize("kind", MAKERS)
def test_it_is_found_in_any_surroundings(cleaner, kind):
    texts = [surrounding.replace("{}", value) for value in planted(kind, 80) for surrounding in SURROUNDINGS]
    missed = [text for text in texts if cleaner.clean(text).found != {kind: 1}]
    assert len(missed) <= (1 - RECALL.get(kind, 1)) * len(texts), missed[:3]


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_in_json_it_is_found_and_the_json_stays_valid(cleaner, kind, ensure_ascii):
    missed = 0
    for value in planted(kind, 80):
        text = json.dumps({"text": f'say "é"\n{value}\nor \\{value}', kind: value, "n": 1}, ensure_ascii=ensure_ascii)
        cleaned = cleaner.clean(text)
        missed += cleaned.found != {kind: 3}
        if kind not in ("phone", "national_id"):  # the word that is planted with them stays
            assert json.loads(cleaned.text)[kind].count(f"<{kind.upper()}>") == 1
        assert json.loads(cleaned.text)["n"] == 1
    assert missed <= (1 - RECALL.get(kind, 1)) * 80


@pytest.mark.parametrize("kind", ["payment_card", "iban", "email", "secret"])
def test_nothing_of_the_value_is_left(cleaner, kind):
    for value in planted(kind, 100):
        left = cleaner.clean(f"it is {value}, he said").text
        assert left == f"it is <{kind.upper()}>, he said" or (kind == "secret" and "secret_access_key = <SECRET>" in left)


def test_several_in_one_text_are_all_found(cleaner):
    rng = random.Random(3)
    for _ in range(100):
        values = {kind: make(rng) for kind, make in MAKERS.items()}
        found = cleaner.clean("\n".join(f"The next is {value}." for value in values.values())).found
        assert {kind: found.get(kind) for kind in MAKERS if kind != "phone"} == dict.fromkeys(set(MAKERS) - {"phone"}, 1)


def test_cards_in_a_row_are_cards_and_a_table_of_fours_is_not(cleaner):
    assert cleaner.clean("4111 1111 1111 1111 5500 0000 0000 0004").found == {"payment_card": 2}
    assert cleaner.clean("2019 4111 1111 1111 1111 2021 2022").found == {}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4111111111111111", "payment_card"),  # full width and other scripts' digits are digits
        ("４１１１１１１１１１１１１１１１", "payment_card"),
        ("٤١١١١١١١١١١١١١١١", "payment_card"),
        ("tel. 0171–1234567", "phone"),
        ("bob＠example．com", "email"),
        ("电话4111111111111111号", "payment_card"),
        (r"https:\/\/user:pa55word@example.com", "url_credentials"),
        (r"bob\u0040example.com", "email"),
    ],
)
def test_other_ways_to_write_the_same_characters(cleaner, text, kind):
    assert cleaner.clean(text).found == {kind: 1}
