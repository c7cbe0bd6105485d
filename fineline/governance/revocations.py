"""Revocations in the ledger that apply to a chain of artifacts."""

from collections.abc import Iterator, Mapping
from typing import Any

from fineline.governance.state import Revocation, State
from fineline.project.candidate import Chain

Links = Mapping[str, tuple[str, str, Mapping[str, Any]]]
"""Role -> digest, name and parameters: what a revocation may name of a chain of artifacts."""


def links(chain: Chain) -> Links:
    """Return what a revocation may name of artifacts in this project."""
    return {role: (artifact.digest, artifact.name, artifact.parameters) for role, (_, artifact) in chain.items()}


def links_of_release(release: Mapping[str, Any]) -> Links:
    """Return what a revocation may name of the artifacts of a release.

    Args:
        release: The content of release.json.
    """
    return {role: (one["digest"], one["name"], one["parameters"]) for role, one in release["artifacts"].items()}


def revoked(state: State, chain: Links) -> list[str]:
    """Return a sentence for each revocation that applies to a chain of artifacts."""
    return [reason for reason, _ in applying(state, chain)]


def applying(state: State, chain: Links) -> Iterator[tuple[str, Revocation]]:
    """Yield the revocations that apply to a chain of artifacts, each with a sentence."""
    for role, (digest, name, parameters) in chain.items():
        if (one := state.revoked("artifact", digest)) is not None:
            yield f"{role} {digest} was revoked by {one.entry.person}: {one.reason}", one
        if role == "base" and (one := state.revoked("base", name)) is not None:
            yield f"the base {name} was revoked by {one.entry.person}: {one.reason}", one
        for part in parameters.get("parts", {}) if role == "raw" else ():
            if (one := state.revoked("source", part)) is not None:
                yield f"the source {part} was withdrawn by {one.entry.person}: {one.reason}", one
