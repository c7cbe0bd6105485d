"""Properties that are true for any text."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fineline.curate.privacy import KINDS, Cleaner
from fineline.project.params.curation import Privacy

CLEANER = Cleaner(Privacy())
PIECES = st.sampled_from(
    [
        *("4111 1111 1111 1111", "4111-1111", "DE89 3704 0044 0532 0130 00", "bob@example.com", "@", "://", "user:pw12345"),
        *("+49 30 1234567", "0171 1234567", "tel", "CPF", "12345678909", "123-45-6789", "12345678Z", "192.168.1.1", "fe80::1"),
        *("00:1a:2b:3c:4d:5e", "?token=", "abcdefgh", "sk-" + "a1" * 20, "AKIA" + "A1" * 8, "-----BEGIN PRIVATE KEY-----"),
        *(
            "\\n",
            "\\u0041",
            '"',
            "<EMAIL>",
            "<PHONE_12345678>",
            " ",
            "-",
            ".",
            ",",
            ":",
            "/",
            "(",
            "x",
            "7",
            "\n",
            "\0",
            "\ud800",
        ),
        *("é", "\N{NO-BREAK SPACE}"),
    ]
)
TEXTS = st.one_of(st.text(alphabet=st.characters(), max_size=200), st.lists(PIECES, max_size=14).map("".join))


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_matches_are_spans_in_order_that_do_not_overlap(text):
    end = 0
    for match in CLEANER.find(text):
        assert match.kind in KINDS
        assert end <= match.start < match.end <= len(text)
        end = match.end


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_cleaned_text_is_clean(text):
    once = CLEANER.clean(text)
    assert CLEANER.clean(once.text) == (once.text, {}, False)
    assert CLEANER.scrub(text) == once.text
    assert sum(once.found.values()) >= len(CLEANER.find(text))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_text_outside_of_matches_is_not_changed(text):
    parts = re.split(r"<[A-Z_]+>", CLEANER.clean(text).text)
    place = 0
    for part in parts:
        place = text.index(part, place) + len(part)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a@",
            "1",
            "://",
            "1 ",
            "1.",
            "+1",
            "+12345678 ",
            "(1",
            "a.",
            "a@a.",
            "://a:a@",
            "?token=a",
            "eyJ-",
            "eyJa.",
            "sk-a",
            "gl-",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----\n",
            "aws key ",
            "AKIA",
            "DE12 ",
            "AB12",
            "AA:",
            "::",
            "1::",
            "\\n",
            "\\",
            "-",
            "A",
            "A ",
        ),
        *("M.", "4111 1111 1111 1111 ", "secret_access_key ", "0171 1", "123-45-6789 ", "<EMAIL>", "\N{NO-BREAK SPACE}"),
    ],
)
@pytest.mark.timeout(20)  # a pattern that tries every way to match would not end within hours
def test_a_long_adversarial_text_ends(cleaner, unit):
    cleaner.clean((unit * 200_000)[:200_000])
