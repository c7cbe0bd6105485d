"""Artifacts: directories whose content is recorded, digested and verified, and the plumbing that everything else stores with."""

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
    verified,
)

__all__ = ["RECORD", "SCHEMA", "Artifact", "Input", "create", "digest", "manifest", "problems", "read", "verified"]
