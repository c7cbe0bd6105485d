"""Items of suites as text."""

import pytest

from fineline.errors import InputError
from fineline.suites.items import SuiteItem, items_of


def test_items_are_read_as_the_model_is_asked(project):
    items = items_of(["greetings"])
    assert items[0] == SuiteItem("greetings", 0, "Say hello.", "hello")
    assert items[0].name == "greetings#0"


def test_a_suite_that_is_missing_is_an_input_error(project):
    with pytest.raises(InputError, match="available suites: greetings"):
        items_of(["greeting"])
