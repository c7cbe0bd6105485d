"""The Croissant description: the properties that the specification requires, and references that resolve.

It was checked by hand that the reference implementation (mlcroissant 1.1.1) finds no error and reads the rows.
"""

import json

import pytest

from fineline.curate.croissant import describe
from tests.curate.test_card import PARTS, REPORT, adapter

FILES = [
    {"path": "README.md", "size": 5, "sha256": "aa"},
    {"path": "left_out.jsonl", "size": 6, "sha256": "bb"},
    {"path": "test.jsonl", "size": 7, "sha256": "cc"},
    {"path": "train.jsonl", "size": 8, "sha256": "dd"},
    {"path": "validation.jsonl", "size": 0, "sha256": "ee"},
]


@pytest.fixture
def described():
    return describe("support", adapter(), REPORT, PARTS, FILES)


def nodes(value):
    """Yield every object in the description, outside of the context and of data."""
    if isinstance(value, dict):
        yield value
        for key, inner in value.items():
            if key not in ("@context", "data"):
                yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_the_required_properties_of_a_croissant_dataset_are_present(described):
    """All but datePublished: an artifact has no date."""
    assert described["@type"] == "sc:Dataset"
    assert described["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert (described["name"], described["url"], described["isLiveDataset"]) == ("support", "README.md", False)
    assert described["license"] == {"@type": "sc:CreativeWork", "name": "cc-by-4.0"}
    assert described["creator"] == {"@type": "sc:Organization", "name": "support@fineline.example"}
    assert "datePublished" not in described


def test_each_file_is_listed_with_size_digest_and_format(described):
    files = [node for node in described["distribution"] if node["@type"] == "cr:FileObject"]
    assert [(file["contentUrl"], file["contentSize"], file["sha256"]) for file in files] == [
        ("README.md", "5 B", "aa"),
        ("left_out.jsonl", "6 B", "bb"),
        ("test.jsonl", "7 B", "cc"),
        ("train.jsonl", "8 B", "dd"),
        ("validation.jsonl", "0 B", "ee"),
    ]
    assert {file["@id"]: file["encodingFormat"] for file in files}["train.jsonl"] == "application/jsonlines"


def test_rows_are_read_from_the_splits_that_have_rows(described):
    (split_files,) = [node for node in described["distribution"] if node["@type"] == "cr:FileSet"]
    assert split_files["includes"] == ["train.jsonl", "test.jsonl"]
    splits, rows = described["recordSet"]
    assert splits["data"] == [
        {"splits/name": "train", "splits/url": "cr:TrainingSplit"},
        {"splits/name": "test", "splits/url": "cr:TestSplit"},
    ]
    assert [field["name"] for field in rows["field"]] == ["split", "id", "source", "group", "messages"]
    messages = rows["field"][-1]
    assert messages["isArray"]
    assert [field["@id"] for field in messages["subField"]] == ["rows/messages/role", "rows/messages/content"]


def test_ids_are_unique_and_every_reference_resolves(described):
    ids = [node["@id"] for node in nodes(described) if "@id" in node and len(node) > 1]
    references = {node["@id"] for node in nodes(described) if set(node) == {"@id"}}
    assert len(ids) == len(set(ids))
    assert references == {"split-files", "splits/name"}
    assert references <= set(ids)


def test_the_properties_of_responsible_ai_have_the_numbers_of_the_report(described):
    assert described["rai:dataCollection"] == "1000 raw rows: tickets (files) 1000."
    assert described["rai:dataCollectionMissingData"] == "2 raw rows could not be read."
    assert described["rai:dataPreprocessingProtocol"][4] == (
        "exact_duplicates: 80 rows left out, rows with the same prompt and completion as another."
    )
    assert described["rai:personalSensitiveInformation"][1].startswith("email: replaced by a placeholder")
    assert any("more than one answer" in sentence for sentence in described["rai:dataLimitations"])


def test_the_description_is_json_without_text_of_rows(described):
    assert "cf mn" not in json.dumps(described)
