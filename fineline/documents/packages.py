"""The Python packages of the lock file, with the digests of their distributions and their dependencies."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from fineline.documents.records import LOCK
from fineline.errors import InputError

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]*))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True)
class Package:
    """A package at one version."""

    name: str
    version: str
    marker: str
    """Environment marker from the lock file; empty if it is installed everywhere."""
    hashes: tuple[str, ...]
    """sha256 of its distributions."""
    needed_by: tuple[str, ...]
    """Names of packages that depend on it."""
    is_direct: bool
    """True if the project itself depends on it."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{normal(self.name)}@{quote(self.version, safe='.')}"


def parse(lock: str) -> list[Package]:
    """Return the packages of a lock file of `uv pip compile`, in its order.

    Raises:
        InputError: It has no pinned package.
    """
    found: list[Package] = []
    entry: list[str] = []
    for line in [*lock.splitlines(), "end==0"]:
        if line and not line[0].isspace() and not line.startswith("#"):
            found += _package(entry)
            entry = []
        entry.append(line)
    if not found:
        raise InputError(f"{LOCK}: has no pinned package; make it with `make lock`")
    return found


def normal(name: str) -> str:
    """Return a name in the normalized form of the package index."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(entry: list[str]) -> list[Package]:
    pin = _PIN.match(entry[0]) if entry else None
    if pin is None:
        return []
    comments = [line.strip().lstrip("#").strip().removeprefix("via").strip() for line in entry if line.strip().startswith("#")]
    return [
        Package(
            name=pin["name"],
            version=pin["version"],
            marker=(pin["marker"] or "").strip(),
            hashes=tuple(sorted({match for line in entry for match in _HASH.findall(line)})),
            needed_by=tuple(sorted({normal(name) for name in comments if name and " " not in name})),
            is_direct=any(name.endswith("(pyproject.toml)") for name in comments),
        )
    ]
