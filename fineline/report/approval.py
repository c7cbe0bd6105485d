"""Who must approve a candidate, in words: the policy in force, channel by channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fineline.governance.people import People
from fineline.governance.policy import Channel, Rule
from fineline.governance.state import Adoption


@dataclass(frozen=True)
class Requirement:
    """The requirements of one channel."""

    channel: str
    approvers: str
    """Number and roles of the people who must approve."""
    people: Sequence[str]
    """Names of the people in those roles."""
    further: Sequence[str]
    """Everything else that is required, a phrase each."""


def requirements(adoption: Adoption | None) -> list[Requirement]:
    """Return the requirements of each channel; none if no policy is in force."""
    if adoption is None:
        return []
    channels: Mapping[str, Channel] = adoption.policy.channels
    return [
        Requirement(name, approvers(rule.approve), with_roles(adoption.people, rule.approve), further(rule))
        for name, rule in channels.items()
    ]


def approvers(rule: Rule) -> str:
    """Return how many people must approve, and in which roles."""
    who = f"1 {_either(rule.roles)}" if rule.people == 1 else f"{rule.people} people with the role {_either(rule.roles)}"
    return who if rule.producer else f"{who}, other than who made the candidate"


def with_roles(people: People, rule: Rule) -> list[str]:
    """Return the names of the people whose approval counts for a rule."""
    return [person.name for person in people.people.values() if set(person.roles) & set(rule.roles)]


def further(rule: Channel) -> list[str]:
    """Return a phrase for each further requirement of a channel."""
    found = [f"verdict {_either(rule.verdicts)}"]
    if rule.approve.max_age_days is not None:
        found.append(f"approvals at most {rule.approve.max_age_days} days old")
    found += [f"approval of the {role} by {approvers(upstream)}" for role, upstream in rule.upstream.items()]
    if rule.attested:
        found.append("signed records of how the candidate was made and judged")
    if rule.refolded:
        found.append("a verified merge")
    if rule.fitting_licenses:
        found.append("compatible licenses of base, data and adapter")
    found += [f"evidence {name}" for name in rule.evidence]
    if rule.bases is not None:
        found.append(f"base {_either(rule.bases)}")
    if rule.licenses is not None:
        found.append(f"licenses {_either(rule.licenses)}")
    found += [f"data without the flag {flag}" for flag in rule.forbidden]
    return found


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
