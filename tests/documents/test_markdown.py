"""Values of records in Markdown: readable, and never markup."""

import pytest

from fineline.documents import markdown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a|b", r"a\|b"),
        ("two\nlines", "two lines"),
        ("`code`", r"\`code\`"),
        ("<img src=x>", r"\<img src=x>"),
        ("![x](y)", r"!\[x\](y)"),
        ("a\\", "a\\\\"),
        ("left\u202eright\x00\u200b", "leftright"),
        (None, "not known"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (2578, "2578"),
        (4.733590165201492e-08, "4.734e-08"),
        (["a", 1], "a, 1"),
        ({"some_key": 1}, "some key 1"),
    ],
)
def test_a_value_is_one_line_without_markup(value: object, shown: str) -> None:
    assert markdown.text(value) == shown


@pytest.mark.parametrize("text", ["# x", "> x", "- x", "+ x", "1. x", "2) x", "---", "==="])
def test_no_block_begins_where_a_line_begins(text: str) -> None:
    assert "\\" in markdown.line(text)[:3]


def test_inline_code_has_more_backticks_than_its_content() -> None:
    assert markdown.code("a``b") == "```a``b```"
    assert markdown.code("`a") == "`` `a ``"


def test_a_fence_is_longer_than_any_in_its_content() -> None:
    assert markdown.block("````\nx") == "`````\n````\nx\n`````"


def test_every_row_of_a_table_has_the_cells_of_its_heading() -> None:
    lines = markdown.table(("a", "b"), [["x|y\n| z |", "`|`"]]).splitlines()
    assert [line.replace(r"\|", "").count("|") for line in lines] == [3, 3, 3]


def test_empty_tables_and_lists_are_none() -> None:
    assert markdown.table(("a",), []) == "None."
    assert markdown.bullets([]) == "None."


def test_mappings_are_tables_and_cells_that_do_not_apply_are_dashes() -> None:
    rows = [{"who": "a", "how_many": 1}, {"who": "b", "how_many": None}]
    assert markdown.value(rows).splitlines()[0] == "| who | how many |"
    assert markdown.value(rows).splitlines()[3] == "| b | \N{EN DASH} |"
    assert markdown.value({"energy_wh": None}).splitlines()[2] == "| energy wh | not known |"
