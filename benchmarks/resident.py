"""How much memory a piece of work takes."""

import threading
from typing import Self

import psutil

_SECONDS = 0.02  # between two looks


class Peak:
    """A context that watches the resident memory of this process."""

    def __enter__(self) -> Self:
        self._before = self._most = _resident()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    @property
    def grown(self) -> int:
        """Bytes, at most, beyond those at the start."""
        return self._most - self._before

    def _look(self) -> None:
        while not self._done.wait(_SECONDS):
            self._most = max(self._most, _resident())


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
