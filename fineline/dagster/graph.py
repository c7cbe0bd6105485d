"""dvc.yaml with every template resolved. The only module that imports dvc, and only when it reads dvc.yaml.

DVC takes seconds to resolve hundreds of stages, so the result is cached in .fineline/graph.json until dvc.yaml or params.yaml
changes; no other file resolves a template. The files that stages read, fineline.lock included, are looked at every time.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.artifacts import reports
from fineline.errors import InputError
from fineline.project import layout, params

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.repo.index import Index
    from dvc.stage import PipelineStage

FILE = "dvc.yaml"
MISSING = object()
_FORMAT = 2
_CACHE_FILE = layout.SCRATCH / "graph.json"


class Paths:
    """A set of relative paths; looking one up takes the same time however many there are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {path.rstrip("/") for path in paths}
        self._above = {above for path in self._paths for above in _above(path)}

    def touch(self, path: str) -> bool:
        """True if `path` is one of them, contains one, or is inside one."""
        path = path.rstrip("/")
        return path in self._paths or path in self._above or any(above in self._paths for above in _above(path))


@dataclass(frozen=True)
class Node:
    """A stage as dvc.yaml has it, without the content of its files."""

    name: str
    command: str
    description: str
    owner: str
    limit_hours: Any
    upstream: tuple[str, ...]
    sources: tuple[str, ...]
    """Deps that are not outs of a stage."""
    params: tuple[tuple[str, tuple[str, ...]], ...]
    """File -> the names in it that the stage depends on; none means all of it."""
    outs: tuple[str, ...]
    identity: tuple[str, ...]


@contextmanager
def opened(root: Path) -> "Iterator[Repo]":
    """Open the DVC project at `root`.

    Raises:
        InputError: There is no project, or its dvc.yaml or params.yaml is wrong.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            yield repo
    except NotDvcRepoError as error:
        raise InputError(f"{root}: not a DVC project; run `dvc init` there") from error
    except DvcException as error:
        details = f": {error.__cause__}" if error.__cause__ else ""
        raise InputError(f"{root / FILE}: {error}{details}; `dvc status` shows the place") from error


def read_nodes(root: Path, repo: "Repo") -> list[Node]:
    """Return every stage, upstream first.

    Raises:
        DvcException: dvc.yaml or params.yaml is wrong.
    """
    key = _key(root)
    if key is not None and (cached := _cached(root, key)) is not None:
        return cached
    nodes = _resolved(root, repo)
    if key is not None:
        _cache(root, key, nodes)
    return nodes


@dataclass
class Files:
    """The files of the project, each read once: stages share their dependencies and their params.yaml."""

    repo: "Repo"
    _digests: dict[str, str | None] = field(default_factory=dict)
    _parsed: dict[str, Any] = field(default_factory=dict)

    def md5(self, path: str) -> str | None:
        """Return the md5 as DVC computes it, .dvcignore respected; None if there is no such file."""
        if path not in self._digests:
            from dvc.dependency.base import Dependency

            dep = Dependency(None, str(self._root / path), repo=self.repo)
            self._digests[path] = dep.get_hash().value if dep.exists else None
        return self._digests[path]

    def params(self, file: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the params named, without those that are missing; the whole file if none is named."""
        from dvc.dependency.param import read_param_file

        if file not in self._parsed:
            place = self._root / file
            self._parsed[file] = read_param_file(self.repo.fs, str(place)) if place.exists() else {}
        if not names:
            return {file: self._parsed[file]}
        values = {name: _value(self._parsed[file], name) for name in names}
        return {name: value for name, value in values.items() if value is not MISSING}

    @cached_property
    def _root(self) -> Path:
        return Path(self.repo.root_dir)


def _resolved(root: Path, repo: "Repo") -> list[Node]:
    from dvc.repo.index import Index

    index = Index.from_file(repo, str(root / FILE))
    made, read = Paths(out.def_path for out in index.outs), Paths(dep.def_path for dep in index.deps)
    by_name = {stage.name: _node(stage, index, made, read) for stage in index.stages}
    order = TopologicalSorter({name: by_name[name].upstream for name in sorted(by_name)})
    return [by_name[name] for name in order.static_order()]


def _node(stage: "PipelineStage", index: "Index", made: Paths, read: Paths) -> Node:
    meta = stage.meta if isinstance(stage.meta, dict) else {}
    return Node(
        name=stage.name,
        command=stage.cmd if isinstance(stage.cmd, str) else "\n".join(stage.cmd or ()),
        description=stage.desc or "",
        owner=str(meta.get("owner", "")),
        limit_hours=meta.get("limit_hours"),
        upstream=tuple(sorted(upstream.name for upstream in index.graph.successors(stage))),
        sources=tuple(dep.def_path for dep in stage.deps if dep.hash_name != "params" and not made.touch(dep.def_path)),
        params=tuple((dep.def_path, tuple(dep.params)) for dep in stage.deps if dep.hash_name == "params"),
        outs=tuple(out.def_path for out in stage.outs),
        identity=_identity(stage, read),
    )


def _identity(stage: "PipelineStage", read: Paths) -> tuple[str, ...]:
    """Return the outs that count for the data version.

    Reports contain times and speeds, which differ between equal results. They count where another stage reads them, as they do
    for DVC, and at the end of the graph, where they are the result. Provenance, which differs with every run, never counts.
    """
    is_read = {out.def_path: read.touch(out.def_path) for out in stage.outs if not _is_provenance(out.def_path)}
    is_end = not any(is_read.values())

    def is_report(out: Any) -> bool:
        return bool(out.metric or out.plot or out.def_path.startswith("reports/"))

    return tuple(
        out.def_path
        for out in stage.outs
        if out.def_path in is_read and (is_end or is_read[out.def_path] or not is_report(out))
    )


def _is_provenance(path: str) -> bool:
    return path.startswith("reports/") and Path(path).parent.name == "provenance"


def _key(root: Path) -> str | None:
    """Return the digest of everything that templates are resolved from; None where that is more than the two files."""
    try:
        graph, configured = ((root / name).read_bytes() for name in (FILE, params.FILE))
    except OSError:
        return None
    if re.search(rb"^vars:", graph, re.MULTILINE):  # names more files
        return None
    prefix = f"{_FORMAT} {version('dvc')} {len(graph)}\n".encode()
    return hashlib.sha256(prefix + graph + configured).hexdigest()


def _cached(root: Path, key: str) -> list[Node] | None:
    try:
        content = json.loads((root / _CACHE_FILE).read_text(encoding="utf-8"))
        return [_from_json(node) for node in content["nodes"]] if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cache(root: Path, key: str, nodes: Sequence[Node]) -> None:
    with suppress(OSError, TypeError):  # without a cache it is resolved again next time
        reports.write(root / _CACHE_FILE, {"key": key, "nodes": [asdict(node) for node in nodes]})


def _from_json(content: Mapping[str, Any]) -> Node:
    lists = {name: tuple(content[name]) for name in ("upstream", "sources", "outs", "identity")}
    return Node(**{**content, **lists, "params": tuple((file, tuple(names)) for file, names in content["params"])})


def _value(content: Any, name: str) -> Any:
    """Return the value at a dotted name, `MISSING` if there is none."""
    for part in name.split("."):
        if not isinstance(content, dict) or part not in content:
            return MISSING
        content = content[part]
    return content


def _above(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
