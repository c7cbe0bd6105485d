"""Statements that are signed: in-toto version 1, with their place in the ledger inside, in DSSE envelopes of one signature.

Provenance and verdicts use predicates that other tools read too (SLSA provenance v1, in-toto test result v0.1). For decisions
no standard predicate exists; docs/governance.md describes fineline's. Envelopes are parsed strictly
(https://github.com/secure-systems-lab/dsse, version 1). securesystemslib imports every installed key service, which takes
seconds, so it is imported where it is used.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.evidence.schema import Digest, StrictModel, Text, Time

if TYPE_CHECKING:
    from securesystemslib.signer import Signer, SSlibKey


STATEMENT = "application/vnd.in-toto+json"
CHECKPOINT = "application/vnd.fineline.checkpoint+json"

MOST_BYTES = 2**20
STAGE = "urn:fineline:stage:"
"""Beginning of the type of a build; the kind of the artifact follows."""
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
ADOPT, APPROVE, REJECT, PROMOTE, ROLLBACK, REVOKE = (
    f"urn:fineline:governance:{action}:v1" for action in ("adopt", "approve", "reject", "promote", "rollback", "revoke")
)
ACTIONS = {
    PROVENANCE: "made",
    TEST_RESULT: "judged",
    ADOPT: "adopted",
    APPROVE: "approved",
    REJECT: "rejected",
    PROMOTE: "promoted",
    ROLLBACK: "rolled back",
    REVOKE: "revoked",
}
"""Type of a predicate -> what its signer did."""
TYPES = tuple(ACTIONS)


class Link(StrictModel):
    """The place of an entry in the ledger."""

    parents: list[Digest]
    """The entries that had no successor when it was signed, sorted."""
    number: Annotated[int, Field(ge=1)]
    """Its number among the entries of its key, from 1."""
    previous: Digest | None
    """The previous entry of the same key."""
    time: Time
    person: Text
    """The signer, by the name in people.yaml."""


class Hashes(StrictModel):
    """Of a subject."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Subject(StrictModel):
    """The subject of a statement."""

    name: Text
    digest: Hashes


class Predicate(StrictModel):
    """The predicate of a statement; each type has other fields."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    ledger: Link

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its type."""
        return dict(self.model_extra or {})


class Statement(StrictModel):
    """The payload of an entry."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[Subject], Field(min_length=1)]
    predicateType: str
    predicate: Predicate


def statement(kind: str, subjects: dict[str, str], predicate: dict[str, Any], link: dict[str, Any]) -> dict[str, Any]:
    """Return a statement as JSON.

    Args:
        subjects: Name -> digest, `sha256:...`.
        predicate: The fields of its type.
        link: Its place in the ledger (see `Link`).
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subjects.items()],
        "predicateType": kind,
        "predicate": {**predicate, "ledger": link},
    }


@dataclass(frozen=True)
class Envelope:
    """A payload, and the signature of one key. Not verified yet."""

    payload: bytes
    payload_type: str
    keyid: str
    signature: str
    """Hexadecimal."""

    def verify(self, key: "SSlibKey", place: str) -> None:
        """Raise `Refused` unless the key made the signature."""
        from securesystemslib.dsse import Envelope as Dsse
        from securesystemslib.exceptions import VerificationError
        from securesystemslib.signer import Signature

        dsse = Dsse(self.payload, self.payload_type, {self.keyid: Signature(self.keyid, self.signature)})
        try:
            dsse.verify([key], 1)
        except (VerificationError, ValueError) as error:
            raise Refused(f"{place}: the signature is not one of key {key.keyid[:16]} over this content") from error

    @property
    def content(self) -> Any:
        """The payload as JSON. Raises `ValueError` if it is not strict JSON."""
        return canonical.parse(self.payload)

    def text(self) -> str:
        """Return the text of the file."""
        signature = base64.b64encode(bytes.fromhex(self.signature)).decode()
        content = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": self.keyid, "sig": signature}],
        }
        return canonical.text(content) + "\n"


def sign(content: Any, payload_type: str, signer: "Signer") -> Envelope:
    """Sign the canonical JSON of a value, and return the envelope."""
    from securesystemslib.dsse import Envelope as Dsse

    dsse = Dsse(canonical.text(content).encode(), payload_type, {})
    signature = dsse.sign(signer)
    return Envelope(dsse.payload, payload_type, signature.keyid, signature.signature)


def parse(text: bytes, payload_type: str, place: str) -> Envelope:
    """Parse an envelope.

    Raises:
        Refused: It is too large, is not strict JSON, has another payload type, no signature or several, unknown keys, or is
            written in another way than `Envelope.text` writes it.
    """
    if len(text) > MOST_BYTES:
        raise Refused(f"{place}: larger than {MOST_BYTES:,} bytes")
    try:
        content = canonical.parse(text)
    except ValueError as error:
        raise Refused(f"{place}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != {"payload", "payloadType", "signatures"}:
        raise Refused(f"{place}: not a DSSE envelope")
    if content["payloadType"] != payload_type:
        raise Refused(f"{place}: the payload type is {content['payloadType']!r}, but must be {payload_type!r}")
    signatures = content["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        found = len(signatures) if isinstance(signatures, list) else 0
        raise Refused(f"{place}: expected one signature, found {found}")
    try:
        (signature,) = signatures
        envelope = Envelope(
            base64.b64decode(content["payload"], validate=True),
            payload_type,
            str(signature["keyid"]),
            base64.b64decode(signature["sig"], validate=True).hex(),
        )
    except (KeyError, TypeError, binascii.Error) as error:
        raise Refused(f"{place}: not a DSSE envelope: {error}") from error
    if envelope.text().encode() != text:
        raise Refused(f"{place}: the file was rewritten: its JSON is formatted differently or has other keys")
    return envelope
