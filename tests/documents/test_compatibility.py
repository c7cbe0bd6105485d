"""Every rule of license conflicts, on chains of two or three links, and what a policy refuses."""

import pytest

from fineline.documents.chain import Link, conflicts, refusals, require
from fineline.errors import Refused

FROM = {"adapter": ("base", "data"), "merged": ("base", "data", "adapter"), "curated": ("data",)}


def _chain(**licenses: str) -> list[Link]:
    return [Link(role, f"{role}-name", license, made_from=FROM.get(role, ())) for role, license in licenses.items()]


@pytest.mark.parametrize(
    ("base", "data", "adapter"),
    [
        ("apache-2.0", "cc-by-4.0", "cc-by-4.0"),
        ("apache-2.0", "cc0-1.0", "mit"),
        ("mit", "cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("mit", "cc-by-nc-4.0", "CC-BY-NC-SA-4.0"),
        ("mit", "cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("mit", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        ("mit", "cc-by-sa-4.0", "gpl-3.0"),
        ("llama3.1", "cc-by-4.0", "llama3.1"),
        ("llama3.1", "cc-by-nc-4.0", "llama3.1 AND cc-by-nc-4.0"),
        ("gemma", "apache-2.0", "Gemma"),
        ("mit", "c-uda", "mit"),
    ],
)
def test_compatible_licenses(base: str, data: str, adapter: str) -> None:
    assert conflicts(_chain(base=base, data=data, adapter=adapter)) == []


@pytest.mark.parametrize(
    ("base", "data", "adapter", "conflict"),
    [
        ("apache-2.0", "cc-by-nc-4.0", "apache-2.0", "allows commercial use, but data 'data-name' (cc-by-nc-4.0) does not"),
        ("cc-by-nc-4.0", "mit", "mit", "allows commercial use, but base"),
        ("apache-2.0", "cc-by-sa-4.0", "cc-by-4.0", "requires share-alike, so cc-by-sa-4.0 or gpl-3.0"),
        ("apache-2.0", "odbl", "cc-by-sa-4.0", "requires share-alike, so odbl"),
        ("apache-2.0", "cc-by-sa-4.0", "cc-by-sa-4.0 AND cc-by-nc-4.0", "requires share-alike"),
        ("apache-2.0", "cc-by-nd-4.0", "cc-by-nd-4.0", "data 'data-name' (cc-by-nd-4.0): nothing made from it"),
        ("llama3.1", "mit", "apache-2.0", "requires passing on its use restrictions, so llama3.1"),
        ("gemma", "mit", "llama3.1", "so gemma"),
        ("bigscience-openrail-m", "mit", "mit", "so bigscience-openrail-m"),
        ("apache-2.0", "cc-by-4.0", "cc0-1.0", "requires no attribution, but base"),
        ("cc0-1.0", "cc-by-4.0", "unlicense", "requires no attribution, but data"),
        ("llama3.1", "cc-by-sa-4.0", "llama3.1", "no license satisfies both"),
        ("mit", "unheard-of-1.0", "mit", "data 'data-name' (unheard-of-1.0): the license is unknown"),
        ("other", "mit", "mit", "base 'base-name' (other): the license is unknown"),
        ("mit", "mit", "", "adapter 'adapter-name' (): the license is unknown"),
    ],
)
def test_incompatible_licenses(base: str, data: str, adapter: str, conflict: str) -> None:
    found = conflicts(_chain(base=base, data=data, adapter=adapter))
    assert any(conflict in sentence for sentence in found), found


def test_a_later_link_may_not_allow_more_than_an_earlier_one() -> None:
    found = conflicts(_chain(base="mit", data="mit", adapter="cc-by-nc-4.0", merged="mit"))
    assert found == [
        "merged 'merged-name' (mit): allows commercial use, but adapter 'adapter-name' (cc-by-nc-4.0) does not",
    ]


def test_share_alike_of_data_alone_binds_the_data_and_not_the_model() -> None:
    found = conflicts(_chain(base="mit", data="cdla-sharing-1.0", curated="mit", adapter="mit"))
    assert [sentence.split(":")[0] for sentence in found] == ["curated 'curated-name' (mit)"]


def test_two_sources_that_exclude_each_other_are_one_conflict_for_each_product() -> None:
    chain = [Link("data", "a", "cc-by-sa-4.0"), Link("data", "b", "odbl"), Link("adapter", "x", "odbl", made_from=("data",))]
    assert sum("no license satisfies both" in sentence for sentence in conflicts(chain)) == 1


def test_a_policy_refuses_licenses_that_are_not_on_its_list() -> None:
    chain = _chain(base="apache-2.0", data="cc-by-4.0", adapter="cc-by-4.0")
    assert refusals(chain) == []
    assert refusals(chain, ["Apache-2.0", "CC-BY-4.0"]) == []
    found = refusals(chain, ["Apache-2.0"])
    assert [sentence.split(":")[0] for sentence in found] == [
        "data 'data-name' (cc-by-4.0)",
        "adapter 'adapter-name' (cc-by-4.0)",
    ]


def test_a_policy_that_allows_an_unknown_license_does_not_make_it_known() -> None:
    assert len(refusals(_chain(base="mystery", data="mit", adapter="mit"), ["mystery", "mit"])) == 2


def test_a_policy_refuses_bases_that_are_not_on_its_list() -> None:
    chain = [Link("base", "tiny", "mit", digest="sha256:1")]
    assert refusals(chain, None, ["tiny"]) == refusals(chain, None, ["sha256:1"]) == []
    assert refusals(chain, None, ["other"]) == ["base 'tiny' (mit): the policy allows the bases other only"]
    assert len(refusals(chain, None, [])) == 1


def test_require_refuses_with_every_reason() -> None:
    require(_chain(base="mit", data="mit", adapter="mit"))
    with pytest.raises(Refused, match=r"(?s)unknown.*no-such") as refused:
        require(_chain(base="x", data="mit", adapter="mit"), ["no-such"])
    assert refused.value.exit_code == 3
