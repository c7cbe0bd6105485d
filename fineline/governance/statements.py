"""What is signed: in-toto statements, version 1, with the place in the ledger inside.

Provenance and verdicts have the predicates that others read too (SLSA provenance v1, in-toto test result v0.1); for what people
decide no predicate exists, so these are ours and docs/governance.md describes them.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fineline.evidence.schema import Digest, Part, Text, Time

STAGE = "urn:fineline:stage:"
"""How the type of a build begins; the kind of the artifact follows."""
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
ADOPT, APPROVE, REJECT, PROMOTE, ROLLBACK, REVOKE = (
    f"urn:fineline:governance:{act}:v1" for act in ("adopt", "approve", "reject", "promote", "rollback", "revoke")
)
ACTS = {
    PROVENANCE: "made",
    TEST_RESULT: "judged",
    ADOPT: "adopted",
    APPROVE: "approved",
    REJECT: "rejected",
    PROMOTE: "promoted",
    ROLLBACK: "rolled back",
    REVOKE: "revoked",
}
"""Type of a predicate -> what whoever signs it has done."""
TYPES = tuple(ACTS)


class Link(Part):
    """Where an entry stands in the ledger."""

    parents: list[Digest]
    """The entries that nothing followed when it was signed, sorted."""
    number: Annotated[int, Field(ge=1)]
    """Which one of its signer it is."""
    previous: Digest | None
    """The signer's entry before."""
    time: Time
    person: Text
    """Who signed, by the name in people.yaml."""


class Hashes(Part):
    """Of a subject."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Subject(Part):
    """What a statement is about."""

    name: Text
    digest: Hashes


class Predicate(Part):
    """What is stated; each type has fields of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    ledger: Link

    @property
    def said(self) -> dict[str, Any]:
        """The fields of its own."""
        return dict(self.model_extra or {})


class Statement(Part):
    """The payload of an entry."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[Subject], Field(min_length=1)]
    predicateType: str
    predicate: Predicate


def statement(kind: str, subjects: dict[str, str], said: dict[str, Any], link: dict[str, Any]) -> dict[str, Any]:
    """A statement as JSON.

    Args:
        subjects: Name -> digest, `sha256:...`.
        said: The predicate's own fields.
        link: Its place in the ledger (see `Link`).
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for name, digest in subjects.items()],
        "predicateType": kind,
        "predicate": {**said, "ledger": link},
    }
