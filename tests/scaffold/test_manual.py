"""`fineline docs`: the pages, and the messages that point at them."""

import re

import pytest

from fineline.errors import InputError
from fineline.scaffold import manual
from tests.conftest import ROOT


def test_every_page_of_the_documentation_can_be_read():
    assert {"training", "governance", "glossary"} <= set(manual.pages())
    for page in manual.pages():
        assert manual.read(page).startswith("# ")


def test_a_page_can_be_named_as_a_file():
    assert manual.read("docs/training.md") == manual.read("training")


def test_a_wrong_page_is_answered_with_the_one_that_was_meant():
    with pytest.raises(InputError, match=r"no page 'governence'; did you mean `governance`\?; pages: .*training"):
        manual.read("governence")


def test_a_path_is_no_page():
    with pytest.raises(InputError, match="no page"):
        manual.read("../README")


def test_messages_of_the_library_name_pages_that_exist():
    named = {
        page
        for file in (ROOT / "fineline").rglob("*")
        if file.suffix in (".py", ".j2")
        for page in re.findall(r"fineline docs ([a-z-]+)`", file.read_text(encoding="utf-8"))
    }
    assert {"curation", "governance"} <= named <= set(manual.pages())


def test_pictures_are_left_out_in_a_terminal():
    assert manual._PICTURE.sub("", "# A\n![status](pictures/status.svg)\ntext\n") == "# A\ntext\n"
