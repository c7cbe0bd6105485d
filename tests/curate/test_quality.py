"""Signs of bad text and good texts that resemble it, and languages, which are those that the library detects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from fineline.curate.quality import (
    classify_languages,
    detect_languages,
    is_boilerplate,
    is_repetitive,
)


def test_a_text_is_repetitive_if_most_of_it_occurred_before():
    assert is_repetitive([1, 2, 3] * 10)
    assert not is_repetitive(list(range(40)))
    assert not is_repetitive([1, 2, 3] * 2)


def test_stock_phrases_are_detected():
    assert is_boilerplate("well, as an ai language model i cannot")
    assert not is_boilerplate("the model of language")


LIBRARY = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
SENTENCES = [
    "How do I switch the heating in the living room on again, once it is off?",
    "Wie kann ich die Heizung im Wohnzimmer wieder einschalten, wenn sie aus ist?",
    "Comment rallumer le chauffage du salon quand il est éteint ?",
    "HOW DO I SWITCH THE HEATING ON AGAIN, ONCE IT IS OFF?",
    "居間の暖房が切れたとき、もう一度つけるにはどうすればいいですか。",
    "Kako da ponovo uključim grejanje u dnevnoj sobi kada je isključeno?",
    "Как снова включить отопление в гостиной, если оно выключено?",
    "12345",
    "a",
    "",
]


def test_every_answer_is_the_library_s():
    for text, (language, probability) in zip(SENTENCES, classify_languages(SENTENCES), strict=True):
        expected, likely = LIBRARY.classify(text)
        assert probability == pytest.approx(likely, abs=1e-5)
        assert language == expected or likely < 0.1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_for_any_text_the_probability_is_the_library_s(texts):
    for text, (_, probability) in zip(texts, classify_languages(texts), strict=True):
        assert probability == pytest.approx(LIBRARY.classify(text)[1], abs=1e-4)


def test_only_a_clear_answer_counts():
    assert detect_languages(SENTENCES[:3]) == ["en", "de", "fr"]
    assert (
        detect_languages(["lights on", "ok", "", '{"intent": "HassTurnOn", "area": "the living room of the house"}'])
        == ["und"] * 4
    )
    assert detect_languages([]) == []
