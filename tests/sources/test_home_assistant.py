"""The shipped corpus: what the issue of commands must be, checked with the templates' own recogniser."""

import json

import pytest
from hassil.intents import Intents, TextSlotList
from hassil.recognize import recognize_all
from home_assistant_intents import get_intents

from pipelines.errors import InputError
from pipelines.sources.home_assistant import examples


@pytest.fixture(scope="module")
def corpus():
    return list(examples("en", samples_per_template=2, seed=1))


def test_there_are_enough_distinct_commands(corpus):
    assert len({(example.text.casefold(), example.completion) for example in corpus}) == len(corpus) >= 1500


def test_every_english_intent_is_covered(corpus):
    assert {example.intent for example in corpus} == set(get_intents("en")["intents"])


def test_the_seed_decides(corpus):
    assert list(examples("en", samples_per_template=2, seed=1)) == corpus
    assert list(examples("en", samples_per_template=2, seed=2)) != corpus


def test_completions_are_compact_json_with_sorted_slots(corpus):
    for example in corpus:
        content = json.loads(example.completion)
        slots = [key for key in content if key != "intent"]
        assert next(iter(content)) == "intent"
        assert slots == sorted(slots)
        assert " :" not in example.completion


def test_commands_have_no_leftover_template_syntax(corpus):
    assert not [example.text for example in corpus if set("[]{}<>|;()") & set(example.text)]
    assert not [example.text for example in corpus if "  " in example.text or example.text != example.text.strip()]


def test_the_recogniser_reads_what_was_meant(corpus):
    """hassil, given each command, finds the intent and slots that the command was made with among its readings."""
    intents = Intents.from_dict(get_intents("en"))
    checked = [example for example in corpus if not {"name", "area", "floor"} & example.slots.keys()][:150]
    lists = {name: TextSlotList.from_strings([], name=name) for name in ("name", "area", "floor")}
    for example in checked:
        readings = recognize_all(example.text, intents, slot_lists=lists, intent_context={"area": "den"}, language="en")
        found = [(reading.intent.name, {entity.name: entity.value for entity in reading.entities_list}) for reading in readings]
        assert any(
            intent == example.intent and {key: slots.get(key) for key in example.slots} == example.slots
            for intent, slots in found
        ), (example.text, example.completion, found)


def test_an_unknown_language_is_answered_with_those_at_hand():
    with pytest.raises(InputError, match="no home commands in language 'tlh'; available: en"):
        list(examples("tlh", 1, 1))
