"""Dealing groups to splits."""

import json
import random

from pipelines.curate.rows import Row
from pipelines.curate.split import deal
from pipelines.params import Split


def rows(groups: int, per_group: int = 3, intents: int = 5) -> list[Row]:
    made = []
    for group in range(groups):
        for place in range(per_group):
            completion = json.dumps({"intent": group % intents})
            messages = ({"role": "user", "content": f"{group} {place}"}, {"role": "assistant", "content": completion})
            made.append(Row(f"{group}-{place}", f"group {group}", messages))
    return made


def test_no_group_is_in_two_splits():
    dealt = deal(rows(200), Split(validation=0.2, test=0.2))
    groups = [{row.group for row in side} for side in dealt.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 200


def test_the_shares_are_about_those_asked_for():
    dealt = deal(rows(2000, per_group=1), Split(validation=0.1, test=0.2))
    assert 0.08 < len(dealt["validation"]) / 2000 < 0.12
    assert 0.17 < len(dealt["test"]) / 2000 < 0.23


def test_a_row_never_changes_sides_when_the_data_grows_or_its_order_changes():
    before = deal(rows(100), Split(test=0.3))
    more = rows(150)
    random.Random(1).shuffle(more)
    after = deal(more, Split(test=0.3))
    for side, kept in before.items():
        assert {row.id for row in kept} <= {row.id for row in after[side]}


def test_another_salt_deals_anew():
    one, two = (deal(rows(100), Split(test=0.3, salt=salt))["test"] for salt in ("a", "b"))
    assert {row.id for row in one} != {row.id for row in two}


def test_stratified_every_value_is_trained_on():
    few = rows(12, intents=6)
    split = Split(validation=0.3, test=0.5, stratify="intent")
    trained = {json.loads(row.completion)["intent"] for row in deal(few, split)["train"]}
    assert trained == set(range(6))
    assert {
        json.loads(row.completion)["intent"] for row in deal(few, split.model_copy(update={"stratify": None}))["train"]
    } != trained
