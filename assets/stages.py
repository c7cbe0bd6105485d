"""dvc.yaml and params.yaml as frozen stages. The only module that imports dvc, and only when it reads."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.paths import Paths
from pipelines.errors import InputError

if TYPE_CHECKING:
    from dvc.repo.index import Index
    from dvc.stage import PipelineStage

GRAPH = "dvc.yaml"
MISSING = object()


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
    """The outs that tell one result from another, see `_identity`."""
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
        raise InputError(f"{GRAPH}: stage {name!r}: a name holds no '_'; use '-'")
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
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.repo.index import Index

    try:
        with Repo(str(root)) as repo:
            index = Index.from_file(repo, str(root / GRAPH))
            files = _Files({}, {})
            made = Paths(out.def_path for out in index.outs)
            read = Paths(dep.def_path for dep in index.deps)
            by_name = {stage.name: _stage(root, stage, index, files, made, read) for stage in index.stages}
            order = TopologicalSorter({name: by_name[name].upstream for name in sorted(by_name)})
            return [by_name[name] for name in order.static_order()]
    except NotDvcRepoError as error:
        raise InputError(f"{root}: no DVC project; run `dvc init` there") from error
    except DvcException as error:
        details = f": {error.__cause__}" if error.__cause__ else ""
        raise InputError(f"{root / GRAPH}: {error}{details}; `dvc status` shows the place") from error


def digest(content: Any) -> str:
    """sha256 of a JSON value, however its keys are ordered."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _stage(root: Path, stage: "PipelineStage", index: "Index", files: "_Files", made: Paths, read: Paths) -> Stage:
    meta = stage.meta if isinstance(stage.meta, dict) else {}
    params: dict[str, Any] = {}
    sources: dict[str, str | None] = {}
    for dep in stage.deps:
        if dep.hash_name == "params":
            params |= files.params(dep)
        elif not made.touch(dep.def_path):
            sources[dep.def_path] = files.md5(dep)
    return Stage(
        root=root,
        name=stage.name,
        command=stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd or ()),
        description=stage.desc or "",
        owner=str(meta.get("owner", "")),
        upstream=tuple(sorted(upstream.name for upstream in index.graph.successors(stage))),
        sources=sources,
        params=params,
        outs=tuple(out.def_path for out in stage.outs),
        identity=_identity(stage, read),
        limit=_limit(stage.name, meta),
    )


def _limit(name: str, meta: Mapping[str, Any]) -> float | None:
    """`limit_hours` of the stage, in seconds."""
    hours = meta.get("limit_hours")
    if hours is None:
        return None
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not hours > 0:
        raise InputError(f"{GRAPH}: stage {name!r}: meta.limit_hours: a number above 0 is needed, found {hours!r}")
    return float(hours) * 3600


def _identity(stage: "PipelineStage", read: Paths) -> tuple[str, ...]:
    """The outs that count for the data version.

    Reports hold times and speeds, which differ between equal results; they count where another stage reads them, as they do
    for DVC, and at the end of the graph, where they are the result.
    """
    is_read = {out.def_path: read.touch(out.def_path) for out in stage.outs}
    is_end = not any(is_read.values())

    def is_report(out: Any) -> bool:
        return bool(out.metric or out.plot or out.def_path.startswith("reports/"))

    return tuple(out.def_path for out in stage.outs if is_end or is_read[out.def_path] or not is_report(out))


@dataclass(frozen=True)
class _Files:
    """What lies in the project, each file read once: stages share their code and their params.yaml."""

    digests: dict[str, str | None]
    parsed: dict[str, Any]

    def md5(self, dep: Any) -> str | None:
        """md5 as DVC computes it, .dvcignore respected; None if there is no such file."""
        if dep.def_path not in self.digests:
            self.digests[dep.def_path] = dep.get_hash().value if dep.exists else None
        return self.digests[dep.def_path]

    def params(self, dep: Any) -> dict[str, Any]:
        """The params that the dependency names, without those that are missing; all of the file if it names none."""
        from dvc.dependency.param import read_param_file

        if dep.def_path not in self.parsed:
            self.parsed[dep.def_path] = read_param_file(dep.repo.fs, dep.fs_path) if dep.exists else {}
        if not dep.params:
            return {dep.def_path: self.parsed[dep.def_path]}
        values = {name: _value(self.parsed[dep.def_path], name) for name in dep.params}
        return {name: value for name, value in values.items() if value is not MISSING}


def _value(content: Any, name: str) -> Any:
    """The value at a dotted name."""
    for part in name.split("."):
        if not isinstance(content, dict) or part not in content:
            return MISSING
        content = content[part]
    return content
