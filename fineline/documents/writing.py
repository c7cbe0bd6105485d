"""Write all documents of an adapter to one directory."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fineline.artifacts.files import write_text
from fineline.documents import bom, card, chain, sections, technical
from fineline.documents.gathering import copied, gather
from fineline.documents.records import Records
from fineline.errors import InputError

COPIED = {"README.md": "dataset/README.md", "croissant.json": "dataset/croissant.json"}
"""Documents of the curated data -> where they go, byte for byte."""


def write(name: str, target: Path, *, approvals: Iterable[Mapping[str, Any]] = ()) -> list[Path]:
    """Write model card, bill of materials, technical documentation, license chain, and the documents of the data.

    Everything is rendered before the first file is written, so a missing record leaves `target` unchanged.

    Args:
        target: A directory; it is created if missing. Other files in it are not touched.
        approvals: Decisions with `person`, `role`, `time`, `decision`, `reason` and `entry`, for the card and the technical
            documentation.

    Returns:
        The files, in reading order.

    Raises:
        InputError: A record is missing or unreadable, records do not belong together, or `target` is not a directory.
        Refused: A file that is used is not the one that its artifact recorded.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: expected a directory, found a file; choose another place with --to")
    documents = contents(gather(name), list(approvals))
    written = []
    for path, text in documents.items():
        write_text(target / path, text)
        written.append(target / path)
    return written


def contents(records: Records, approvals: list[Mapping[str, Any]]) -> dict[str, str]:
    """Return path below the directory -> text of every document.

    Raises:
        InputError: A record lacks a value that a document needs.
    """
    try:
        found = sections.sections(records, approvals)
        return {
            "README.md": card.render(records, approvals),
            "technical_documentation.md": technical.as_markdown(records, found),
            "technical_documentation.json": _json(technical.as_json(records, found)),
            "licenses.json": _json(chain.report(chain.chain_of(records))),
            "bom.cdx.json": _json(bom.bill(records)),
            **{to: copied(records, file) for file, to in COPIED.items()},
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        where = ", ".join(f"{part}.json" for part in records.reports)
        raise InputError(
            f"reports/{records.name}: a record lacks a value that the documents need ({type(error).__name__}: {error});"
            f" looked in {where}; run `dvc repro` to make them again"
        ) from error


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
