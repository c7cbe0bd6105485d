"""Signs of bad text, and good texts that resemble it."""

import pytest

from fineline.curate.quality import is_boilerplate, is_mojibake, is_repetitive, strip_invisible


@pytest.mark.parametrize("text", ["cafÃ© au lait", "donâ€™t", "a � b", "Ã¼ber", "5â€“6"])
def test_text_decoded_wrongly_is_detected(text):
    assert is_mojibake(text)


@pytest.mark.parametrize("text", ["café au lait", "don’t", "São Paulo, Ãbc", "Â quoi bon", "über 5–6 €", "ÀÉÎ", "今日"])
def test_text_with_accents_is_not_mojibake(text):
    assert not is_mojibake(text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\u200bb", "ab"),
        ("a\u202eb\u2066", "ab"),
        ("pay\U000e0061load", "payload"),
        ("nul\x00 bell\x07", "nul bell"),
        ("\ufeffstart", "start"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tab\tand\r\nlines", "tab\tand\r\nlines"),
        ("👩\u200d👩\u200d👧 می\u200cخواهم", "👩\u200d👩\u200d👧 می\u200cخواهم"),
    ],
)
def test_invisible_characters_are_removed_unless_a_script_needs_them(text, seen):
    assert strip_invisible(text) == seen


def test_a_text_is_repetitive_if_most_of_it_occurred_before():
    assert is_repetitive([1, 2, 3] * 10)
    assert not is_repetitive(list(range(40)))
    assert not is_repetitive([1, 2, 3] * 2)


def test_stock_phrases_are_detected():
    assert is_boilerplate("well, as an ai language model i cannot")
    assert not is_boilerplate("the model of language")
