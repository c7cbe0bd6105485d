"""One licensed thing of a license chain."""

from dataclasses import dataclass

from fineline.documents import licenses


@dataclass(frozen=True)
class Link:
    """One licensed thing of the chain."""

    role: str
    """base, data (a part of the raw rows), curated, adapter, merged or exported."""
    name: str
    license: str
    """As the record spells it."""
    digest: str = ""
    made_from: tuple[str, ...] = ()
    """Roles of what it carries, all the way back. Empty for what comes from outside."""
    record: str = ""
    """The file that tells the license."""
    origin: str = ""
    """Where it came from, for what comes from outside."""

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.role} {self.name!r} ({self.license})"


def duties(link: Link) -> frozenset[str]:
    """What the license of a link asks for; nothing is known of an unknown one."""
    return frozenset().union(*(license.duties for license in licenses.licenses_of(link.license) or []))
