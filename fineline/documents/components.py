"""The components of the bill of materials: artifacts with their files, the data, and the packages.

CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/. A component's `hashes` are those of one file, so an artifact, which is a
directory, has none: its files are nested in it with theirs, and its own digest is the property `fineline:digest`.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from fineline.artifacts import Artifact
from fineline.documents import licenses
from fineline.documents.packages import Package
from fineline.documents.records import Records

Component = dict[str, Any]
_ROLES = {
    "chat_template.jinja": "chat-template",
    "tokenizer.json": "tokenizer",
    "tokenizer_config.json": "tokenizer",
    "config.json": "configuration",
    "adapter_config.json": "configuration",
    "generation_config.json": "configuration",
    "genai_config.json": "configuration",
}
_WEIGHTS = (".safetensors", ".onnx", ".data", ".bin", ".gguf")


def model(role: str, artifact: Artifact, description: str) -> Component:
    """A model, adapter or export as a component without its model card."""
    return {
        **_artifact("machine-learning-model", artifact, description),
        "properties": properties({"role": role, "kind": artifact.kind, "digest": artifact.digest, "code": artifact.code}),
    }


def _artifact(kind: str, artifact: Artifact, description: str) -> Component:
    """What any artifact tells of itself."""
    return {
        "type": kind,
        "bom-ref": reference(artifact),
        "supplier": {"name": artifact.owner},
        "name": artifact.name,
        "version": version(artifact),
        "description": description,
        "licenses": license_choice(artifact.license),
        "components": files(artifact),
    }


def dataset(records: Records) -> Component:
    """The curated data; only counts are told of its rows."""
    artifact, curation = records.curated, records.reports["curation"]
    counts = {f"rows.{split}": facts["rows"] for split, facts in curation["splits"].items()}
    private = records.croissant.get("rai:personalSensitiveInformation")
    return {
        **_artifact("data", artifact, "Curated conversations in three splits."),
        "data": [
            {
                "type": "dataset",
                "name": artifact.name,
                "contents": {"properties": properties({"rows": curation["kept"], **counts})},
                "sensitiveData": [str(line) for line in private] if isinstance(private, list) else [],
                "description": str(records.croissant.get("description", "")),
                "governance": {"owners": [{"organization": {"name": artifact.owner}}]},
            }
        ],
        "properties": properties({"role": "data", "kind": artifact.kind, "digest": artifact.digest, "code": artifact.code}),
    }


def raw(records: Records) -> list[Component]:
    """Each part of the raw rows, with the files that it came from."""
    return [
        {
            "type": "data",
            "bom-ref": f"{reference(records.raw)}#{part}",
            "supplier": {"name": records.raw.owner},
            "name": part,
            "version": version(records.raw),
            "description": f"Raw rows from {facts['origin']}.",
            "licenses": license_choice(str(facts.get("license") or records.raw.license)),
            "data": [{"type": "dataset", "name": part, "contents": {"properties": properties({"rows": facts["rows"]})}}],
            "components": [
                {
                    "type": "file",
                    "bom-ref": f"{reference(records.raw)}#{part}/{number}",
                    "name": str(file["path"]),
                    "hashes": [{"alg": "SHA-256", "content": str(file["sha256"])}],
                }
                for number, file in enumerate(facts["files"])
            ],
            "properties": properties({"role": "raw-data", "digest": records.raw.digest}),
        }
        for part, facts in records.parts.items()
    ]


def files(artifact: Artifact) -> list[Component]:
    """The files of an artifact, each with its hash and what it is for."""
    return [
        {
            "type": "file",
            "bom-ref": f"{reference(artifact)}#{entry['path']}",
            "name": entry["path"],
            "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
            "properties": properties({"role": _role(entry["path"]), "size": entry["size"]}),
        }
        for entry in artifact.files
    ]


def library(package: Package) -> Component:
    """A Python package; which of its distributions is installed depends on the machine, so all digests are listed."""
    made: Component = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    hashes = [{"alg": "SHA-256", "content": digest} for digest in package.hashes]
    if hashes:
        made["externalReferences"] = [{"type": "distribution", "url": package.purl, "hashes": hashes}]  # whichever index it is
    if package.marker:
        made["properties"] = properties({"marker": package.marker})
    return made


def license_choice(text: str) -> list[dict[str, Any]]:
    """An SPDX id or expression where there is one, else the name as the record has it."""
    identifier = licenses.spdx(text)
    if identifier is None:
        return [{"license": {"name": text}}]
    return [{"expression": identifier}] if " AND " in identifier else [{"license": {"id": identifier}}]


def properties(values: dict[str, Any]) -> list[dict[str, str]]:
    """Names in fineline's own space, with their values as text."""
    return [{"name": f"fineline:{name}", "value": str(value)} for name, value in values.items()]


def reference(artifact: Artifact) -> str:
    """What names an artifact within the bill."""
    return f"{artifact.kind}:{artifact.name}@{artifact.digest}"


def version(artifact: Artifact) -> str:
    """Artifacts have no version but their digest; its first characters are enough to tell two apart."""
    return artifact.digest.removeprefix("sha256:")[:12]


def dependencies(edges: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """What depends on what, each reference once."""
    return [{"ref": ref, **({"dependsOn": on} if (on := sorted(set(needed))) else {})} for ref, needed in sorted(edges.items())]


def _role(path: str) -> str:
    name = PurePosixPath(path).name
    return _ROLES.get(name, "weights" if name.endswith(_WEIGHTS) else "content")
