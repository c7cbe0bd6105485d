"""Owner and license of an artifact, by params.yaml at the time of reading.

They are not part of an artifact: changing an owner's address makes no result stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fineline.artifacts import Artifact
from fineline.project import params
from fineline.project.params import Params

_OF_BASES = ("base", "tokenizer")
"""Kinds of artifacts that belong to a base model; all others belong to an adapter."""


@dataclass(frozen=True)
class Ownership:
    """Who is responsible for an artifact, and its license."""

    owner: str
    license: str


def ownership_of(artifact: Artifact, configured: Params) -> Ownership:
    """Return owner and license of an artifact: of its base or its adapter in params.yaml.

    Records of the first version of the format contain both, and these count for them.

    Raises:
        InputError: params.yaml has no such base or adapter.
    """
    recorded = _recorded(artifact)
    if recorded is not None:
        return recorded
    name = artifact.name.partition("/")[0]
    block = configured.base(name) if artifact.kind in _OF_BASES else configured.adapter(name)
    return Ownership(block.owner, block.license)


def ownership_by_role(chain: Mapping[str, Artifact], root: Path = Path()) -> dict[str, Ownership]:
    """Return role -> owner and license; params.yaml of the project at `root` is read only if a record has none.

    Raises:
        InputError: params.yaml is missing or wrong, or has no such base or adapter.
    """
    found = {role: _recorded(artifact) for role, artifact in chain.items()}
    known = {role: one for role, one in found.items() if one is not None}
    if len(known) == len(chain):
        return known
    configured = params.load(root / params.FILE)
    return {role: ownership_of(artifact, configured) for role, artifact in chain.items()}


def _recorded(artifact: Artifact) -> Ownership | None:
    if artifact.owner is None or artifact.license is None:
        return None
    return Ownership(artifact.owner, artifact.license)
