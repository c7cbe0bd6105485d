"""Required signatures: governance/policy.yaml."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fineline.evidence.schema import StrictModel, Text, Verdict
from fineline.governance import files

FILE = files.ROOT / "policy.yaml"

ACTIONS = ("attest", "promote", "rollback", "revoke")
Action = Literal["attest", "promote", "rollback", "revoke"]


class Rule(StrictModel):
    """The people who must approve."""

    roles: list[Text] = Field(min_length=1)
    """Roles that count. Each approver has one of them."""
    people: Annotated[int, Field(ge=1)] = 1
    """Number of different people. A person with two keys counts once."""
    producer: bool = False
    """True accepts the approval of a person who made the candidate."""
    max_age_days: Annotated[int, Field(ge=1)] | None = None
    """Age in days above which an approval does not count. By default approvals do not expire."""


class Channel(StrictModel):
    """Requirements for promoting a release to a channel."""

    approve: Rule
    """Approvals that a candidate needs."""
    upstream: dict[Literal["base", "raw", "data", "adapter", "merged"], Rule] = {}
    """Artifact that the candidate was made from -> approvals that this artifact needs."""
    attested: bool = True
    """Require attestations of how it was made and how it was judged."""
    verdicts: list[Verdict] = ["pass"]
    """Verdicts of the gate that are accepted."""
    evidence: list[Text] = []
    """External evidence that must be about these bytes and have the verdict pass, by name."""
    bases: list[Text] | None = None
    """Allowed base models, by name. By default any."""
    licenses: list[Text] | None = None
    """Allowed licenses of base, data and adapter, spelled as in params.yaml. By default any."""
    refolded: bool = True
    """Verify the merge: promotion merges the adapter into its base again and compares the weights."""
    fitting_licenses: bool = True
    """Require that the licenses of base, data and adapter are compatible."""
    forbidden: list[Text] = []
    """Flags of the data that are not allowed; `fineline show` lists those of a candidate."""


class Policy(files.Adopted):
    """The whole file."""

    govern: Rule
    """The people who decide about people.yaml and policy.yaml; `producer` does not apply."""
    acts: dict[Action, list[Text]]
    """Action -> roles that may do it. Every action needs at least one role."""
    channels: dict[Text, Channel] = Field(min_length=1)
    """Name of a channel -> its requirements."""

    @model_validator(mode="after")
    def _every_action_has_a_role(self) -> Self:
        missing = [action for action in ACTIONS if not self.acts.get(action)]  # type: ignore[call-overload]
        if missing:
            raise ValueError(f"`acts` must name the roles that may {', '.join(missing)}")
        return self


def load(file: Path = FILE) -> Policy:
    """Read and check the file. Raises `InputError` as `files.read` does."""
    return files.read(file, Policy)
