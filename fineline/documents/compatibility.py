"""Whether the licenses of a chain fit together, and whether a policy allows them. Decisions over plain data."""

from collections.abc import Collection, Iterable, Sequence

from fineline.documents import licenses
from fineline.documents.licenses import License
from fineline.documents.link import Link, duties
from fineline.errors import Refused

_RESTRICTING = frozenset({"non-commercial", "no-derivatives", "use-restrictions"})


def conflicts(chain: Sequence[Link]) -> list[str]:
    """What does not fit in a chain, a sentence each; empty if it all fits."""
    found = [
        f"{link.label}: the license is unknown, so nothing may be assumed of it; name one by its SPDX id"
        for link in chain
        if licenses.licenses_of(link.license) is None
    ]
    for link in chain:
        if not link.made_from and "no-derivatives" in duties(link):
            found.append(f"{link.label}: nothing that is made from it may be passed on; leave it out")
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
    """Why a policy refuses a chain, a sentence each: its conflicts, and what is not on the policy's lists.

    Args:
        allowed_licenses: Ids that may occur, in any spelling; None allows all that are known.
        allowed_bases: Names or digests of bases that may be used; None allows all.
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
    """Conflicts of one source with one product that carries it."""
    theirs, ours = licenses.licenses_of(source.license), licenses.licenses_of(product.license)
    if theirs is None or ours is None:
        return
    if product.role != "curated":
        theirs = [license for license in theirs if license.key not in licenses.RESULTS_ARE_FREE]
    asked = duties(product)
    carried = frozenset().union(*(license.duties for license in theirs))
    if "attribution" in carried and "attribution" not in asked:
        yield f"{product.label}: asks for no attribution, but {source.label} does"
    if "non-commercial" in carried and "non-commercial" not in asked:
        yield f"{product.label}: allows commercial use, but {source.label} does not"
    for license in theirs:
        if license.onward and not _accepts(license, ours):
            kind = "share-alike" if "share-alike" in license.duties else "handing on its use restrictions"
            yield (
                f"{product.label}: {source.label} asks for {kind}, so for {' or '.join(sorted(license.onward))}"
                " without further restrictions"
            )


def _accepts(license: License, ours: Sequence[License]) -> bool:
    """Whether what is made from it may be passed on under all of `ours` at once."""
    if not any(mine.key in license.onward for mine in ours):
        return False
    if "share-alike" not in license.duties:
        return True
    return all(mine.key in license.onward or not mine.duties & _RESTRICTING for mine in ours)


def _together(product: Link, carried: Sequence[Link]) -> Iterable[str]:
    """Whether two things that it carries can be passed on under no license at all."""
    told: set[frozenset[str]] = set()
    for first in carried:
        for second in carried:
            if first is second or first.made_from or second.made_from:
                continue
            pair = frozenset({first.label, second.label})
            if pair not in told and _exclude(first, second):
                told.add(pair)
                yield f"{product.label}: no license satisfies both {first.label} and {second.label}; one of them must go"


def _exclude(first: Link, second: Link) -> bool:
    """Whether share-alike of the first leaves no license that the second can be passed on under."""
    return any(
        "share-alike" in mine.duties
        and (
            (other.onward and not mine.onward & other.onward)
            or ("non-commercial" in other.duties and "non-commercial" not in mine.duties)
        )
        for mine in licenses.licenses_of(first.license) or []
        for other in licenses.licenses_of(second.license) or []
    )
