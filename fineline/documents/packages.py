"""The Python packages: as pinned in the lock file, with digests and dependencies, or as installed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fineline.errors import InputError

LOCK = Path("requirements.lock")
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


_ROOT = "fineline"
_DEVELOPMENT = ("bench", "dev")
"""Extras of fineline that no project needs."""


def lock_text() -> str:
    """Return `name==version` of each package that the installed fineline needs, and what needs it, sorted by name.

    The extras of fineline count where their packages are installed. There are no hashes, because the distribution files are
    not kept after an installation.
    """
    offered = metadata.metadata(_ROOT).get_all("Provides-Extra") or ()
    waiting = [(_ROOT, extra) for extra in ("", *offered) if extra not in _DEVELOPMENT]
    seen = set(waiting)
    versions: dict[str, str] = {}
    needed_by: dict[str, set[str]] = {}
    while waiting:
        name, extra = waiting.pop()
        for needed, extras in _needs(name, extra):
            try:
                versions[needed] = metadata.version(needed)
            except metadata.PackageNotFoundError:  # of an extra that is not in use, or replaced by another build
                continue
            if needed != name:
                needed_by.setdefault(needed, set()).add(name)
            following = {(needed, one) for one in ("", *extras)} - seen
            seen |= following
            waiting += following
    versions.pop(_ROOT, None)
    lines = ["# The installed packages that fineline needs."]
    for name in sorted(versions):
        lines.append(f"{name}=={versions[name]}")
        lines += [f"    # via {'fineline (pyproject.toml)' if above == _ROOT else above}" for above in sorted(needed_by[name])]
    return "\n".join(lines) + "\n"


def _needs(name: str, extra: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the requirements of a package: normalized name, and which of its extras. An empty `extra` means no extra."""
    for requirement in map(Requirement, metadata.requires(name) or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield canonicalize_name(requirement.name), requirement.extras
