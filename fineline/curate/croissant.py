"""The machine-readable description of curated rows: Croissant 1.1 with the vocabulary for responsible AI.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, .../croissant-rai-spec.html. The description is part of the
artifact: it has no date and no version, because equal rows must have equal descriptions, and digests identify versions.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from fineline.curate import card
from fineline.project.params.project import Adapter

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
    """Return the description as JSON-LD.

    Args:
        report: Content of curation.json, without the digest of the data set.
        parts: Part -> its entry in parts.json of the raw rows.
        files: `{path, size, sha256}` of the other files of the data set.
    """
    splits = [split for split, counts in report["splits"].items() if counts["rows"]]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSIONS,
        "name": name,
        "description": f"Conversations for training and testing the adapter {name} of the base model {adapter.base}.",
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
    """Return the properties of the vocabulary for responsible AI that curation knows."""
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
        "rai:personalSensitiveInformation": [f"By default, private values are {card.ACTIONS[privacy.default]}.", *kinds],
        "rai:dataLimitations": card.limits(adapter, report),
        "rai:dataUseCases": f"Fine-tuning {adapter.base}, and testing the resulting adapter.",
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
    """Return the files of the splits that have rows as one set."""
    return {
        "@type": "cr:FileSet",
        "@id": "split-files",
        "name": "split-files",
        "encodingFormat": ENCODINGS[".jsonl"],
        "includes": [f"{split}.jsonl" for split in splits],
    }


def _splits(splits: list[str]) -> dict[str, Any]:
    """Return the splits that have rows, each with its purpose."""
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
            _field("messages/content", "The text of the turn.", {"column": "messages"}, {"jsonPath": "content"}),
        ],
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": "One conversation per row.",
        "field": [
            split | {"references": {"field": {"@id": "splits/name"}}},
            _field(
                "id", "A digest of the raw row's own id or content; a row with a weight above 1 repeats it.", {"column": "id"}
            ),
            _field("source", "The source that the row came from.", {"column": "source"}),
            _field("group", "The group that is not divided between splits.", {"column": "group"}),
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
