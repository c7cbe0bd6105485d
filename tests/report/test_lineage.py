"""The lineage: digests from the reports, else from provenance, and artifacts that were made again."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fineline.artifacts import provenance
from fineline.project import layout
from fineline.report import lineage, reading
from tests.report.conftest import digest, written
from tests.report.document import Document


def ran(stage: str, artifacts: dict[str, str]) -> None:
    found = provenance.of_run(
        stage=stage,
        name="home",
        version=1,
        artifacts=artifacts,
        owner="o",
        license="mit",
        started=provenance.Start("2026-01-01T00:00:00Z", "sha256:0", None, None, {}, "0"),
    )
    provenance.write(layout.provenance(stage, "home"), found)


def digests() -> dict[str, str | None]:
    return {node.role: node.digest for node in lineage.nodes(reading.read("home"))}


def test_digests_are_those_that_were_judged(project):
    expected = {"base": "a", "data": "b", "adapter": "c", "merged": "d", "quantized": "e", "fp32": "f"}
    assert digests() == {role: digest(letter) for role, letter in expected.items()} | {"raw": None}


def test_what_no_report_has_is_read_from_provenance(project):
    ran("ingest", {"data/raw/home": digest("9")})
    Path("reports/home/curation.json").unlink()
    ran("curate", {"data/curated/home": digest("8")})
    assert (digests()["raw"], digests()["data"]) == (digest("9"), digest("8"))


def test_an_artifact_that_was_made_again_is_named(project):
    ran("train", {"models/adapters/home": digest("7")})
    assert [node.role for node in lineage.differing(reading.read("home"))] == ["adapter"]
    assert "models/adapters/home was made again after it was judged" in Document(written()).text


@pytest.mark.parametrize("tall", [False, True])
def test_the_graph_has_every_artifact_and_every_step(project, tall):
    root = ET.fromstring(lineage.draw(lineage.nodes(reading.read("home")), tall=tall))
    texts = [text.text for text in root.iter("text")]
    assert len(list(root.iter("rect"))) == 7
    assert len(list(root.iter("path"))) == len(lineage.EDGES) + 2
    assert {"curate", "train", "merge", "export", "exported, int4", "not recorded", "e" * 12} <= set(texts)
    boxes = [(float(box.attrib["x"]), float(box.attrib["y"])) for box in root.iter("rect")]
    assert len(set(boxes)) == 7
