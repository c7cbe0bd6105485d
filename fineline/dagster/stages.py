"""dvc.yaml, and what its files hold at this moment, as frozen stages."""

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
    """As DVC says it: `train@home-en`."""
    command: str
    description: str
    owner: str
    upstream: tuple[str, ...]
    """Names of the stages whose outs it reads."""
    sources: Mapping[str, str | None]
    """Deps that no stage makes -> md5 of their content, None while they are missing."""
    params: Mapping[str, Any]
    outs: tuple[str, ...]
    identity: tuple[str, ...]
    """The outs that tell one result from another, see `fineline.dagster.graph`."""
    limit: float | None = None
    """Seconds that it may take."""

    @property
    def kind(self) -> str:
        """`train` of `train@home-en`."""
        return self.name.partition("@")[0]

    @property
    def subject(self) -> str:
        """`home-en` of `train@home-en`; empty for a stage that stands outside every `foreach`."""
        return self.name.partition("@")[2]

    @property
    def is_base(self) -> bool:
        """Whether it makes a base model, which every adapter may share."""
        return self.kind == "base"

    @property
    def key(self) -> tuple[str, ...]:
        """Its place in the asset graph: `("home_en", "train")`."""
        return asset_key(self.name)

    @property
    def code_version(self) -> str:
        """Digest of what DVC compares besides the outs of other stages: command, params, content of the sources."""
        return digest({"command": self.command, "params": self.params, "sources": self.sources})


def asset_key(name: str) -> tuple[str, ...]:
    """`train@home-en` -> `("home_en", "train")`: the subject first, so that an adapter's assets lie together.

    Raises:
        InputError: The name holds "_", which could not be told from "-" on the way back.
    """
    if "_" in name:
        raise InputError(f"{graph.FILE}: stage {name!r}: a name holds no '_'; use '-'")
    kind, _, subject = name.replace("-", "_").partition("@")
    return (subject, kind) if subject else (kind,)


def stage_name(key: Sequence[str]) -> str:
    """`("home_en", "train")` -> `train@home-en`, the way back of `asset_key`."""
    return "@".join(reversed(key)).replace("_", "-")


def read_stages(root: Path) -> list[Stage]:
    """Every stage of `root`/dvc.yaml, upstream first.

    Raises:
        InputError: There is no DVC project at `root`, or its dvc.yaml or params.yaml is wrong.
    """
    with graph.opened(root) as repo:
        files = graph.Files(repo)
        return [_stage(root, node, files) for node in graph.read_nodes(root, repo)]


def digest(content: Any) -> str:
    """sha256 of a JSON value, however its keys are ordered."""
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
    """`meta.limit_hours` of the stage, in seconds."""
    if hours is None:
        return None
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not hours > 0:
        raise InputError(f"{graph.FILE}: stage {name!r}: meta.limit_hours: a number above 0 is needed, found {hours!r}")
    return float(hours) * 3600
