"""Fixtures for tests of sources: fetch a block and read what it wrote."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from fineline import sources
from fineline.project.params.sources import Source


@dataclass(frozen=True)
class Fetched:
    """Rows and record of one part."""

    rows: list[dict[str, Any]]
    record: dict[str, Any]

    @property
    def contents(self) -> list[dict[str, Any]]:
        return [row["content"] for row in self.rows if "content" in row]

    @property
    def problems(self) -> dict[str, str]:
        return {row["at"]: row["problem"] for row in self.rows if "problem" in row}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty source directory."""
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., dict[str, Fetched]]:
    """Fetches the given parts below a path into a new directory and returns what was written, by part."""

    def run(path: Path, **parts: dict[str, Any]) -> dict[str, Fetched]:
        into = tmp_path / f"into-{len(list(tmp_path.iterdir()))}"
        into.mkdir()
        sources.fetch(Source(path=str(path), parts=parts), into)
        records = orjson.loads((into / "parts.json").read_bytes())
        return {
            name: Fetched([orjson.loads(line) for line in (into / f"{name}.jsonl").read_bytes().splitlines()], record)
            for name, record in records.items()
        }

    return run


@pytest.fixture
def fetch_all(fetch) -> Callable[[Path], Fetched]:
    """Fetches every data file at a path."""
    return lambda path: fetch(path)["rows"]
