"""Memory of this machine, or of the control group (container) of this process if its limit is lower."""

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_MEMINFO = Path("/proc/meminfo")


def total() -> int:
    """Return the total memory in bytes."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *(limit for limit, _ in _groups())])


def free() -> int | None:
    """Return the bytes that can be allocated now without swapping; None if the machine does not report them."""
    if not _MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
    return min([int(lines["MemAvailable"].split()[0]) * 1024, *(max(0, limit - used) for limit, used in _groups())])


def _groups() -> Iterator[tuple[int, int]]:
    """Yield limit and use in bytes of each control group with a limit; cached files do not count as used."""
    places = [(_CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")]  # version 1, inside a container
    if _MEMBERSHIP.is_file():
        for line in _MEMBERSHIP.read_text().splitlines():
            if line.startswith("0::/"):  # version 2
                group = _CGROUPS / line.removeprefix("0::/")
                inside = (place for place in (group, *group.parents) if place.is_relative_to(_CGROUPS))
                places += [(place, "memory.max", "memory.current") for place in inside]
    for place, most, used in places:
        if (limit := _number(place / most)) is not None:
            yield limit, (_number(place / used) or 0) - _cached(place / "memory.stat")


def _number(file: Path) -> int | None:
    return int(text) if file.is_file() and (text := file.read_text().strip()).isdigit() else None


def _cached(file: Path) -> int:
    if not file.is_file():
        return 0
    stat = dict(line.split(" ", 1) for line in file.read_text().splitlines() if " " in line)
    return int(stat.get("inactive_file", 0))
