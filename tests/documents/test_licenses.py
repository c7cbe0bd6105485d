"""The table of licenses: every spelling finds its row, and what is not in it is unknown."""

import pytest

from fineline.documents import licenses


@pytest.mark.parametrize("text", ["CC-BY-4.0", "cc-by-4.0", " Cc-By-4.0 "])
def test_spellings_of_spdx_and_the_hub_are_one(text: str) -> None:
    assert licenses.known(text) == licenses.TABLE["cc-by-4.0"]


@pytest.mark.parametrize(("text", "key"), [("GPL-3.0-only", "gpl-3.0"), ("ODbL-1.0", "odbl"), ("Llama-3.1", "llama3.1")])
def test_other_names_find_their_row(text: str, key: str) -> None:
    assert licenses.known(text) == licenses.TABLE[key]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "other",
        "unknown",
        "cc",
        "gpl",
        "proprietary",
        "MIT OR Apache-2.0",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT AND",
    ],
)
def test_a_license_that_is_not_in_the_table_is_unknown(text: str) -> None:
    assert licenses.licenses_of(text) is None
    assert licenses.spdx(text) is None


def test_all_licenses_of_an_expression_with_and_apply() -> None:
    found = licenses.licenses_of("Apache-2.0 AND cc-by-nc-4.0")
    assert found is not None
    assert [license.key for license in found] == ["apache-2.0", "cc-by-nc-4.0"]
    assert licenses.spdx("apache-2.0 AND mit") == "Apache-2.0 AND MIT"


def test_a_license_without_spdx_id_has_none() -> None:
    assert licenses.known("gemma") is not None
    assert licenses.spdx("gemma") is None


def test_every_row_names_known_licenses_and_duties() -> None:
    for key, row in licenses.TABLE.items():
        assert row.onward <= licenses.TABLE.keys(), key
        assert row.duties <= licenses.MEANINGS.keys(), key
        assert not row.onward or key in row.onward, key
        assert ("share-alike" in row.duties or "use-restrictions" in row.duties) == bool(row.onward), key
