"""`fineline pack`: a verified release as an OCI image layout, with what was signed about it as referrers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts.files import directory_at
from fineline.documents import licenses
from fineline.errors import InputError, Refused
from fineline.governance import files, forms, ledger, ledger_files, model_signature, statements, store, verification
from fineline.governance.evidence_bundle import SHIPPED
from fineline.governance.ledger import Entry
from fineline.governance.oci import Layout

TYPE = "application/vnd.fineline.release.v1"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
PREFIX = "vnd.fineline"
_LARGE = 2**24
"""Bytes from which a file is a separate layer: weights that two releases share are stored and copied once."""
_OWN = ("base", "adapter", SHIPPED)
"""Roles whose license decides whether the files may be passed on."""


@dataclass(frozen=True)
class Packed:
    """The result of packing."""

    digest: str
    """Of the manifest: the digest by which a registry knows the release."""
    reference: str
    """Name of the release in the layout."""
    statements: int
    """Number of referrers."""
    unclear: list[str]
    """A sentence for each license that was accepted although it forbids redistribution or does not state it."""


def pack(release: Path, into: Path, *, accept_license: bool = False, now: str | None = None) -> Packed:
    """Verify a release, and write it into a new directory.

    Args:
        accept_license: Pack although a license forbids redistribution or is not known to allow it.

    Raises:
        InputError: The directory exists, or there is no release.
        Refused: The release does not verify, or a license is in the way.
    """
    if into.exists():
        raise InputError(f"{into}: exists; a layout is written into a new directory: choose another, or remove it")
    checked = verification.verify(release, now)
    record = store.verified(release)
    unclear = redistribution(record)
    if unclear and not accept_license:
        raise Refused(
            "\n".join(unclear) + "\na packed release is made to be passed on; if you have the right to, pass --accept-license"
        )
    place = release.resolve()
    reference = place.name[:12]
    with directory_at(into) as building:
        layout = Layout(building)
        layers = [layout.layer(place, paths) for paths in _layers(place)]
        first = _promotion(place, record)
        labels = _annotations(record, checked, first, unclear)
        image = layout.image(layers, labels, reference, artifactType=TYPE)
        number = 0
        for number, (kind, content, note) in enumerate(_statements(place, record, first), 1):
            name = f"{reference}.{number}"
            layout.referrer(content, kind, image, name, artifactType=kind, annotations=note)
        layout.finish()
    return Packed(image["digest"], reference, number, unclear)


def redistribution(record: dict[str, Any]) -> list[str]:
    """Return a sentence for each license of a release that forbids redistribution, or is not known to allow it.

    Args:
        record: The content of release.json.
    """
    found = []
    for role in _OWN:
        license = record["artifacts"][role]["license"] or "none"
        known = licenses.licenses_of(license)
        if known is None:
            found.append(f"{role}: nothing is known about redistribution under the license {license!r}")
        elif any("no-derivatives" in one.duties for one in known):
            found.append(f"{role}: the license {license!r} forbids distributing what is made from it")
    return found


def _layers(release: Path) -> Iterator[list[str]]:
    """Yield the paths of each layer: records, the small files of all forms, and each large file."""
    entries = artifacts.manifest(release)
    small = [entry["path"] for entry in entries if entry["size"] < _LARGE]
    of_models = ("model/", f"{forms.DIRECTORY}/")
    yield [path for path in small if not path.startswith(of_models)]
    if model := [path for path in small if path.startswith(of_models)]:
        yield model
    for entry in entries:
        if entry["size"] >= _LARGE:
            yield [entry["path"]]


def _promotion(release: Path, record: dict[str, Any]) -> Entry | None:
    """Return the first promotion of exactly this release in the project's ledger; None outside of a project."""
    root = verification.project_of(release)
    if root is None:
        return None
    name = f"sha256:{release.name}"
    wanted = {"name": name, "candidate": record["artifacts"][SHIPPED]["digest"], "record": record["digest"]}
    for entry in ledger_files.read(root / ledger.ROOT).entries:
        if entry.kind == statements.PROMOTE and entry.predicate["release"] == wanted:
            return entry
    return None


def _annotations(
    record: dict[str, Any], checked: verification.Verified, first: Entry | None, unclear: list[str]
) -> dict[str, str]:
    base, shipped = (record["artifacts"][role] for role in ("base", SHIPPED))
    found = {
        "org.opencontainers.image.title": record["adapter"],
        "org.opencontainers.image.licenses": licenses.spdx(shipped["license"] or "") or shipped["license"] or "NOASSERTION",
        "org.opencontainers.image.vendor": shipped["owner"] or "",
        f"{PREFIX}.candidate": shipped["digest"],
        f"{PREFIX}.verdict": checked.verdict,
        f"{PREFIX}.base.name": base["name"],
        f"{PREFIX}.base.digest": base["digest"],
        f"{PREFIX}.base.license": base["license"] or "",
    }
    if first is not None:
        found[f"{PREFIX}.ledger.entry"] = first.id
    if unclear:
        found[f"{PREFIX}.license.accepted"] = "; ".join(unclear)
    return {key: value for key, value in found.items() if value}


def _statements(release: Path, record: dict[str, Any], first: Entry | None) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yield media type, content and annotations of each statement about the release, and of its signature.

    These are the attestations and approvals in the ledger of its day, and its first promotion: they do not change later.
    """
    digests = {artifact["digest"] for artifact in record["artifacts"].values()}
    known = ledger_files.read(release / "records" / "governance" / files.LEDGER).entries
    about = [one for one in known if digests & set(one.subjects.values()) and one.kind in _KINDS]
    for entry in [*about, *([first] if first is not None else [])]:
        note = {"in-toto.io/predicate-type": entry.kind, f"{PREFIX}.person": entry.person, f"{PREFIX}.ledger.entry": entry.id}
        yield ENVELOPE, entry.envelope.text().encode(), note
    signature = release / model_signature.FILE
    if signature.is_file():
        note = {"in-toto.io/predicate-type": model_signature.PREDICATE}
        yield model_signature.BUNDLE, signature.read_bytes(), note


_KINDS = (statements.PROVENANCE, statements.TEST_RESULT, statements.APPROVE)
