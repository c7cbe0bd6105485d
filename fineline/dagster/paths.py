"""Paths of a project, some of which lie in others."""

from collections.abc import Iterable, Iterator


class Paths:
    """A set of relative paths that can tell whether another one touches it, however many there are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {path.rstrip("/") for path in paths}
        self._above = {above for path in self._paths for above in _above(path)}

    def touch(self, path: str) -> bool:
        """Whether `path` is, holds or lies in one of them."""
        path = path.rstrip("/")
        return path in self._paths or path in self._above or any(above in self._paths for above in _above(path))


def _above(path: str) -> Iterator[str]:
    """The directories that it lies in, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
