"""Report what `make demo` downloads and writes, and stop before it starts if that cannot work.

Runs before the environment exists, with any Python 3: only the standard library, no syntax newer than Python 3.6.
"""

import os
import shutil
import sys
from pathlib import Path

NEEDED = (3, 11)
ENVIRONMENT = {".venv": (3.0, 6.3)}
"""Directory -> gigabytes downloaded, gigabytes on disk: torch with its CUDA libraries is most of it."""
RESULTS = {"models": (0.1, 1.6), ".dvc/cache": (0.0, 0.2)}


def main(root: str = ".") -> int:
    """Print what will be downloaded and written; return an exit status."""
    if sys.version_info < NEEDED:
        found = "{}.{}".format(*sys.version_info[:2])
        return problem(f"Python {found} is too old: fineline needs 3.11 or newer", "make demo PYTHON=python3.11")
    place = Path(root)
    if not os.access(root, os.W_OK):
        return problem(f"{place.resolve()}: not writable", "clone the repository into a directory of yours")
    parts = dict(RESULTS) if (place / ".venv/.ready").exists() else dict(ENVIRONMENT, **RESULTS)
    missing = [sizes for path, sizes in parts.items() if path == ".venv" or not (place / path).is_dir()]
    download, disk = (sum(sizes[column] for sizes in missing) for column in (0, 1))
    free = shutil.disk_usage(root).free / 1e9
    if disk > free:
        needs = f"{disk:.1f} GB are needed here and {free:.1f} GB are free"
        return problem(needs, "free some space, or clone the repository to another disk")
    if missing:
        print(f"Downloads about {download:.1f} GB and writes {disk:.1f} GB to this directory ({free:.0f} GB are free).")
    print("Nine stages on the CPU. An interrupted demo continues where it stopped.")
    return 0


def problem(what: str, remedy: str) -> int:
    """Print an error with its remedy; return its exit status."""
    print(f"error: {what}; {remedy}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
