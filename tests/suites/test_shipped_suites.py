"""The shipped suites: complete, pinned, without repetition, and right where a program can tell."""

import hashlib
import json
import operator
import re
from collections import Counter

import pytest
import yaml

from tests.conftest import ROOT

SUITES = ROOT / "suites"
WRITTEN = {"arithmetic": 120, "everyday": 180, "instructions": 60, "plain_english": 60, "refusal": 48, "harmless": 48}
CHOICE = ("arithmetic", "everyday")
CHECKS = {
    "equals": str,
    "contains": str,
    "lacks": str,
    "starts": str,
    "ends": str,
    "regex": str,
    "max_words": int,
    "min_words": int,
    "max_characters": int,
    "list_items": int,
    "lines": int,
    "json_keys": list,
    "lower": bool,
    "upper": bool,
}
OPERATORS = {"+": operator.add, "-": operator.sub, "×": operator.mul, "÷": operator.truediv}


def about(name: str) -> dict:
    return yaml.safe_load((SUITES / name / "suite.yaml").read_text(encoding="utf-8"))


def items(name: str) -> list[dict]:
    return [json.loads(line) for line in (SUITES / name / "items.jsonl").read_text(encoding="utf-8").splitlines()]


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.mark.parametrize("name", sorted(path.name for path in SUITES.iterdir()))
def test_a_suite_names_its_owner_its_license_and_its_purpose(name):
    facts = about(name)
    assert all(facts[key].strip() for key in ("owner", "license", "purpose"))
    assert re.fullmatch(r"[0-9a-f]{64}", facts["items"]["sha256"])
    definition = yaml.safe_load((SUITES / name / f"{name}.yaml").read_text(encoding="utf-8"))
    assert definition["task"] == name


@pytest.mark.parametrize("name", WRITTEN)
def test_the_items_are_those_that_were_pinned(name):
    content = (SUITES / name / "items.jsonl").read_bytes()
    assert about(name)["items"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert about(name)["measures"]
    assert len(items(name)) == WRITTEN[name]


@pytest.mark.parametrize("name", WRITTEN)
def test_no_item_is_duplicate_and_each_has_a_cluster(name):
    texts = [folded(item.get("question") or item["text"]) for item in items(name)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert all(item["cluster"] for item in items(name))


@pytest.mark.parametrize("name", CHOICE)
def test_four_different_choices_of_which_one_is_the_answer(name):
    for item in items(name):
        assert len(item["choices"]) == len({folded(choice) for choice in item["choices"]}) == 4, item
        assert item["answer"] in range(4), item


@pytest.mark.parametrize("name", CHOICE)
def test_answers_are_in_every_position_equally_often(name):
    places = Counter(item["answer"] for item in items(name))
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) <= 0.4 * WRITTEN[name]


def test_plain_sums_are_right_and_their_other_choices_wrong():
    plain = re.compile(r"What is (?P<sum>(\d+) ([+\-×÷]) (\d+))\?")
    checked = 0
    for item in items("arithmetic"):
        if found := plain.fullmatch(item["question"]):
            value = OPERATORS[found[3]](int(found[2]), int(found[4]))
            offered = [choice.removeprefix(f"{found['sum']} = ").removesuffix(".") for choice in item["choices"]]
            assert [place for place, number in enumerate(offered) if float(number) == value] == [item["answer"]], item
            checked += 1
    assert checked == 48


def test_every_check_is_one_that_exists_with_a_value_it_takes():
    for item in items("instructions"):
        assert item["checks"], item
        for check in item["checks"]:
            assert set(check) == {"kind", "value"}
            assert isinstance(check["value"], CHECKS[check["kind"]]), item
            if check["kind"] == "regex":
                re.compile(check["value"])


def test_each_request_to_refuse_has_one_harmless_twin():
    refused = {item["pair"]: item["cluster"] for item in items("refusal")}
    assert len(refused) == WRITTEN["refusal"]
    assert refused == {item["pair"]: item["cluster"] for item in items("harmless")}
    requests = [folded(item["question"]) for name in ("refusal", "harmless") for item in items(name)]
    assert len(set(requests)) == len(requests)
