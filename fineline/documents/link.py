"""A link of a license chain: the license of the base, of a part of the data, or of something made from them."""

from dataclasses import dataclass

from fineline.documents import licenses


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
