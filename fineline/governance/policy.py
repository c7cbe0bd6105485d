"""What must be signed by whom: governance/policy.yaml."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.evidence.schema import Part, Text, Verdict
from fineline.governance import files

FILE = files.ROOT / "policy.yaml"

ACTS = ("attest", "promote", "rollback", "revoke")
Act = Literal["attest", "promote", "rollback", "revoke"]


class Rule(Part):
    """How many people must have said yes."""

    roles: list[Text] = Field(min_length=1)
    """Each of them has one of these roles."""
    people: Annotated[int, Field(ge=1)] = 1
    """Different ones; a person with two keys is one."""
    producer: bool = False
    """Whether who made it may be one of them."""
    max_age_days: Annotated[int, Field(ge=1)] | None = None
    """An older yes counts no longer."""


class Channel(Part):
    """What a release needs before it may be put into a channel."""

    approve: Rule
    upstream: dict[Literal["base", "raw", "data", "adapter", "merged"], Rule] = {}
    """Role (base, raw, data, adapter, merged) -> who must have approved the artifact that it was made from."""
    attested: bool = True
    """Whether somebody must have signed how it was made and how it was judged."""
    verdicts: list[Verdict] = ["pass"]
    """Verdicts of the gate that are good enough."""
    evidence: list[Text] = []
    """Outside evidence that must be there, be about these bytes and say pass."""
    bases: list[Text] | None = None
    """Base models that are allowed, by name; None is any."""
    licenses: list[Text] | None = None
    """Licenses that are allowed of base, data and adapter, as they stand in the artifacts; None is any."""
    refolded: bool = True
    """Whether promotion folds the adapter into its base again and compares the merged weights with that."""
    fitting_licenses: bool = True
    """Whether the licenses of base, data and adapter must fit together."""
    forbidden: list[Text] = []
    """Flags of the data that must not be there; `fineline show` lists those of a candidate."""


class Policy(files.Adopted):
    """The whole file."""

    govern: Rule
    """Who decides about people.yaml and policy.yaml; whether they produced anything does not count."""
    acts: dict[Act, list[Text]]
    """Roles that may do each act."""
    channels: dict[Text, Channel] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_act_has_somebody(self) -> Self:
        missing = [act for act in ACTS if not self.acts.get(act)]  # type: ignore[call-overload]
        if missing:
            raise ValueError(f"`acts` must name the roles that may {', '.join(missing)}")
        return self


def load(file: Path = FILE) -> Policy:
    """Read and check the file.

    Raises:
        InputError: As `files.read`.
    """
    return files.read(file, Policy)
