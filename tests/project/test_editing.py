"""fineline.project.editing: an edit leaves everything else as it was written."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import InputError
from fineline.project import editing
from tests.conftest import ROOT

TEXT = """# bases first
bases:
  tiny: # as it came
    owner: a@example.com

adapters:
  home: # spoken commands
    owner: b@example.com # asks for it
    source:
      parts:
        faq: {hub: {repo: a/b, revision: "0123"}} # pinned
    curate: {}
  # the next one is new

costs:
  currency: EUR
"""


def test_a_scalar_is_replaced_and_nothing_else():
    changed = editing.replace(TEXT, ("adapters", "home", "source", "parts", "faq", "hub", "revision"), "4567")
    assert changed == TEXT.replace('"0123"', "'4567'")
    assert yaml.safe_load(changed)["adapters"]["home"]["source"]["parts"]["faq"]["hub"]["revision"] == "4567"


def test_a_block_is_added_after_the_last_one():
    changed = editing.put(TEXT, ("adapters", "support"), {"owner": "c@example.com", "curate": {}})
    assert changed == TEXT.replace("    curate: {}\n", "    curate: {}\n  support:\n    owner: c@example.com\n    curate: {}\n")


def test_a_block_takes_the_place_of_the_one_with_its_name():
    changed = editing.put(TEXT, ("adapters", "home", "source"), {"path": "rows"})
    assert yaml.safe_load(changed)["adapters"]["home"]["source"] == {"path": "rows"}
    assert "# asks for it" in changed
    assert "# the next one is new" in changed


def test_the_first_block_of_an_empty_mapping():
    text = "adapters: {}\ncosts: {}\n"
    assert editing.put(text, ("adapters", "a"), {"b": 1}) == "adapters:\n  a:\n    b: 1\ncosts: {}\n"


def test_a_block_is_removed_with_its_comments_and_no_others():
    two = editing.put(TEXT, ("adapters", "support"), {"owner": "c@example.com"})
    assert editing.remove(two, ("adapters", "support")) == TEXT
    without = editing.remove(two, ("adapters", "home"))
    assert "# asks for it" not in without
    assert "# as it came" in without
    assert "# the next one is new" in without
    assert list(yaml.safe_load(without)["adapters"]) == ["support"]


def test_the_last_block_leaves_an_empty_mapping():
    without = editing.remove(TEXT, ("adapters", "home"))
    assert yaml.safe_load(without)["adapters"] == {}
    assert yaml.safe_load(editing.put(without, ("adapters", "a"), {"b": 1}))["adapters"] == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda: editing.replace(TEXT, ("adapters", "work", "owner"), "x"), "adapters.work: there is no such key"),
        (lambda: editing.replace(TEXT, ("adapters", "home"), "x"), "a single value is needed"),
        (lambda: editing.remove(TEXT, ("adapters", "work")), "adapters.work: there is no such block"),
        (lambda: editing.put("adapters: {a: {}}", ("adapters", "b"), {}), "write it as a block of indented lines"),
        (lambda: editing.put("", ("adapters", "b"), {}), "there is no such key|is empty"),
    ],
)
def test_an_impossible_edit_is_reported_with_its_place(change, complaint):
    with pytest.raises(InputError, match=complaint):
        change()


def test_the_shipped_file_survives_an_addition_and_its_removal():
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    block = yaml.safe_load(text)["adapters"]["home-en"]
    added = editing.put(text, ("adapters", "support"), block)
    assert yaml.safe_load(added)["adapters"]["support"] == block
    assert editing.remove(added, ("adapters", "support")) == text


WORDS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=20)


@given(st.dictionaries(st.from_regex("[a-z]{1,6}", fullmatch=True), WORDS, min_size=1, max_size=4))
def test_any_text_is_read_back_as_it_was_put(block):
    changed = editing.put(TEXT, ("adapters", "new"), block)
    assert yaml.safe_load(changed)["adapters"]["new"] == block
    name = next(iter(block))
    again = editing.replace(changed, ("adapters", "new", name), "other: # text")
    assert yaml.safe_load(again)["adapters"]["new"] == block | {name: "other: # text"}
