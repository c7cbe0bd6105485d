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
    """How many people must approve."""

    roles: list[Text] = Field(min_length=1)
    """Each of them has one of these roles."""
    people: Annotated[int, Field(ge=1)] = 1
    """Different people; a person with two keys counts once."""
    producer: bool = False
    """Accept the approval of a person who made it."""
    max_age_days: Annotated[int, Field(ge=1)] | None = None
    """Older approvals do not count."""


class Channel(StrictModel):
    """Requirements for promoting a release to a channel."""

    approve: Rule
    upstream: dict[Literal["base", "raw", "data", "adapter", "merged"], Rule] = {}
    """Role (base, raw, data, adapter, merged) -> who must have approved the artifact that it was made from."""
    attested: bool = True
    """Require attestations of how it was made and how it was judged."""
    verdicts: list[Verdict] = ["pass"]
    """Verdicts of the gate that are accepted."""
    evidence: list[Text] = []
    """Outside evidence that must be there, be about these bytes and pass."""
    bases: list[Text] | None = None
    """Base models that are allowed, by name; None allows any."""
    licenses: list[Text] | None = None
    """Licenses that are allowed of base, data and adapter, spelled as in params.yaml; None allows any."""
    refolded: bool = True
    """Verify the merge: promotion merges the adapter into its base again and compares the weights."""
    fitting_licenses: bool = True
    """Require that the licenses of base, data and adapter are compatible."""
    forbidden: list[Text] = []
    """Flags of the data that are not allowed; `fineline show` lists those of a candidate."""


class Policy(files.Adopted):
    """The whole file."""

    govern: Rule
    """Who decides about people.yaml and policy.yaml; `producer` does not apply."""
    acts: dict[Action, list[Text]]
    """Action -> roles that may do it."""
    channels: dict[Text, Channel] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_action_has_a_role(self) -> Self:
        missing = [action for action in ACTIONS if not self.acts.get(action)]  # type: ignore[call-overload]
        if missing:
            raise ValueError(f"`acts` must name the roles that may {', '.join(missing)}")
        return self


def load(file: Path = FILE) -> Policy:
    """Read and check the file. Raises `InputError` as `files.read` does."""
    return files.read(file, Policy)
