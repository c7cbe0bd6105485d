"""The installed packages that fineline needs, in the form of a lock file, for a project that has none."""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    """Yield the requirements of a package: normalized name, and which of its extras. An empty `extra` is none."""
    for requirement in map(Requirement, metadata.requires(name) or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield canonicalize_name(requirement.name), requirement.extras
