"""The tasks that an adapter is judged by: sealed rows, unique names, limits that can be missed."""

import pytest

from fineline.errors import InputError
from fineline.evaluate.tasks import check, divide
from fineline.project.params.evaluation import Evaluate
from fineline.suites.task import Measure, Task


def task(name, items=40):
    return Task(name, (Measure(name, "acc", "share"),), ["c"] * items, [{"n": n} for n in range(items)], {"task": name})


A, B = task("a"), task("b")


def rows(count):
    return [{"group": f"group {number // 3}", "number": number} for number in range(count)]


def test_every_row_is_on_one_side_and_groups_stay_whole():
    opened, sealed = divide(rows(3000), 0.2)
    assert sorted(row["number"] for row in opened + sealed) == list(range(3000))
    assert not {row["group"] for row in opened} & {row["group"] for row in sealed}
    assert 0.16 < len(sealed) / 3000 < 0.24


def test_no_row_changes_sides_when_the_data_grow():
    _, before = divide(rows(300), 0.2)
    _, after = divide(rows(3000), 0.2)
    assert [row for row in after if row["number"] < 300] == before


def test_a_share_of_zero_seals_nothing_and_of_one_everything():
    assert divide(rows(30), 0)[1] == []
    assert divide(rows(30), 1)[0] == []


def checked(found, **block):
    check(Evaluate.model_validate({"target": {}, "guards": ["a", "b"], **block}), found)


@pytest.mark.parametrize(
    ("gate", "complaint"),
    [
        ({"must_not_regress": {"a": 6}}, r"evaluate.gate.must_not_regress.a: found 6, but a is a share .* six points are 0.06"),
        ({"must_improve": {"a": 1}}, "gate.must_improve.a: found 1, but a is a share"),
        ({"floor": {"a": 0}}, "gate.floor.a: found 0, but a is a share"),
        ({"floor": {"a": 70}}, "gate.floor.a: found 70, but a is a share"),
        ({"must_not_regress": {"both": 2}}, "gate.must_not_regress.both: found 2, but both is a share"),
    ],
)
def test_a_limit_that_could_never_be_missed_is_refused(gate, complaint):
    with pytest.raises(InputError, match=complaint):
        checked([A, B], gate=gate, pools={"both": ["a", "b"]})


def test_a_limit_in_bits_may_be_larger_than_one():
    bits = Task("a", (Measure("a", "gold", "bits"),), ["c"], [{}], {"task": "a"})
    checked([bits, B], gate={"must_not_regress": {"a": 2.5}, "floor": {"a": -3.0}})


def test_two_tasks_or_measures_of_one_name_are_refused():
    with pytest.raises(InputError, match="two tasks have the name 'a'"):
        checked([A, A])
    shadow = Task("b", (Measure("a", "acc", "share"),), ["c"], [{}], {"task": "b"})
    with pytest.raises(InputError, match="two measures have the name 'a'"):
        checked([A, shadow])
    inner = Task("a", (Measure("a_x", "acc", "share"),), ["c"], [{}], {"task": "a"})
    with pytest.raises(InputError, match="two measures have the name 'a_x'"):
        checked([inner, B], pools={"a_x": ["a_x", "b"]})
