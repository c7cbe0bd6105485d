"""The bill of materials: valid CycloneDX 1.6, whole, the same for equal records."""

import copy
import json
from typing import Any

import pytest

from fineline.documents.bom import bill
from fineline.documents.gathering import gather
from fineline.project import layout
from tests.documents.conftest import NAME, TICKETS, Make


def _components(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them, nested ones too."""
    found: list[dict[str, Any]] = []
    waiting = [document["metadata"]["component"], *document["components"]]
    while waiting:
        component = waiting.pop()
        found.append(component)
        waiting += component.get("components", [])
    return found


def _roles(document: dict[str, Any], role: str) -> list[dict[str, Any]]:
    wanted = {"name": "fineline:role", "value": role}
    return [component for component in _components(document) if wanted in component.get("properties", [])]


@pytest.mark.parametrize(
    "differences",
    [
        {},
        {"license": "cc-by-nc-4.0 AND mit", "base_license": "llama3.1"},
        {"license": "Nobody's \n license | <b>", "system": None, "owner": "a\nb"},
        {"parts": {"tickets": TICKETS, "forum": TICKETS | {"license": "odbl"}}},
    ],
)
def test_the_schema_holds(make: Make, differences: dict[str, Any]) -> None:
    schema = pytest.importorskip("cyclonedx.schema", reason="cyclonedx-python-lib[json-validation] is not installed")
    validation = pytest.importorskip("cyclonedx.validation.json")
    make(**differences)
    document = bill(gather(NAME))
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    wrong = copy.deepcopy(document)
    wrong["components"][0]["type"] = "no such type"
    assert validator.validate_str(json.dumps(wrong)) is not None


def test_every_artifact_is_a_component_with_the_hashes_of_its_files(make: Make) -> None:
    make()
    document = bill(gather(NAME))
    assert document["metadata"]["component"]["name"] == f"{NAME}/quantized"
    for role, directory in {"base": layout.base("tiny"), "merged": layout.merged(NAME), "data": layout.curated(NAME)}.items():
        (component,) = _roles(document, role)
        record = json.loads((directory / "artifact.json").read_text(encoding="utf-8"))
        assert {"name": "fineline:digest", "value": record["digest"]} in component["properties"]
        listed = {file["name"]: file["hashes"] for file in component["components"]}
        assert listed == {entry["path"]: [{"alg": "SHA-256", "content": entry["sha256"]}] for entry in record["files"]}


def test_the_chat_template_that_ships_is_a_file_with_its_role(make: Make) -> None:
    make()
    names = {component["name"] for component in _roles(bill(gather(NAME)), "chat-template")}
    assert names == {"chat_template.jinja"}


def test_licenses_are_spdx_ids_expressions_or_names(make: Make) -> None:
    make(base_license="gemma", license="mit AND Apache-2.0")
    document = bill(gather(NAME))
    assert _roles(document, "base")[0]["licenses"] == [{"license": {"name": "gemma"}}]
    assert document["metadata"]["component"]["licenses"] == [{"expression": "MIT AND Apache-2.0"}]


def test_packages_have_url_and_digests(make: Make) -> None:
    make()
    (alpha,) = [component for component in bill(gather(NAME))["components"] if component["name"] == "alpha"]
    assert alpha["purl"] == "pkg:pypi/alpha@1.2"
    assert [digest["content"] for digest in alpha["externalReferences"][0]["hashes"]] == ["a" * 64, "b" * 64]


def test_dependencies_lead_from_what_ships_to_the_raw_data(make: Make) -> None:
    make()
    document = bill(gather(NAME))
    references = {component["bom-ref"] for component in _components(document)}
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in document["dependencies"]}
    assert len(references) == len(_components(document))
    assert edges.keys() | {ref for needed in edges.values() for ref in needed} <= references
    reached, waiting = set(), [document["metadata"]["component"]["bom-ref"]]
    while waiting:
        ref = waiting.pop()
        reached.add(ref)
        waiting += edges[ref]
    assert {ref.split(":")[0] for ref in reached} == {
        "exported-model", "merged-model", "adapter", "base", "training-data", "raw-data",
    }  # fmt: skip
    assert edges["fineline"] == ["pkg:pypi/alpha@1.2", "pkg:pypi/beta-two@0.3"]
    assert edges["pkg:pypi/beta-two@0.3"] == ["pkg:pypi/alpha@1.2"]


def test_the_model_card_has_every_rule_with_its_bounds(make: Make) -> None:
    project = make()
    metrics = bill(gather(NAME))["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert len(metrics) == len(project.rules)
    first, floor = metrics[0], metrics[1]
    assert first["value"] == str(project.rules[0]["difference"])
    assert first["confidenceInterval"]["lowerBound"] == str(project.rules[0]["lower"])
    assert floor["value"] == "0.8125"
    assert "(score; at least" in floor["type"]


def test_equal_records_give_equal_bytes_and_another_candidate_another_serial_number(make: Make) -> None:
    project = make()
    first = bill(gather(NAME))
    project.write()
    assert json.dumps(bill(gather(NAME))) == json.dumps(first)
    project.template += " "
    project.write()
    assert bill(gather(NAME))["serialNumber"] != first["serialNumber"]


def test_it_contains_no_time_and_no_text_of_a_row(make: Make) -> None:
    make()
    document = bill(gather(NAME))
    assert "timestamp" not in document["metadata"]
    assert "very words" not in json.dumps(document)
