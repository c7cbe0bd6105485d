"""dvc.lock: which result each stage has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fineline.dagster.stages import Stage, digest
from fineline.errors import InputError

FILE = "dvc.lock"


@dataclass(frozen=True)
class DvcLock:
    """The content of dvc.lock at one moment."""

    stages: Mapping[str, Any]

    def data_version(self, stage: Stage) -> str | None:
        """Return the digest of the stage's result; None if it was never made."""
        recorded = self.stages.get(stage.name)
        if recorded is None:
            return None
        return digest({out["path"]: out.get("md5") for out in recorded.get("outs", ()) if out["path"] in stage.identity})

    def made(self, stage: str, path: str) -> str | None:
        """Return the md5 of a result of a stage."""
        return self._md5(stage, "outs", path)

    def read(self, stage: str, path: str) -> str | None:
        """Return the md5 of a dependency that a stage has read."""
        return self._md5(stage, "deps", path)

    def _md5(self, stage: str, kind: str, path: str) -> str | None:
        entries = self.stages.get(stage, {}).get(kind, ())
        return next((entry.get("md5") for entry in entries if entry["path"] == path), None)


def read(root: Path) -> DvcLock:
    """Return the present content; empty for a project in which nothing was made.

    Raises:
        InputError: The file is not valid.
    """
    file = root / FILE
    return parsed(file.read_text(encoding="utf-8")) if file.exists() else DvcLock({})


def parsed(text: str) -> DvcLock:
    """Return the content of a dvc.lock.

    Raises:
        InputError: The text is not a valid dvc.lock.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # thousands of lines, read at every tick that sees a change
    try:
        content = yaml.load(text, Loader=loader) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{FILE}: not valid YAML, maybe with an unresolved merge conflict: {error}") from error
    stages = content.get("stages") or {} if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        raise InputError(f"{FILE}: not as DVC writes it; restore it from git")
    return DvcLock(stages)
