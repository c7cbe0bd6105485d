"""Statements that are signed: in-toto version 1, with their place in the ledger inside.

Provenance and verdicts use predicates that other tools read too (SLSA provenance v1, in-toto test result v0.1). For decisions
no standard predicate exists; docs/governance.md describes fineline's.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fineline.evidence.schema import Digest, StrictModel, Text, Time

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
