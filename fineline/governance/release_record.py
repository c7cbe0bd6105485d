"""release.json: what a release consists of, and whether every byte and every record in it is consistent."""

import hashlib
import os
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, canonical, reports
from fineline.errors import InputError, Refused
from fineline.governance import files, forms, model_signature
from fineline.governance.evidence_bundle import SHIPPED, EvidenceBundle

RECORD = "release.json"
SCHEMA = "fineline/release/v1"
_ABOUT_ALL = (RECORD, model_signature.FILE)
"""Files that are about all others. The signature is checked by itself: it also covers the record."""


def described(bundle: EvidenceBundle, directory: Path) -> dict[str, Any]:
    """Return the content of release.json for a release that was built in `directory`."""
    described = {}
    for role, (_, artifact) in bundle.artifacts.items():
        content = artifact.as_json()
        del content["files"]
        described[role] = content | {"owner": bundle.ownership[role].owner, "license": bundle.ownership[role].license}
    return {
        "schema": SCHEMA,
        "adapter": bundle.adapter,
        "artifacts": described,
        "evidence": bundle.evidence,
        "files": artifacts.manifest(directory),
    } | ({"forms": forms.described(bundle.forms, bundle.reports["candidate"])} if bundle.forms else {})


def verified(release: Path) -> dict[str, Any]:
    """Return the content of release.json, with its own `digest`, after checking every byte of the release against it.

    Raises:
        InputError: There is no release.
        Refused: A file is missing, changed, unknown or a link, or the records do not belong together.
    """
    file = release / RECORD
    if not os.path.lexists(file):
        raise InputError(f"{file}: missing; a release is a directory below releases/<adapter>/")
    files.refuse_links_in(release.resolve())  # the release itself may be reached by the link of a channel
    raw = file.read_bytes()
    try:
        record = canonical.parse(raw)
        recorded = {entry["path"]: entry for entry in record["files"]}
        record["artifacts"][SHIPPED]["digest"], record["evidence"]["artifacts"], record["evidence"]["reports"]
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"{file}: not the record of a release: {error}") from error
    try:
        found = {entry["path"]: entry for entry in artifacts.manifest(release) if entry["path"] not in _ABOUT_ALL}
    except InputError as error:
        raise Refused(str(error)) from error
    _check_files(release, recorded, found)
    inside = [{**entry, "path": path.removeprefix("model/")} for path, entry in found.items() if path.startswith("model/")]
    chain = _check_artifacts(release, record, inside)
    _check_evidence(release, record, found)
    candidate = reports.read(release / "records" / "reports" / "candidate.json")
    forms.check_placed(release, record, candidate, chain, found)
    return {**record, "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}"}


def _check_files(release: Path, recorded: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise `Refused` unless the files are those of the record."""
    for path in sorted(recorded.keys() | found.keys()):
        if path not in found:
            raise Refused(f"{release}/{path}: missing")
        if path not in recorded:
            raise Refused(f"{release}/{path}: not recorded")
        if found[path] != recorded[path]:
            raise Refused(f"{release}/{path}: changed")
    needed = {parent for path in recorded for parent in (release / path).parents}
    for directory in release.rglob("*"):
        if directory.is_dir() and directory not in needed:
            raise Refused(f"{directory}: not recorded")


def _check_artifacts(release: Path, record: dict[str, Any], model: list[dict[str, Any]]) -> dict[str, Artifact]:
    """Return the records of the artifacts. Raise `Refused` unless they form a chain that ends in the model."""
    chain = {}
    for role, known in record["artifacts"].items():
        artifact = artifacts.read(release / "records" / "artifacts" / role)
        if artifacts.digest(artifact.files) != artifact.digest or artifact.digest != known["digest"]:
            raise Refused(f"{release}/records/artifacts/{role}: its digest does not belong to its list of files")
        chain[role] = artifact
    for role, artifact in chain.items():
        for name, source in artifact.inputs.items():
            if name not in chain or not source.is_from(chain[name]):
                raise Refused(f"{release}: {role} was made from {name} {source.digest}, of which there is no record")
    recorded = {entry["path"]: entry for entry in chain[SHIPPED].files}
    if {entry["path"]: entry for entry in model if entry["path"] != artifacts.RECORD} != recorded:
        raise Refused(f"{release}/model: not the files of {chain[SHIPPED].digest}")
    return chain


def _check_evidence(release: Path, record: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    """Raise `Refused` unless the evidence is about these artifacts and reports, and the release is named after it."""
    evidence, known = record["evidence"], record["artifacts"]
    if evidence["artifacts"] != {role: artifact["digest"] for role, artifact in known.items()}:
        raise Refused(f"{release}/{RECORD}: its evidence is about other artifacts")
    recorded = {role: {key: artifact.get(key) for key in ("owner", "license")} for role, artifact in known.items()}
    if evidence.get("ownership", recorded) != recorded:  # releases made before have none
        raise Refused(f"{release}/{RECORD}: owners and licenses are not those of its evidence")
    for name, digest in evidence["reports"].items():
        sha256 = found.get(f"records/reports/{name}.json", {}).get("sha256")
        if digest != f"sha256:{sha256}":
            raise Refused(f"{release}/records/reports/{name}.json: not the report in the evidence")
    if release.resolve().name != forms.name(evidence, forms.digests(record)).removeprefix("sha256:"):
        raise Refused(f"{release}: its evidence has another digest, so its name is wrong")
