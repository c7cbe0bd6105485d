"""Instructions that a program can check."""

import pytest

from fineline.suites import checks


@pytest.mark.parametrize(
    ("kind", "value", "right", "wrong"),
    [
        ("equals", "Paris", ' "paris." ', "Paris, France"),
        ("contains", "Tea", "a cup of tea", "a cup of coffee"),
        ("lacks", "e", "a dog", "a horse"),
        ("starts", "Yes", "yes, it is", "Oh yes"),
        ("ends", "Done.", "It is done.", "It is done. Bye"),
        ("max_words", 2, "two words", "now three words"),
        ("min_words", 2, "two words", "one"),
        ("max_characters", 3, " abc ", "abcd"),
        ("json_keys", ["a", "b"], '{"b": 1, "a": 2}', '{"a": 2}'),
        ("list_items", 3, "a, b, c", "a, b,"),
        ("lines", 2, "a\n\nb", "a"),
        ("lower", True, "all small.", "Not all"),
        ("upper", True, "LOUD 7", "Loud"),
        ("regex", r"^\d+$", "42", "42 apples"),
    ],
)
def test_every_kind(kind, value, right, wrong):
    assert checks.passed(right, [{"kind": kind, "value": value}])
    assert not checks.passed(wrong, [{"kind": kind, "value": value}])
    assert not checks.problems([{"kind": kind, "value": value}])


def test_every_kind_is_tested_above():
    (mark,) = (mark for mark in test_every_kind.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in mark.args[1]} == set(checks.KINDS)


def test_all_checks_must_pass():
    both = [{"kind": "contains", "value": "tea"}, {"kind": "max_words", "value": 2}]
    assert checks.passed("green tea", both)
    assert not checks.passed("a cup of tea", both)


@pytest.mark.parametrize("odd", [None, [], "equals", [{"kind": "equals"}], [{"kind": "sings", "value": 1}]])
def test_invalid_checks_are_reported(odd):
    assert checks.problems(odd)


@pytest.mark.parametrize(
    ("kind", "value", "needed"),
    [
        ("max_words", "5", "a whole number"),
        ("lines", True, "a whole number"),
        ("equals", 5, "a text"),
        ("lower", "yes", "true or false"),
        ("json_keys", "a", "a list of texts"),
        ("regex", "(", "a regular expression"),
    ],
)
def test_a_value_of_another_type_is_reported_before_anything_runs(kind, value, needed):
    (problem,) = checks.problems([{"kind": kind, "value": value}])
    assert problem == f"the check {kind!r} needs {needed}, found {value!r}"
