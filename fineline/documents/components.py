"""The components of the bill of materials: artifacts with their files, the data, and the packages.

CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/. A component's `hashes` are those of one file. An artifact is a directory
and has none: its files are nested in it with their hashes, and its digest is the property `fineline:digest`.
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


def model(records: Records, name: str, role: str, description: str) -> Component:
    """Return a model, adapter or export as a component without its model card.

    Args:
        name: Of the artifact in the records: base, adapter, merged, or a form.
        role: Of the component.
    """
    return _artifact(records, name, "machine-learning-model", role, description)


def _artifact(records: Records, name: str, kind: str, role: str, description: str) -> Component:
    artifact = records.artifact(name)
    return {
        "type": kind,
        "bom-ref": reference(artifact),
        "supplier": {"name": records.ownership[name].owner},
        "name": artifact.name,
        "version": version(artifact),
        "description": description,
        "licenses": license_choice(records.license(name)),
        "components": files(artifact),
        "properties": properties({"role": role, "kind": artifact.kind, "digest": artifact.digest, "code": records.code(name)}),
    }


def dataset(records: Records) -> Component:
    """Return the curated data as a component, with counts of its rows."""
    artifact, curation = records.curated, records.reports["curation"]
    counts = {f"rows.{split}": facts["rows"] for split, facts in curation["splits"].items()}
    private = records.croissant.get("rai:personalSensitiveInformation")
    return {
        **_artifact(records, "curated", "data", "data", "Curated conversations in three splits."),
        "data": [
            {
                "type": "dataset",
                "name": artifact.name,
                "contents": {"properties": properties({"rows": curation["kept"], **counts})},
                "sensitiveData": [str(line) for line in private] if isinstance(private, list) else [],
                "description": str(records.croissant.get("description", "")),
                "governance": {"owners": [{"organization": {"name": records.ownership["curated"].owner}}]},
            }
        ],
    }


def raw(records: Records) -> list[Component]:
    """Return each part of the raw rows as a component, with the files that it came from."""
    return [
        {
            "type": "data",
            "bom-ref": f"{reference(records.raw)}#{part}",
            "supplier": {"name": records.ownership["raw"].owner},
            "name": part,
            "version": version(records.raw),
            "description": f"Raw rows from {facts['origin']}.",
            "licenses": license_choice(str(facts.get("license") or records.license("raw"))),
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
    """Return the files of an artifact, each with its hash and its purpose."""
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
    """Return a Python package. The distribution that is installed depends on the machine, so all digests are listed."""
    made: Component = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    hashes = [{"alg": "SHA-256", "content": digest} for digest in package.hashes]
    if hashes:
        made["externalReferences"] = [{"type": "distribution", "url": package.purl, "hashes": hashes}]
    if package.marker:
        made["properties"] = properties({"marker": package.marker})
    return made


def license_choice(text: str) -> list[dict[str, Any]]:
    """Return the SPDX id or expression of a license if there is one, else its name as recorded."""
    identifier = licenses.spdx(text)
    if identifier is None:
        return [{"license": {"name": text}}]
    return [{"expression": identifier}] if " AND " in identifier else [{"license": {"id": identifier}}]


def properties(values: dict[str, Any]) -> list[dict[str, str]]:
    """Return properties in fineline's namespace, with their values as text."""
    return [{"name": f"fineline:{name}", "value": str(value)} for name, value in values.items()]


def reference(artifact: Artifact) -> str:
    """Return the reference of an artifact within the bill."""
    return f"{artifact.kind}:{artifact.name}@{artifact.digest}"


def version(artifact: Artifact) -> str:
    """Return the version of an artifact: the first 12 characters of its digest."""
    return artifact.digest.removeprefix("sha256:")[:12]


def dependencies(edges: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """Return the dependencies, each reference once."""
    return [{"ref": ref, **({"dependsOn": on} if (on := sorted(set(needed))) else {})} for ref, needed in sorted(edges.items())]


def _role(path: str) -> str:
    name = PurePosixPath(path).name
    return _ROLES.get(name, "weights" if name.endswith(_WEIGHTS) else "content")
