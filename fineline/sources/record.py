"""What `parts.json` says about a part and its files."""

from dataclasses import dataclass

from fineline.project.params.sources import Column


@dataclass(frozen=True)
class FileRecord:
    """A file as it was stored when its rows were read."""

    path: str
    size: int
    """Bytes, compressed if the file is."""
    sha256: str
    rows: int


@dataclass(frozen=True)
class PartRecord:
    """One part: what params.yaml says about its rows, where they came from, and how many there are."""

    layout: str | None
    columns: dict[Column, str]
    prompt: str | None
    weight: float
    license: str | None
    """Of these rows, where params.yaml says so."""
    origin: str
    """`files`, `hub` or `home_assistant`."""
    rows: int
    """Unreadable ones included."""
    unreadable: int
    files: list[FileRecord]
