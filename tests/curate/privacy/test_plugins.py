"""Plugged-in recognizers."""

import pytest

from fineline.curate.privacy import Cleaner, PrivacyMatch
from fineline.errors import FinelineError, InputError
from fineline.project.params.curation import Privacy

HERE = "tests.curate.privacy.toy_recognizers"


def with_recognizer(name: str, **policy) -> Cleaner:
    return Cleaner(Privacy(recognizers=[f"{HERE}:{name}"], **policy))


def test_its_kinds_are_found_redacted_and_configured_like_any_other():
    text = "Ada Lovelace wrote to bob@example.com"
    assert with_recognizer("names").find(text) == [PrivacyMatch("person", 0, 12), PrivacyMatch("email", 22, 37)]
    assert with_recognizer("names").clean(text).text == "<PERSON> wrote to <EMAIL>"
    assert with_recognizer("names", kinds={"person": "report"}).clean(text).text == "Ada Lovelace wrote to <EMAIL>"
    assert with_recognizer("names", kinds={"person": "drop"}).clean(text).drop


def test_placeholders_are_not_searched():
    cleaner = with_recognizer("capitals")
    once = cleaner.clean("Write to bob@example.com").text
    assert once == "<CODE_NAME>rite to <EMAIL>"
    assert cleaner.clean(once) == (once, {}, False)
    assert cleaner.scrub(once) == once


@pytest.mark.parametrize("name", ["broken", "beyond", "empty_span", "odd_kind", "odd_type"])
def test_an_error_names_the_recognizer_and_never_the_text(name):
    with pytest.raises(FinelineError, match=f"the recognizer {HERE}:{name} ") as failure:
        with_recognizer(name).clean("secret-canary")
    assert "canary" not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.module:find", r"'no\.such\.module:find' cannot be imported .*install its package"),
        (f"{HERE}:missing", "toy_recognizers has no function 'missing'"),
        (f"{HERE}:NOT_CALLABLE", "toy_recognizers has no function 'NOT_CALLABLE'"),
        (HERE, r"is not an import path; write package\.module:function"),
        (":find", "is not an import path"),
    ],
)
def test_an_unusable_path_is_refused_with_the_remedy(path, message):
    with pytest.raises(InputError, match=message):
        Cleaner(Privacy(recognizers=[path]))
