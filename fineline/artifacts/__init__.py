"""Artifacts: directories whose content is recorded, digested and verified, and the plumbing shared by all packages."""

from fineline.artifacts.artifact import (
    RECORD,
    SCHEMA,
    Artifact,
    Input,
    create,
    digest,
    manifest,
    problems,
    read,
    used,
    verified,
)

__all__ = ["RECORD", "SCHEMA", "Artifact", "Input", "create", "digest", "manifest", "problems", "read", "used", "verified"]
