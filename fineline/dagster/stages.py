"""dvc.yaml and the present content of the files it names, as frozen stages."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.dagster import graph
from fineline.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml with every template resolved; paths are relative to `root`."""

    root: Path
    name: str
    """As DVC has it: `train@home-en`."""
    command: str
    description: str
    owner: str
    upstream: tuple[str, ...]
    """Names of the stages whose outs it reads."""
    sources: Mapping[str, str | None]
    """Deps that are not outs of a stage -> md5 of their content, None while they are missing."""
    params: Mapping[str, Any]
    """Of params.yaml, and the stage's version of fineline.lock."""
    outs: tuple[str, ...]
    identity: tuple[str, ...]
    """The outs that count for the data version, see `fineline.dagster.graph`."""
    limit: float | None = None
    """Seconds after which it is stopped."""

    @property
    def kind(self) -> str:
        """Return `train` of `train@home-en`."""
        return self.name.partition("@")[0]

    @property
    def subject(self) -> str:
        """Return `home-en` of `train@home-en`; empty for a stage without `foreach`."""
        return self.name.partition("@")[2]

    @property
    def is_base(self) -> bool:
        """True if it makes a base model, which adapters share."""
        return self.kind == "base"

    @property
    def key(self) -> tuple[str, ...]:
        """Return its asset key: `("home_en", "train")`."""
        return asset_key(self.name)

    @property
    def code_version(self) -> str:
        """Return the digest of what DVC compares besides the outs of other stages: command, params, content of the sources."""
        return digest({"command": self.command, "params": self.params, "sources": self.sources})


def asset_key(name: str) -> tuple[str, ...]:
    """Return `("home_en", "train")` for `train@home-en`: the subject first, so that an adapter's assets are grouped.

    Raises:
        InputError: The name contains "_", which `stage_name` could not distinguish from "-".
    """
    if "_" in name:
        raise InputError(f"{graph.FILE}: stage {name!r}: a name must not contain '_'; use '-'")
    kind, _, subject = name.replace("-", "_").partition("@")
    return (subject, kind) if subject else (kind,)


def stage_name(key: Sequence[str]) -> str:
    """Return `train@home-en` for `("home_en", "train")`, the inverse of `asset_key`."""
    return "@".join(reversed(key)).replace("_", "-")


def read_stages(root: Path) -> list[Stage]:
    """Return every stage of `root`/dvc.yaml, upstream first.

    Raises:
        InputError: There is no DVC project at `root`, or its dvc.yaml or params.yaml is wrong.
    """
    with graph.opened(root) as repo:
        files = graph.Files(repo)
        return [_stage(root, node, files) for node in graph.read_nodes(root, repo)]


def digest(content: Any) -> str:
    """Return the sha256 of a JSON value; the order of its keys does not matter."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _stage(root: Path, node: graph.Node, files: graph.Files) -> Stage:
    return Stage(
        root=root,
        name=node.name,
        command=node.command,
        description=node.description,
        owner=node.owner,
        upstream=node.upstream,
        sources={path: files.md5(path) for path in node.sources},
        params={name: value for file, names in node.params for name, value in files.params(file, names).items()},
        outs=node.outs,
        identity=node.identity,
        limit=_limit(node.name, node.limit_hours),
    )


def _limit(name: str, hours: Any) -> float | None:
    """Return `meta.limit_hours` of the stage in seconds."""
    if hours is None:
        return None
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not hours > 0:
        raise InputError(f"{graph.FILE}: stage {name!r}: meta.limit_hours: expected a number above 0, found {hours!r}")
    return float(hours) * 3600
