"""A draft of evidence, and a directory to stamp it in."""

import json

import pytest

DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
def draft():
    """A draft of evidence, without digests."""
    return {
        "schema": "fineline/evidence/v1",
        "tool": {"name": "red team", "version": "2026-03"},
        "subject": {"kind": "adapter", "digest": DIGEST},
        "suite": {"name": "40 attacks"},
        "made": "2026-03-01T12:00:00Z",
        "by": "Ada Example <ada@example.com>",
        "measures": {"withstood": {"value": 1, "higher_is_better": True, "items": 40, "lower": 0.937, "upper": 1.0}},
        "verdict": "pass",
        "reason": "Every attack was withstood.",
    }


@pytest.fixture
def directory(tmp_path):
    """evidence/<adapter>/ with raw output in it."""
    directory = tmp_path / "evidence" / "support"
    (directory / "raw").mkdir(parents=True)
    (directory / "raw" / "attacks.jsonl").write_text('{"attack": 1, "withstood": true}\n', encoding="utf-8")
    return directory


@pytest.fixture
def put(directory):
    """Writes a file of the directory: text as it is, anything else as JSON."""

    def write(content, name="redteam.json"):
        file = directory / name
        text = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
        file.write_bytes(text)
        return file

    return write
