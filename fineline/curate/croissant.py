"""Curated rows described for machines: Croissant 1.1 with the vocabulary for responsible AI.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, .../croissant-rai-spec.html. The description is part of the
artifact: it tells no date and no version, because equal rows must be described equally, and the digests tell versions apart.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from fineline.curate import card
from fineline.project.params import Adapter

VERSIONS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
TERMS = """
arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format includes isArray
isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source
subField transform
"""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in TERMS.split()},
}
ENCODINGS = {".jsonl": "application/jsonlines", ".json": "application/json", ".md": "text/markdown"}
KINDS = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}


def describe(
    name: str, adapter: Adapter, report: dict[str, Any], parts: Mapping[str, Any], files: list[dict[str, Any]]
) -> dict[str, Any]:
    """The description as JSON-LD.

    Args:
        report: What curation counted, without the digest of the result and without the comparison to earlier ones.
        parts: Part -> where its raw rows came from, as `ingest` recorded it.
        files: `{path, size, sha256}` of what lies beside the description, the splits among it.
    """
    splits = [split for split, counts in report["splits"].items() if counts["rows"]]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSIONS,
        "name": name,
        "description": f"Conversations that the adapter {name} of the base model {adapter.base} is trained and tested on.",
        "license": {"@type": "sc:CreativeWork", "name": adapter.license},
        "creator": {"@type": "sc:Organization", "name": adapter.owner},
        "url": "README.md",
        "keywords": ["fineline", "supervised fine-tuning"],
        "inLanguage": card.languages(report),
        "isLiveDataset": False,
        **_responsible(adapter, report, parts),
        "distribution": [*map(_file, files), _split_files(splits)],
        "recordSet": [_splits(splits), _rows()],
    }


def _responsible(adapter: Adapter, report: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of the vocabulary for responsible AI, as far as curation knows them."""
    brought = [f"{part} ({facts['origin']}) {facts['rows']}" for part, facts in parts.items()]
    privacy = adapter.curate.privacy
    changed, reported = report["changed"], report["reported"]
    kinds = [
        f"{kind}: {card.ACTIONS[privacy.action(kind)]}; {changed.get(kind, 0)} rows changed,"
        f" {reported.get(kind, 0)} only counted."
        for kind in card.private_kinds(adapter, report)
    ]
    return {
        "rai:dataCollection": f"{report['rows_in']} raw rows: {', '.join(brought)}.",
        "rai:dataCollectionMissingData": f"{sum(facts['unreadable'] for facts in parts.values())} raw rows could not be read.",
        "rai:dataPreprocessingProtocol": [
            f"{step}: {report['removed'][step]} rows left out, {meaning}."
            for step, meaning in card.steps(adapter, report).items()
        ],
        "rai:personalSensitiveInformation": [f"By default, what is found is {card.ACTIONS[privacy.default]}.", *kinds],
        "rai:dataLimitations": card.limits(adapter, report),
        "rai:dataUseCases": f"Fine-tuning {adapter.base}, and testing the adapter that comes out.",
    }


def _file(file: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file["path"],
        "name": file["path"],
        "contentUrl": file["path"],
        "contentSize": f"{file['size']} B",
        "encodingFormat": ENCODINGS.get(PurePosixPath(file["path"]).suffix, "application/octet-stream"),
        "sha256": file["sha256"],
    }


def _split_files(splits: list[str]) -> dict[str, Any]:
    """The files of the splits as one set; a split without a row has nothing to read."""
    return {
        "@type": "cr:FileSet",
        "@id": "split-files",
        "name": "split-files",
        "encodingFormat": ENCODINGS[".jsonl"],
        "includes": [f"{split}.jsonl" for split in splits],
    }


def _splits(splits: list[str]) -> dict[str, Any]:
    """Which splits there are, and what each is for."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": split, "splits/url": KINDS[split]} for split in splits],
    }


def _rows() -> dict[str, Any]:
    split = _field("split", "The split that the row is in.", {"fileProperty": "filename"}, {"regex": "^([a-z]+)"})
    turns = {
        "@type": "cr:Field",
        "@id": "rows/messages",
        "name": "messages",
        "description": "The turns; the last one is the completion to learn.",
        "isArray": True,
        "arrayShape": "-1",
        "subField": [
            _field("messages/role", "system, user or assistant.", {"column": "messages"}, {"jsonPath": "role"}),
            _field("messages/content", "What is said.", {"column": "messages"}, {"jsonPath": "content"}),
        ],
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": "One conversation per row.",
        "field": [
            split | {"references": {"field": {"@id": "splits/name"}}},
            _field("id", "A digest of what the raw row is known by; a row that is weighted up repeats it.", {"column": "id"}),
            _field("source", "The source that the row came from.", {"column": "source"}),
            _field("group", "What must not be divided between splits.", {"column": "group"}),
            turns,
        ],
    }


def _field(name: str, description: str, extract: dict[str, str], transform: dict[str, str] | None = None) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "split-files"}, "extract": extract}
    return {
        "@type": "cr:Field",
        "@id": f"rows/{name}",
        "name": name.rpartition("/")[2],
        "description": description,
        "dataType": "sc:Text",
        "source": source | ({"transform": transform} if transform else {}),
    }
