"""The technical documentation: the fields that Annex XI of the EU AI Act names, each with the records it rests on.

The Markdown page and the JSON are made from one list of fields, so they cannot differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fineline.documents import chain, development, evaluation, general
from fineline.documents.card import APPROVAL_KEYS
from fineline.documents.compatibility import conflicts
from fineline.documents.field import Field
from fineline.documents.link import duties
from fineline.documents.markdown import render
from fineline.documents.records import Records

SCHEMA = "fineline/technical-documentation/v1"
INTRODUCTION = (
    "The fields that Annex XI of the EU AI Act names for a general-purpose model, as far as they apply to those who modify one:"
    " the base belongs to its publisher, whose documentation applies as well. Every field names the records that it rests on,"
    " with their sha256. What is not on record is marked as not known. This is not legal advice."
)


@dataclass(frozen=True)
class Section:
    """The fields of one subject."""

    id: str
    title: str
    fields: list[Field]


def sections(records: Records, approvals: Sequence[Mapping[str, Any]] = ()) -> list[Section]:
    """Return all sections."""
    found = [
        Section("general", "General description", general.fields(records)),
        Section("development", "Development", development.method(records)),
        Section("data", "Data", development.data(records)),
        Section("compute", "Compute", development.work(records)),
        Section("energy", "Energy", development.energy_use(records)),
        Section("evaluation", "Evaluation", evaluation.fields(records)),
        Section("modification", "Modification of a general-purpose model", development.modification(records)),
        Section("licenses", "License chain", _licenses(records)),
    ]
    if approvals:
        decided = [{key: str(approval.get(key, "")) for key in APPROVAL_KEYS} for approval in approvals]
        found.append(Section("approvals", "Approvals", [Field("approvals", "Signed decisions, by the ledger", decided, [])]))
    return found


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


def _licenses(records: Records) -> list[Field]:
    links = chain.chain_of(records)
    rows = [
        {
            "role": link.role,
            "name": link.name,
            "license": link.license,
            "obligations": sorted(duties(link)),
            "made_from": list(link.made_from),
        }
        for link in links
    ]
    names = ("base", "raw", "curated", "adapter", "merged", *records.exports)
    files = dict.fromkeys(records.license_file(name) for name in names)
    return [
        Field("license_chain", "Licenses of everything it was made from", rows, records.source(*files)),
        Field("license_conflicts", "Conflicts", conflicts(links) or "None were found.", records.source(*files)),
    ]
