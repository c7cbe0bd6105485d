"""The links of a license chain, their compatibility, and what a policy refuses of them. Decisions over plain data."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fineline.documents import licenses
from fineline.documents.licenses import License
from fineline.errors import Refused

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
