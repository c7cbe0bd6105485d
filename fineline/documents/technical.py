"""The technical documentation: the fields that Annex XI of the EU AI Act names, each with the records it rests on.

The Markdown page and the JSON are made from one list of fields, so they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fineline.documents.markdown import render
from fineline.documents.records import Records

SCHEMA = "fineline/technical-documentation/v1"
INTRODUCTION = (
    "The fields that Annex XI of the EU AI Act names for a general-purpose model, as far as they apply to those who modify one:"
    " the base belongs to its publisher, whose documentation applies as well. Every field names the records that it rests on,"
    " with their sha256. What is not on record is marked as not known. This is not legal advice."
)


@dataclass(frozen=True)
class Field:
    """A statement, and the records that it rests on."""

    id: str
    title: str
    value: Any
    """JSON: text, a list of sentences, a mapping, or a list of mappings with like keys."""
    records: list[dict[str, str]]
    """`{file, sha256}` of each."""


@dataclass(frozen=True)
class Section:
    """The fields of one subject."""

    id: str
    title: str
    fields: list[Field]


def as_json(records: Records, found: Sequence[Section]) -> dict[str, Any]:
    """Return the content of technical_documentation.json."""
    return {
        "schema": SCHEMA,
        "name": records.name,
        "owner": records.owner,
        "candidate": records.shipped.digest,
        "introduction": INTRODUCTION,
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "fields": [
                    {"id": field.id, "title": field.title, "value": field.value, "records": field.records}
                    for field in section.fields
                ],
            }
            for section in found
        ],
    }


def as_markdown(records: Records, found: Sequence[Section]) -> str:
    """Return the text of technical_documentation.md; the digests of records are in the table at the end."""
    used = {record["file"]: record["sha256"] for section in found for field in section.fields for record in field.records}
    return render(
        "technical_documentation.md.j2",
        name=records.name,
        introduction=INTRODUCTION,
        owner=records.owner,
        candidate=records.shipped.digest,
        sections=found,
        records=sorted(used.items()),
    )
