"""Spoken home commands with their intents, made from the sentence templates of Home Assistant.

The `home-assistant-intents` package (CC BY 4.0) contains sentence templates per language, such as
`<turn> on [<the>] {area} <light>`, which `hassil` parses. A random path through a parsed template gives a command together with
the slots that it fills, so the pair is right by construction:

    switch on my kitchen lamps -> {"intent":"HassTurnOn","area":"kitchen","domain":"light"}

Commands of one template are near-duplicates of each other, so the template is their group, which splits never divide.

The values for the slots, such as rooms, devices and shopping lists, come from a household: `households/<language>.yaml` is
shipped for some languages. A list that a household lacks is taken from the English one: rooms and devices have proper names,
which people choose themselves.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from fineline.errors import InputError, did_you_mean
from fineline.project.params.sources import HomeAssistant
from fineline.sources import listing
from fineline.sources.readers import RawRow
from fineline.sources.storage import FileRecord, Writer

try:
    import home_assistant_intents
    from hassil.expression import Alternative, Expression, Group, ListReference, Permutation, RuleReference, Sentence, TextChunk
    from hassil.intents import IntentData, Intents, RangeSlotList, SlotList, TextSlotList
    from home_assistant_intents import get_intents, get_languages
except ModuleNotFoundError as error:
    raise InputError(
        f"a `home_assistant` part needs the package {error.name}; install it with `pip install 'fineline[home-assistant]'`"
    ) from error

SHIPPED = Path(__file__).with_name("households")
CORPUS = "home-assistant-intents"
_TRIES_PER_SAMPLE = 20  # a template may have too few variants: stop instead of looping


@dataclass(frozen=True)
class Command:
    """One command with its meaning and the template that it was made from."""

    text: str
    intent: str
    slots: dict[str, Any]
    template: str

    @property
    def completion(self) -> str:
        """Return the intent, then the slots by name, as compact JSON: equal meanings have equal texts."""
        return json.dumps({"intent": self.intent} | dict(sorted(self.slots.items())), ensure_ascii=False, separators=(",", ":"))


def read(block: HomeAssistant, root: Path, writer: Writer) -> list[FileRecord]:
    """Pass every command to the writer and return the files that they were made from.

    Raises:
        InputError: Another release than the pinned one is installed, or as `commands`.
    """
    _check_pin(root)
    name = f"home_assistant_intents/data/{block.language}.json"
    made = commands(block.language, block.samples_per_template, block.seed, block.household, root, block.intents)
    for number, command in enumerate(made, 1):
        content = {"prompt": command.text, "completion": command.completion, "group": command.template}
        writer.add(name, RawRow(number, content))
    corpus = Path(home_assistant_intents.__file__).with_name("data") / f"{block.language}.json"
    used = [_record(name, corpus, writer.rows)]
    if block.household:
        used.append(_record(block.household, listing.below(block.household, root), rows=0))
    return used


def _check_pin(file: Path) -> None:
    """Raise `InputError` if a requirements file pins another release of the corpus than is installed."""
    if not file.is_file():
        return
    pin = re.search(rf"^{CORPUS}==([^\s\\;]+)", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    installed = metadata.version(CORPUS)
    if pin and pin[1] != installed:
        raise InputError(f"{file}: pins {CORPUS} {pin[1]}, but {installed} is installed; run `pip install {CORPUS}=={pin[1]}`")


def commands(
    language: str,
    samples_per_template: int,
    seed: int,
    own: str | None = None,
    root: Path = Path(),
    intents: Sequence[str] | None = None,
) -> Iterator[Command]:
    """Yield distinct commands, template by template; each template has a separate random stream.

    Args:
        language: A language code of the package.
        samples_per_template: Maximum number of commands from one template.
        seed: The same seed gives the same commands. A template added upstream does not change the commands of others.
        own: A household file below `root` whose values replace the shipped ones.
        intents: Intents to take the templates of; None for all. The commands of one intent do not depend on the others, except
            that words which two templates give are kept once.

    Raises:
        InputError: The package has no such language, the language has no such intent, or the household cannot be used.
    """
    corpus = get_intents(language)
    if corpus is None:
        raise InputError(
            f"home_assistant.language: no commands in {language!r}{did_you_mean(language, sorted(get_languages()))}"
        )
    for intent in intents or ():
        if intent not in corpus["intents"]:
            known = sorted(corpus["intents"])
            raise InputError(f"home_assistant.intents: no intent {intent!r} in {language!r}{did_you_mean(intent, known)}")
    sampler = _Sampler(Intents.from_dict(corpus), load_household(language, own, root), intents)
    seen: set[str] = set()
    for intent, block, sentence in sampler.templates():
        template = f"{intent}: {sentence.text}"
        choose = random.Random(f"{seed}/{template}")
        found = 0
        for _ in range(samples_per_template * _TRIES_PER_SAMPLE):
            text, slots = sampler.draw(block, sentence, choose)
            if text.casefold() in seen:  # two templates gave the same words: the first one keeps them
                continue
            seen.add(text.casefold())
            yield Command(text, intent, slots, template)
            found += 1
            if found == samples_per_template:
                break


def _record(name: str, file: Path, rows: int) -> FileRecord:
    data = file.read_bytes()
    return FileRecord(name, len(data), hashlib.sha256(data).hexdigest(), rows)


class _Sampler:
    """Draws commands from the templates of one language, filling slots from one household."""

    def __init__(self, intents: Intents, household: dict[str, Any], only: Sequence[str] | None = None) -> None:
        self.intents = intents
        self.only = only
        self.household = household

    def templates(self) -> Iterator[tuple[str, IntentData, Sentence]]:
        """Yield every sentence template with its block and the name of its intent."""
        for name, intent in self.intents.intents.items():
            if self.only is not None and name not in self.only:
                continue
            for block in intent.data:
                for sentence in block.sentences:
                    yield name, block, sentence

    def draw(self, block: IntentData, sentence: Sentence, choose: random.Random) -> tuple[str, dict[str, Any]]:
        """Return the text and the slots of one command of a template."""
        slots = dict(block.slots)
        text = self._walk(sentence.expression, block, slots, choose)
        return " ".join(text.split()), slots

    def _walk(self, node: Expression, block: IntentData, slots: dict[str, Any], choose: random.Random) -> str:
        """Return the text of one random path through a template; the slots on the path are added to `slots`."""
        match node:
            case TextChunk():
                return node.original_text
            case Alternative():
                return self._walk(choose.choice(node.items), block, slots, choose)
            case Permutation():
                order = choose.sample(node.items, len(node.items))
                return " ".join(self._walk(item, block, slots, choose) for item in order)
            case Group():
                return "".join(self._walk(item, block, slots, choose) for item in node.items)
            case RuleReference():
                rules = self.intents.expansion_rules | block.expansion_rules
                return self._walk(rules[node.rule_name].expression, block, slots, choose)
            case ListReference():
                text, slots[node.slot_name] = self._fill(node, block, choose)
                return text
        raise InputError(
            f"hassil returned a {type(node).__name__}, which is not supported; install the pinned version of hassil"
        )

    def _fill(self, reference: ListReference, block: IntentData, choose: random.Random) -> tuple[str, Any]:
        """Return the words for a slot, and the value that they mean."""
        listed: SlotList | None = {**self.intents.slot_lists, **block.slot_lists}.get(reference.list_name)
        if isinstance(listed, TextSlotList):
            value = choose.choice(listed.values)
            return self._walk(value.text_in, block, {}, choose), value.value_out
        if isinstance(listed, RangeSlotList):
            number = choose.randrange(listed.start, listed.stop + 1, listed.step)
            return str(number), int(number * (listed.multiplier or 1))
        word = choose.choice(self._household_values(reference.list_name, block))
        return word, word

    def _household_values(self, list_name: str, block: IntentData) -> list[str]:
        """Return the values of the household for a list; names are limited to the domains that the block requires."""
        if list_name not in self.household:
            raise InputError(
                f"the household has no values for the template list {{{list_name}}}; add them in a `household:` file"
            )
        if list_name != "name":
            return self.household[list_name]
        by_domain: dict[str, list[str]] = self.household["name"]
        wanted = block.requires_context.get("domain", list(by_domain))
        return [name for domain in wanted if domain in by_domain for name in by_domain[domain]]


def load_household(language: str, own: str | None, root: Path) -> dict[str, Any]:
    """Return list name -> values, and `name` -> domain -> values.

    Args:
        own: A YAML file below `root` (`source.path`), whose lists replace the shipped ones.

    Raises:
        InputError: The file is missing, outside `root`, or not a valid household.
    """
    household: dict[str, Any] = {"name": {}}
    shipped = [SHIPPED / f"{code}.yaml" for code in ("en", language)]
    files = [*(file for file in shipped if file.is_file()), *([listing.below(own, root)] if own else [])]
    for file in files:
        content = _checked_household(file)
        names = household["name"] | content.get("name", {})
        household = household | content | {"name": names}
    return household


def _checked_household(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file.name}: not YAML in UTF-8; see `household` in `fineline docs sources`") from error
    if not isinstance(content, dict):
        raise InputError(f"{file.name}: list names with their values are needed; see `household` in `fineline docs sources`")
    names = content.get("name", {})
    if not isinstance(names, dict):
        raise InputError(f"{file.name}: `name` needs lists by domain, such as `light: [desk lamp]`")
    lists = {key: values for key, values in content.items() if key != "name"} | {f"name.{key}": names[key] for key in names}
    for key, values in lists.items():
        if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
            raise InputError(f"{file.name}: {key} must be a list of words; quote words that YAML reads as another type")
    return content
