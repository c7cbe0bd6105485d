"""The `source:` blocks in docs/ are accepted."""

import re

import pytest
import yaml

from fineline.project.params.project import Adapter
from fineline.project.params.sources import Source
from fineline.sources import home_assistant
from fineline.sources.formats import READERS
from tests.conftest import ROOT

SOURCES = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
SECOND = (ROOT / "docs" / "second-dataset.md").read_text(encoding="utf-8")


def yaml_blocks(document: str) -> list[dict]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)]


@pytest.mark.parametrize("block", yaml_blocks(SOURCES))
def test_the_blocks_shown_are_accepted(block):
    assert Source(**block["source"]).all_parts()


def test_the_adapter_of_the_second_dataset_is_accepted():
    (block,) = yaml_blocks(SECOND)
    assert {part.files for part in Adapter(**block["building-faq"]).source.parts.values()} == {"faq-en.json", "faq.csv"}


def test_every_format_and_household_is_documented():
    assert all(f"`{ending}`" in SOURCES for ending in READERS)
    assert all(f"`{file.stem}`" in SOURCES for file in home_assistant.SHIPPED.glob("*.yaml"))
