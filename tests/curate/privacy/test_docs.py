"""docs/privacy.md agrees with the code."""

import ast
import re

import pytest

from fineline.curate.privacy import KINDS, Cleaner, accounts
from fineline.project.params.curation import Privacy
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")


def test_the_table_lists_every_kind():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(KINDS)
    assert f"{len(accounts.STRUCTURES)} countries" in PAGE


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_define_a_recognizer(block):
    names = [node.name for node in ast.parse(block).body if isinstance(node, ast.FunctionDef)]
    assert names == ["recognize"]


@pytest.mark.parametrize("example", ["root@localhost", "git@github.com:a/b", "v1.2.3.4", "bob at example dot com"])
def test_values_documented_as_not_found_are_not_found(example):
    assert not Cleaner(Privacy()).find(example)
