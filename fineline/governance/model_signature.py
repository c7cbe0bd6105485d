"""model.sig: the signature of a release for tools that do not know fineline (OpenSSF Model Signing 1.0).

It proves the bytes and the key, not that the release passed: that is in the ledger. The file is a Sigstore bundle 0.3 with a
DSSE envelope around an in-toto statement, which lists every other file of the directory with its sha256. The key is an ECDSA
P-256 key of the project (`release_keys` of people.yaml), named by the sha256 of its public half in PEM. No log has an entry.
https://github.com/ossf/model-signing-spec
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.artifacts import canonical, manifest
from fineline.artifacts.files import write_text
from fineline.errors import InputError, Refused
from fineline.governance import statements
from fineline.governance.people import ReleaseKey
from fineline.governance.statements import Envelope

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

FILE = "model.sig"
PREDICATE = "https://model_signing/signature/v1.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [FILE]}
_MOST_BYTES = 2**24


def sign(release: Path, name: str, signer: "Signer") -> None:
    """Write the signature of a release into its directory, in one step.

    Args:
        name: Of the signed model.
    """
    envelope = statements.sign(_statement(name, _digests(release)), statements.STATEMENT, signer)
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint(_pem(signer))}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(envelope.payload).decode(),
            "payloadType": envelope.payload_type,
            "signatures": [{"sig": base64.b64encode(bytes.fromhex(envelope.signature)).decode(), "keyid": ""}],
        },
    }
    write_text(release / FILE, canonical.text(bundle) + "\n", durable=True)
    (release / FILE).chmod(0o444)


def verified(release: Path, keys: Sequence[ReleaseKey]) -> ReleaseKey:
    """Return the key that signed a release, after checking the signature and every file that it lists.

    Args:
        keys: The release keys that count.

    Raises:
        Refused: The signature is missing or damaged, is of another key, or is not about these files.
    """
    file = release / FILE
    if not file.is_file() or file.is_symlink():
        raise Refused(f"{file}: missing; place the release again with `fineline promote`")
    named, envelope = _parsed(file)
    key = next((key for key in keys if hint(key.public) == named), None)
    if key is None:
        raise Refused(f"{file}: signed with a key that is not in `release_keys` of people.yaml, or was revoked: {named[:16]}")
    replace(envelope, keyid=key.id).verify(key.verifier, str(file))
    try:
        content = envelope.content
        listed = {entry["name"]: entry["digest"] for entry in content["predicate"]["resources"]}
        expected = _statement(content["subject"][0]["name"], listed)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Refused(f"{file}: not the signature of a model: {error}") from error
    if content != expected:
        raise Refused(f"{file}: not a statement about the files of a directory by sha256, or a digest in it is wrong")
    found = _digests(release)
    for path in sorted(listed.keys() | found.keys()):
        if listed.get(path) != found.get(path):
            reason = "missing" if path not in found else "not signed" if path not in listed else "not the file that was signed"
            raise Refused(f"{release / path}: {reason}, by {FILE}")
    return key


def hint(pem: str) -> str:
    """Return the name of a key in bundles: the sha256 of its public half in PEM."""
    return hashlib.sha256(pem.strip().encode() + b"\n").hexdigest()


def _digests(release: Path) -> dict[str, str]:
    """Return path -> sha256 of every file of a release except the signature."""
    try:
        return {entry["path"]: entry["sha256"] for entry in manifest(release) if entry["path"] != FILE}
    except InputError as error:
        raise Refused(str(error)) from error


def _statement(name: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the in-toto statement. The digest of its subject is that of the files' digests in the order of their names."""
    ordered = sorted(digests.items())
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in ordered)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": _SERIALIZATION,
            "resources": [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in ordered],
        },
    }


def _parsed(file: Path) -> tuple[str, Envelope]:
    """Return the name of the key and the envelope in a bundle."""
    if file.stat().st_size > _MOST_BYTES:
        raise Refused(f"{file}: larger than {_MOST_BYTES:,} bytes")
    try:
        bundle = canonical.parse(file.read_bytes())
        envelope = bundle["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        payload, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"]
        named = bundle["verificationMaterial"]["publicKey"]["hint"]
        found = Envelope(payload, kind, "", base64.b64decode(signature["sig"], validate=True).hex())
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Refused(f"{file}: not a Sigstore bundle with one signature: {error}") from error
    if bundle.get("mediaType") != BUNDLE or kind != statements.STATEMENT or not isinstance(named, str):
        raise Refused(f"{file}: not a Sigstore bundle of version 0.3 with an in-toto statement, signed with a key")
    return named, found


def _pem(signer: "Signer") -> str:
    return str(signer.public_key.keyval["public"])
