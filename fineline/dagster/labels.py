"""Tags of an adapter's assets, by which the graph can be searched and filtered."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fineline.dagster import approval
from fineline.dagster.stages import Stage
from fineline.errors import InputError
from fineline.project import params

_RELEASES = "releases"  # `governance.store.ROOT`, whose import would import every key service

Labels = Mapping[str, Mapping[str, str]]
"""Name of an adapter -> its tags."""


def labels(root: Path, stages: Sequence[Stage]) -> Labels:
    """Return base, method, approval status and channels of every adapter, as far as they are known."""
    found: dict[str, dict[str, str]] = {stage.subject: {} for stage in stages if stage.subject and not stage.is_base}
    try:
        for name, adapter in params.load(root / params.FILE).adapters.items():
            if name in found:
                found[name] |= {"fineline/base": adapter.base, "fineline/method": adapter.train.method}
    except InputError:  # every stage reports it
        pass
    for stage in stages:
        if stage.kind == approval.CANDIDATE and (word := approval.status(stage)):
            found[stage.subject]["fineline/approval"] = word
    for name, tags in found.items():
        if channels := _channels(root, name):
            tags["fineline/channel"] = _value(".".join(channels))
    return found


def _channels(root: Path, adapter: str) -> list[str]:
    """Return the channels that have a release of the adapter."""
    place = root / _RELEASES / adapter / "channels"
    return sorted(link.name for link in place.iterdir() if link.is_symlink()) if place.is_dir() else []


def _value(text: str) -> str:
    """Return the text as a valid value of a Dagster tag."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:63]
