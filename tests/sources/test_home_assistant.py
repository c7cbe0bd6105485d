"""The shipped corpus of commands, checked with the parser of its templates."""

import hashlib
import json
from itertools import islice

import pytest
import yaml
from hassil.intents import Intents, TextSlotList
from hassil.recognize import recognize_all
from home_assistant_intents import get_intents, get_languages

from fineline.errors import InputError
from fineline.sources import home_assistant
from fineline.sources.home_assistant import commands

SHIPPED = sorted(file.stem for file in home_assistant.SHIPPED.glob("*.yaml"))


@pytest.fixture(scope="module")
def corpus():
    return list(commands("en", samples_per_template=2, seed=1))


def test_there_are_enough_distinct_commands(corpus):
    assert len({(example.text.casefold(), example.completion) for example in corpus}) == len(corpus) >= 1500


def test_every_english_intent_is_covered(corpus):
    assert {example.intent for example in corpus} == set(get_intents("en")["intents"])


def test_the_seed_decides_the_commands(corpus):
    assert list(commands("en", samples_per_template=2, seed=1)) == corpus
    assert list(commands("en", samples_per_template=2, seed=2)) != corpus


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


def test_the_parser_finds_the_intent_and_slots(corpus):
    """Among its readings of a command, hassil finds the intent and slots that the command was made with."""
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


def test_the_shipped_rows_are_these_bytes(corpus):
    """The shipped figures were measured on these rows: another digest means another data set."""
    rows = [{"prompt": e.text, "completion": e.completion, "group": e.template} for e in corpus]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert hashlib.sha256(lines.encode()).hexdigest() == "c9a3f3c0ef5dd4fca7c04cb179adea9cf13a166de18bd7e5e8728a1d287e34d4"


@pytest.mark.parametrize("language", sorted(get_languages()))
def test_every_language_of_the_package_gives_commands(language):
    found = list(islice(commands(language, samples_per_template=1, seed=1), 50))
    assert len(found) >= 10
    assert not [example.text for example in found if set("[]{}<>|;()") & set(example.text) or not example.text]
    assert all(json.loads(example.completion)["intent"] in get_intents(language)["intents"] for example in found)


@pytest.mark.parametrize("language", [language for language in SHIPPED if language != "en"])
def test_a_language_with_a_household_uses_its_values_throughout(language):
    english, own = (yaml.safe_load((home_assistant.SHIPPED / f"{code}.yaml").read_text()) for code in ("en", language))
    assert list(own) == list(english)
    assert list(own["name"]) == list(english["name"])
    found = list(commands(language, samples_per_template=1, seed=1))
    assert {example.intent for example in found} == set(get_intents(language)["intents"])
    areas = {example.slots["area"] for example in found if "area" in example.slots}
    assert areas <= set(own["area"])
    assert any(not example.completion.isascii() and "\\u" not in example.completion for example in found)


def test_a_language_without_household_uses_english_names():
    english = yaml.safe_load((home_assistant.SHIPPED / "en.yaml").read_text())
    areas = {example.slots["area"] for example in commands("sv", 1, 1) if "area" in example.slots}
    assert areas
    assert areas <= set(english["area"])


def test_an_own_household_replaces_values_of_the_shipped_one(fetch, root):
    (root / "home.yaml").write_text("area: [Stube]\nname: {light: [Funzel]}\n", encoding="utf-8")
    block = {"language": "de", "samples_per_template": 1, "household": "home.yaml"}
    fetched = fetch(root, home={"home_assistant": block})["home"]
    slots = [json.loads(content["completion"]) for content in fetched.contents]
    assert {each["area"] for each in slots if "area" in each} == {"Stube"}
    assert "Funzel" in {each.get("name") for each in slots}
    assert "Haustür" in {each.get("name") for each in slots}
    assert fetched.record["origin"] == "home_assistant"
    assert [file["path"] for file in fetched.record["files"]] == ["home_assistant_intents/data/de.json", "home.yaml"]
    assert fetched.rows[0]["at"] == "home_assistant_intents/data/de.json:1"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("area: [on]", "area must be a list of words; quote words"),
        ("area: []", "area must be a list of words"),
        ("name: [lamp]", "`name` needs lists by domain"),
        ("name: {light: 5}", r"name\.light must be a list of words"),
        ("- lamp", "list names with their values"),
        ("{", "not YAML"),
    ],
)
def test_a_malformed_household_is_refused(fetch, root, content, complaint):
    (root / "home.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"home\.yaml: {complaint}"):
        fetch(root, home={"home_assistant": {"household": "home.yaml"}})


def test_a_household_must_be_below_the_source(fetch, root):
    (root.parent / "home.yaml").write_text("area: [den]", encoding="utf-8")
    with pytest.raises(InputError, match="which DVC watches; move it there"):
        fetch(root, home={"home_assistant": {"household": "../home.yaml"}})
    with pytest.raises(InputError, match="no such file"):
        fetch(root, home={"home_assistant": {"household": "home.yaml"}})


@pytest.mark.parametrize(("language", "hint"), [("de-DE", "did you mean 'de-CH'"), ("klingon", "accepted: af, ar")])
def test_an_unknown_language_is_refused_with_the_nearest_one(language, hint):
    with pytest.raises(InputError, match=rf"no commands in '{language}'; {hint}"):
        list(commands(language, 1, 1))


def test_chosen_intents_have_the_commands_that_they_have_among_all(corpus):
    chosen = list(commands("en", 2, 1, intents=["HassLightSet", "HassStartTimer"]))
    assert {example.intent for example in chosen} == {"HassLightSet", "HassStartTimer"}
    assert chosen == [example for example in corpus if example.intent in {"HassLightSet", "HassStartTimer"}]


def test_an_unknown_intent_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match="no intent 'HassLightsSet' in 'en'; did you mean 'HassLightSet'"):
        list(commands("en", 2, 1, intents=["HassLightsSet"]))
